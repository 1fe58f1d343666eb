"""`oration score likelihood`: which recordings a language model expects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oration.audio.io import read
from oration.commands.results import Table, finish, spell
from oration.commands.score.clips import with_lm
from oration.core import BadInput
from oration.evaluate.interval import Bootstrap


def run(recordings: Sequence[Path], model: Path | None, out: Path) -> None:
    """One row a recording.

    Raises:
        BadInput: no recording, one that cannot be read, or a model without a language model.
    """
    if not recordings:
        raise BadInput("there is no recording to score; name at least one audio file")
    lm = with_lm(model)
    waves = [read(path, rate=lm.rate) for path in recordings]
    scores = [score.total for score in lm.score(waves)]
    found = sorted(zip(scores, recordings, waves, strict=True), key=lambda row: -row[0].mean)
    table = Table(
        "How likely the language model finds them",
        ("recording", ">seconds", ">units", ">nats a unit", ">bits a second"),
        [
            [
                str(path),
                f"{wave.seconds:.2f}",
                str(score.count),
                f"{-score.mean:.3f}",
                f"{-score.nats / np.log(2) / wave.seconds:.0f}",
            ]
            for score, path, wave in found
        ],
        "Fewer nats: more expected, the first most. The end mark counts as a unit. Compare figures of one model only.",
    )
    mean = Bootstrap().ratio([-score.nats for score in scores], [score.count for score in scores])
    table.rows.append(["all together", "", "", spell(mean, 3), ""])
    figures = [
        {"recording": str(path), "seconds": wave.seconds, "units": score.count, "nats": -score.nats}
        for score, path, wave in found
    ]
    finish(out, f"Likelihood under {lm.recipe.name}", [table], {"recordings": figures, "nats_a_unit": mean})
