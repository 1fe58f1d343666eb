"""The grid of one task for one recording, with what a reader of it asks: names, offsets, weights, whose time it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from oration.commands.heard import Heard
from oration.core import ABSENT, TICKS, BadInput, Example, Spec, Vocab
from oration.layouts import Cells, cells
from oration.layouts.block import END, is_stream
from oration.lms import LM
from oration.model import SpeechLM
from oration.objectives import CrossEntropy
from oration.objectives.cross_entropy import CrossEntropyModel
from oration.streams import SideBySide, TakeTurns
from oration.tasks import Task

PARTY = "user."


@dataclass(frozen=True, eq=False)
class Sheet:
    """Everything that a picture of a grid shows, on a terminal or on a page."""

    lm: LM
    task: Task
    cells: Cells
    vocabs: Mapping[str, Vocab]
    """Row -> the language model's vocabulary, over all its tasks."""
    specs: Mapping[str, Spec]
    example: Example
    """The streams that were placed."""
    trained_by: str
    """The objective of the last stage that trains the task; empty if none does."""
    weights: np.ndarray | None = None
    """float32[K, S]: how much a cell counts in the loss, 0 where it is not in it; None if it is not known."""
    pads: tuple[tuple[str, int], ...] = ()
    """(stream, symbol): what only fills time."""
    clock: Mapping[str, float] = field(default_factory=dict)
    """Stream -> seconds of the recording at which its time begins, where that is not 0."""

    @property
    def shown(self) -> list[int]:
        """The rows that this task uses."""
        return [k for k in range(len(self.cells.rows)) if (self.cells.role[k] != ABSENT).any()]

    @property
    def padding(self) -> float:
        """The share of the grid that holds nothing."""
        return float((self.cells.role == ABSENT).mean()) if self.cells.role.size else 0.0

    @property
    def fillers(self) -> dict[str, float]:
        """Stream -> the share of its items that only fill time."""
        return {
            name: float((self.example[name].ids == symbol).mean())
            for name, symbol in self.pads
            if name in self.task.layout.streams and len(self.example[name])
        }

    def blocks(self, row: str) -> list[tuple[str, int, int]]:
        """Name, first and last token of each part of a row's vocabulary; streams of the same symbols share one."""
        names: dict[tuple[int, int], list[str]] = {}
        for name, where in self.vocabs[row].ranges.items():
            names.setdefault(where, []).append(name)
        return [(" and ".join(found), first, past - 1) for (first, past), found in names.items()]

    def times(self) -> np.ndarray:
        """float64[S]: second of the recording at which the first item of each step begins; NaN without time."""
        seconds = self.cells.seconds.copy()
        for number, name in enumerate(self.cells.streams):
            seconds[self.cells.stream == number] += self.clock.get(name, 0.0)
        return np.where(np.isnan(seconds).all(0), np.nan, np.nanmin(np.where(np.isnan(seconds), np.inf, seconds), 0))

    def short(self) -> dict[str, str]:
        """Stream -> what its items are called in a cell: nothing where a row has one stream, else a few letters."""
        return abbreviations([self._streams(k) for k in self.shown])

    def _streams(self, k: int) -> list[str]:
        found = np.unique(self.cells.stream[k][(self.cells.stream[k] >= 0) & (self.cells.role[k] != ABSENT)])
        return [self.cells.streams[number] for number in found]

    def covered(self) -> list[tuple[str, int, int, str, float | None]]:
        """What the loss covers, by part of the vocabulary: name, cells, cells in the loss, weight, share of the loss.

        Items count under their stream, ends under `end`, the marks of a Weave under their own names.
        """
        flat = np.array([[self._called(k, s) for s in range(self.cells.steps)] for k in range(len(self.cells.rows))])
        there, asked = self.cells.role != ABSENT, self.cells.loss
        total = None if self.weights is None else float(self.weights.sum()) or 1.0
        found = []
        for name in dict.fromkeys(flat[there].tolist()):
            mine = (flat == name) & there
            weight, share = "", None
            if self.weights is not None and total is not None:
                values = np.unique(self.weights[mine & asked])
                weight = " or ".join(f"{value:g}" for value in values[:3])
                share = float(self.weights[mine].sum()) / total
            found.append((name, int(mine.sum()), int((mine & asked).sum()), weight, share))
        return sorted(found, key=lambda entry: not is_stream(entry[0]))

    def _called(self, k: int, s: int) -> str:
        """What a cell counts under."""
        if self.cells.kind[k, s] in ("item", "fixed"):
            return self.cells.streams[self.cells.stream[k, s]]
        name = self.vocabs[self.cells.rows[k]].name(int(self.cells.token[k, s]))[0]
        return END if is_stream(name) else name


