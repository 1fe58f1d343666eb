"""`oration score likelihood`: which recordings a language model expects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oration.audio.io import read
from oration.commands.results import finish
from oration.commands.score.clips import with_lm
from oration.core import BadInput
from oration.evaluate.interval import Bootstrap
from oration.evaluate.report import Cell, Column, Section, Table
from oration.nn.linear import Weights


def run(recordings: Sequence[Path], model: Path | None, weights: Weights | None, out: Path) -> None:
    """One row a recording.

    Raises:
        BadInput: no recording, one that cannot be read, or a model without a language model.
    """
    if not recordings:
        raise BadInput("there is no recording to score; name at least one audio file")
    lm = with_lm(model, weights)
    waves = [read(path, rate=lm.rate) for path in recordings]
    scores = [score.total for score in lm.score(waves)]
    found = sorted(zip(scores, recordings, waves, strict=True), key=lambda row: -row[0].mean)
    rows: list[tuple[Cell, ...]] = [
        (path.name, wave.seconds, score.count, -score.mean, -score.nats / np.log(2) / wave.seconds)
        for score, path, wave in found
    ]
    mean = Bootstrap().ratio([-score.nats for score in scores], [score.count for score in scores])
    rows.append(("all together", sum(wave.seconds for wave in waves), sum(s.count for s in scores), mean, None))
    table = Table(
        "How likely the language model finds them, the likeliest first",
        (Column("recording"), Column("seconds", 1), Column("units"), Column("nats a unit"), Column("bits a second", 0)),
        tuple(rows),
        "Fewer nats: more expected. The end mark counts as a unit. Compare figures of one model only.",
    )
    figures = [
        {"recording": str(path), "seconds": wave.seconds, "units": score.count, "nats": -score.nats}
        for score, path, wave in found
    ]
    facts = {"model": lm.recipe.name, "recordings": str(len(waves))}
    results = {"recordings": figures, "nats_a_unit": mean}
    finish(out, f"Likelihood under {lm.recipe.name}", [Section("Recordings", (table,))], facts, results)
