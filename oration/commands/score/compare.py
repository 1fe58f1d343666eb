"""`oration score compare`: models that say the same streams in different layouts, by what a second of speech costs.

The same symbols of the same clips cost each model so many nats, whatever the order it says them in: the product of its
conditional probabilities is the probability of all of them. So layouts, heads and bodies compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from oration.commands.results import finish
from oration.commands.score.clips import choose, encoded, speakers, with_lm
from oration.core import BadInput, Example
from oration.data.manifest import Clip
from oration.evaluate.interval import Bootstrap, Estimate
from oration.evaluate.report import Cell, Column, Section, Table
from oration.generate import Score, score
from oration.layouts import delay, rate
from oration.layouts.block import is_stream
from oration.model import SpeechLM
from oration.tasks import Task


@dataclass(frozen=True)
class Paid:
    """What one model paid."""

    model: str
    parameters: int
    nats: Estimate
    """A second of speech, marks left out: how a layout ends its streams is its own."""
    below: Estimate | None
    """The first model's minus this one's, clip by clip; None for the first."""
    streams: dict[str, float]
    """Nats an item."""
    steps: float | None
    """A second of speech."""
    delay: float


def run(data: Path, models: Sequence[Path], split: str, count: int, out: Path) -> None:
    """One row a model, the first one the measure of the others.

    Raises:
        BadInput: fewer than two models, or models that do not say the same streams of the same tokenizers.
    """
    if len(models) < 2:
        raise BadInput("there is nothing to compare; name at least two model folders, each with --model")
    clips = choose(data, split, count)
    seconds = np.array([clip.seconds for clip in clips])
    rows: list[Paid] = []
    costs: list[np.ndarray] = []
    first: list[Example] | None = None
    for folder in models:
        lm = with_lm(folder)
        task = cast(Task, lm.recipe.lms[0].tasks[0])
        examples = encoded(lm, task, clips, data / "cache")
        first = first or examples
        _same(folder, models[0], task, examples, first)
        specs = {**lm.specs, **lm.recipe.lms[0].specs(lm.specs)}
        found = score(lm.part(lm.recipe.lms[0].name), task, examples, specs)
        costs.append(_items(found))
        rows.append(_paid(lm, task, found, costs, seconds, clips))
    caption = f"What {len(clips)} clips of {data.name}, {split}, cost each model"
    streams = list(rows[0].streams)
    table = Table(
        caption,
        (
            Column("model"),
            Column("nats a second", 1),
            Column(f"less than {rows[0].model}", 1),
            *(Column(f"{name}, nats", 3) for name in streams),
            Column("steps a second", 1),
            Column("delay, ms", 0),
            Column("parameters"),
        ),
        tuple(_row(row, streams) for row in rows),
        "Fewer nats: more expected. Ends and other marks are left out. The delay is the layout's alone.",
    )
    facts = {"data": f"{data.name}, {split}", "clips": str(len(clips))}
    finish(out, "The same streams, said in different ways", [Section("Models", (table,))], facts, rows)


def _same(folder: Path, reference: Path, task: Task, examples: Sequence[Example], first: Sequence[Example]) -> None:
    """Raises BadInput unless both models are to say the same symbols."""
    for ours, theirs in zip(examples, first, strict=True):
        for name in task.predict:
            if name not in theirs or not np.array_equal(ours[name].ids, theirs[name].ids):
                raise BadInput(
                    f"{str(folder)!r} says {name!r} otherwise than {str(reference)!r} does; compare models that "
                    "predict the same streams and share their tokenizers' weights"
                )


def _items(found: Sequence[Score]) -> np.ndarray:
    """float64[clips]: nats of all items."""
    return np.array([-sum(p.nats for name, p in s.parts.items() if is_stream(name)) for s in found])


def _paid(
    lm: SpeechLM, task: Task, found: Sequence[Score], costs: list[np.ndarray], seconds: np.ndarray, clips: list[Clip]
) -> Paid:
    boot, clusters = Bootstrap(), speakers(clips)
    streams = {}
    for name in task.predict:
        parts = [s[name] for s in found]
        streams[name] = -sum(p.nats for p in parts) / max(1, sum(p.count for p in parts))
    specs = task.specs(lm.specs)
    below = boot.difference((costs[0], seconds), (costs[-1], seconds), clusters=clusters) if len(costs) > 1 else None
    return Paid(
        lm.recipe.name,
        sum(parameter.numel() for parameter in lm.part(lm.recipe.lms[0].name).parameters()),
        boot.ratio(costs[-1], seconds, clusters=clusters),
        below,
        streams,
        rate(task.layout, specs).steps,
        max((late for late in delay(task.layout, specs).values() if late), default=0.0),
    )


def _row(paid: Paid, streams: Sequence[str]) -> tuple[Cell, ...]:
    by_stream = [paid.streams.get(name) for name in streams]
    return (paid.model, paid.nats, paid.below, *by_stream, paid.steps, 1000 * paid.delay, f"{paid.parameters:,}")