def sheet(model: SpeechLM, lm: LM, task: Task, heard: Heard) -> Sheet:
    """The grid of a task, as training sees it (chance with a fixed seed).

    Raises:
        BadInput: a stream is missing that the task reads.
    """
    for name in _read(model, task):
        if name in heard.missing:
            hint = "" if heard.clip.text or heard.clip.words else '; say what it says with --text "..."'
            raise BadInput(f"task {task.name!r} reads {name!r}, which is missing: {heard.missing[name]}{hint}")
    example = task.prepare(heard.example, model.specs, np.random.default_rng(0))
    specs, vocabs = {**model.specs, **lm.specs(model.specs)}, lm.vocabs(model.specs)
    found = cells(task.layout, [example], specs, task.predict, vocabs=vocabs)
    objective = _objective(model, lm, task)
    weights: np.ndarray | None = None
    pads: tuple[tuple[str, int], ...] = ()
    if isinstance(objective, CrossEntropy):
        tables = CrossEntropyModel(objective, vocabs)
        rows = [tables.get_buffer(f"weight{k}").numpy()[found.token[k]] for k in range(len(found.rows))]
        weights, pads = np.stack(rows) * found.loss, objective.pads
    clock = _clock(model, task, heard.example)
    trained_by = "" if objective is None else type(objective).__name__
    return Sheet(lm, task, found, vocabs, specs, example, trained_by, weights, pads, clock)


def _read(model: SpeechLM, task: Task) -> list[str]:
    """The streams of a recording that a task reads."""
    made: set[str] = set()
    found: list[str] = []
    for operation in task.operations:
        found += [need for need in operation.needs if need not in made]
        made |= set(operation.specs(task.specs(model.specs)))
    return [*found, *(name for name in task.layout.streams if name not in made)]


def _objective(model: SpeechLM, lm: LM, task: Task) -> Any:
    """Of the last stage that trains the task."""
    found = None
    for stage in model.recipe.training:
        chosen = getattr(stage.feed, "chosen", None)
        if stage.part == lm.name and (chosen is None or task in chosen(lm.tasks)):
            found = stage.objective
    return found


def _clock(model: SpeechLM, task: Task, example: Example) -> dict[str, float]:
    """Where in the recording the time of each stream begins: a reply is cut from behind the other party's turn."""
    rng, state, known = np.random.default_rng(0), dict(example), dict(model.specs)
    cut, sides = 0.0, False
    for operation in task.operations:
        before = state
        state = operation(state, known, rng)
        known |= operation.specs(known)
        if isinstance(operation, TakeTurns):
            cut = _cut(operation, before, state, known)
        sides = sides or isinstance(operation, SideBySide)
    if not cut or sides:
        return {}
    return {name: cut for name in task.layout.streams if not name.startswith(PARTY)}


def _cut(operation: TakeTurns, before: Example, after: Example, specs: Mapping[str, Spec]) -> float:
    """Seconds at which the recording was cut."""
    for name in operation.streams:
        items, rate = len(after[operation.prefix + name]), specs[name].rate
        if rate is not None:
            return items / float(rate)
        onsets, moved = before[name].onsets, after[name].onsets
        if onsets is not None and moved is not None and len(moved):
            return float(onsets[items] - moved[0]) / TICKS
    return 0.0


def abbreviations(rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """Streams of each row -> letters that tell them apart, none where a row has one stream.

    >>> abbreviations([["text", "units", "user.units"], ["codec.0"]])
    {'text': 't', 'units': 'u', 'user.units': 'uu', 'codec.0': ''}
    """
    found: dict[str, str] = {}
    for names in rows:
        for name in names:
            parts = cast(str, name).split(".")
            tries = ["".join(part[0] if not part.isdigit() else part + ":" for part in parts)]
            tries += ["".join(part[:n] for part in parts) for n in range(2, 9)] + [name]
            made = next((one for one in tries if one not in found.values()), name)
            found.setdefault(name, "" if len(names) == 1 else made)
    return found
