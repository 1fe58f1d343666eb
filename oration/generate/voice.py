"""One sequence being generated: what its prompt gives, where it stands, when it stops. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from oration.core import BadInput, Dense, Example, Grid, Spec, Stream, Vocab
from oration.layouts import Chunk, Cursor, Ratio, Weave
from oration.tasks import Task

Turns = Example | Sequence[Example]
"""A prompt: one turn, or the turns of a dialogue so far, of which the last is to be continued."""

Cells = Mapping[str, tuple[int, np.ndarray | None]]
"""A column: row -> (token, vector of a continuous stream)."""

Stopped = Literal["end", "steps", "seconds"]


@dataclass(frozen=True)
class Reply:
    """What came of one prompt."""

    example: Example
    """The whole last turn: what was given, the prompt, what the model added; onsets where the layout counts time."""
    known: Mapping[str, int]
    """Predicted stream -> how many of its items are prompt."""
    stopped: Stopped
    """Why it ended: the model ended the turn, or a limit was reached."""
    steps: int
    """Columns after the prompt."""
    hidden: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Exposed stream -> float32[T, D], for each item of it in `example` the body's vector that it was drawn from."""

    def new(self) -> Example:
        """The predicted streams without the prompt."""
        return {name: self.example[name].cut(n) for name, n in self.known.items()}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When to stop, counted from the end of the prompt."""

    steps: int | None
    seconds: float | None
    least: Mapping[str, int]
    most: Mapping[str, int] = field(default_factory=dict)

    def verify(self, task: Task, specs: Mapping[str, Spec]) -> None:
        """Raises BadInput where the limits say nothing or cannot be met."""
        steps, seconds = self.steps, self.seconds
        if (
            (steps is None and seconds is None)
            or (steps is not None and steps < 1)
            or (seconds is not None and seconds <= 0)
        ):
            raise BadInput(f"generation needs a limit above 0, but got steps={steps} and seconds={seconds}; give one")
        if seconds is not None and not self.items(task, specs):
            raise BadInput(
                f"seconds={seconds} says nothing to task {task.name!r}: none of {task.predict} has a rate; give steps"
            )
        for name in (*self.least, *self.most):
            if name not in task.predict:
                raise BadInput(
                    f"least={self.least}, most={self.most}: task {task.name!r} does not predict {name!r}; "
                    f"it predicts {task.predict}"
                )

    def items(self, task: Task, specs: Mapping[str, Spec]) -> dict[str, int]:
        """Predicted stream with a rate -> its items in `seconds`."""
        if self.seconds is None:
            return {}
        return {name: specs[name].length(self.seconds) for name in task.predict if specs[name].rate is not None}


class Voice:
    """A cursor that has been fed all that the prompt says, then takes the columns that are drawn."""

    def __init__(
        self,
        task: Task,
        prompt: Turns,
        specs: Mapping[str, Spec],
        vocabs: Mapping[str, Vocab],
        limits: Limits,
        seed: int,
        number: int,
        expose: Mapping[str, int] | None = None,
    ) -> None:
        turns = [prompt] if isinstance(prompt, Mapping) else list(prompt)
        self.number, self.task, self.specs, self.vocabs, self.limits = number, task, specs, vocabs, limits
        self._verify(turns)
        self._timed(task)
        self.example = turns[-1]
        self.known = {name: len(self.example.get(name, ())) for name in task.predict}
        self.chance = torch.Generator().manual_seed(seed)
        self.cursor = Cursor(task.layout, specs, vocabs)
        self.steps = 0
        self.stopped: Stopped | None = None
        self._expose = dict(expose or {})
        self.hidden: dict[str, list[np.ndarray]] = {name: [] for name in self._expose}
        """Exposed stream -> the vector that each of its items came from, float32[D]."""
        self._until = limits.items(task, specs)
        self._before = len(turns) - 1
        weaves = [block for block in task.layout.blocks if isinstance(block, Weave) and isinstance(block.by, Chunk)]
        self._chunked = {arm for weave in weaves for arm in weave.arms if specs[arm].rate is not None}
        self.prefix: list[Cells] = []
        """The columns that the prompt decides."""
        self.began = 0
        """The columns of them that belong to earlier turns."""
        self.came: list[list[str]] = []
        """Exposed streams of which each column so far holds an item."""
        for turn in range(len(turns)):
            self.began = len(self.prefix)
            while len(self.cursor.turns) <= turn or not self.cursor.turn_done:
                cells = self.given() if turn == self._before else self.cursor.given(turns[turn])
                if len(cells) < len(vocabs):
                    return
                self.prefix.append(cells)
                self._feed(cells)
        self.stopped = "end"

    def _verify(self, turns: list[Example]) -> None:
        for at, example in enumerate(turns):
            for name in self.task.layout.streams:
                if name in example:
                    example[name].verify(name, self.specs[name])
                elif name not in self.task.predict or at < len(turns) - 1:
                    raise BadInput(
                        f"prompt {self.number} has no stream {name!r}, which task {self.task.name!r} needs; "
                        f"it has {sorted(example)}"
                    )

    def _timed(self, task: Task) -> None:
        """Refuse layouts in which nobody but time itself says when a given stream goes on."""
        for block in task.layout.blocks:
            if (
                isinstance(block, Weave)
                and not isinstance(block.by, Ratio)
                and not (block.marked and isinstance(block.by, Chunk))
            ):
                given = [arm for arm in block.arms if arm not in task.predict]
                if 0 < len(given) < len(block.arms):
                    raise BadInput(
                        f"task {task.name!r} weaves the given {given[0]!r} with predicted streams by time, which can "
                        "be trained and scored, but not generated; weave them by Chunk with marks, or by Ratio"
                    )

    def given(self) -> Cells:
        """The cells of the next column that the model does not draw."""
        return self.cursor.given(self.example, self.task.predict, self.known)

    def open(self, row: str) -> tuple[tuple[int, int], ...]:
        """The tokens that may be drawn in a row, as (first, one past the last); no end before its time."""
        ranges, blocks = self.cursor.ranges()[row], self.cursor.allowed()[row]
        if not self.limits.least and not self.limits.most:
            return tuple(ranges)
        kept = tuple(
            r
            for r, block in zip(ranges, blocks, strict=True)
            if not self._early(block, blocks) and not self._enough(block)
        )
        return kept or tuple(ranges)

    def _enough(self, block: str) -> bool:
        """Whether this symbol belongs to a stream, or goes on with one, that has all the items it may have."""
        most = self.limits.most.get(block.removeprefix("@"))
        return most is not None and self.added(block.removeprefix("@")) >= most

    def _early(self, block: str, blocks: Sequence[str]) -> bool:
        """Whether drawing this symbol would end a stream that is to go on."""
        if block.startswith("]"):
            streams = {block[1:]}
        elif block == "end":
            near = {name.lstrip("@") for name in blocks}
            streams = {s for names in map(_streams, self.task.layout.blocks) if near & names for s in names}
        elif block.startswith("@"):  # time goes on by whole chunks, so a regular stream fills its slices
            streams = {name for name in blocks if name in self._chunked}
        else:
            return False
        return any(self.added(name) < self.limits.least.get(name, 0) for name in streams & set(self.task.predict))

    def added(self, stream: str) -> int:
        """Items of a predicted stream beyond the prompt."""
        turns = self.cursor.turns[self._before :]
        return max(0, len(turns[0][stream]) - self.known[stream]) if turns else 0

    def take(self, cells: Cells) -> list[tuple[str, Any]]:
        """The next column -> the new items of predicted streams in it."""
        fresh = [(name, item) for name, item in self._feed(cells) if name in self.known and self.added(name)]
        self.steps += 1
        if self.cursor.turn_done:
            self.stopped = "end"
        elif self._until and all(self.added(name) >= n for name, n in self._until.items()):
            self.stopped = "seconds"
        elif self.steps == self.limits.steps:
            self.stopped = "steps"
        return fresh

    def _feed(self, cells: Cells) -> list[tuple[str, Any]]:
        dense = {self.vocabs[row].name(token)[0]: v for row, (token, v) in cells.items() if v is not None}
        items = self.cursor.feed([cells[row][0] for row in self.vocabs], dense)
        if self.hidden:
            self.came.append([name for name, _ in items if name in self.hidden])
        return items

    def grid(self) -> Grid:
        """The prompt's columns."""
        rows = tuple(self.vocabs)
        tokens = np.array([[cells[row][0] for cells in self.prefix] for row in rows], np.int64).reshape(len(rows), -1)
        found: dict[str, list[tuple[int, int, np.ndarray]]] = {}
        for step, cells in enumerate(self.prefix):
            for k, row in enumerate(rows):
                token, values = cells[row]
                if values is not None:
                    found.setdefault(self.vocabs[row].name(token)[0], []).append((k, step, values))
        dense = {
            name: Dense(at[0][0], np.array([step for _, step, _ in at]), np.stack([v for _, _, v in at]))
            for name, at in found.items()
        }
        return Grid(tokens, np.zeros(tokens.shape, np.int8), rows, dense)

    def reply(self) -> Reply:
        """What has come so far."""
        turns, example = self.cursor.turns[self._before :], dict(self.example)
        for name, known in self.known.items():
            added, width = turns[0][name][known:] if turns else [], self.specs[name].dim
            prompt = self.example.get(name)
            if width:
                values = np.zeros((0, width)) if prompt is None or prompt.values is None else prompt.values
                example[name] = Stream.dense(np.concatenate((values, np.array(added).reshape(-1, width))))
            else:
                ids = np.zeros(0, np.int64) if prompt is None else prompt.ids
                example[name] = Stream(np.concatenate((ids, np.array(added, np.int64))), self._onsets(name, prompt))
        hidden = {n: np.array(at, np.float32).reshape(len(at), self._expose[n]) for n, at in self.hidden.items()}
        return Reply(example, self.known, self.stopped or "steps", self.steps, hidden)

    def _onsets(self, name: str, prompt: Stream | None) -> np.ndarray | None:
        """When the items of an irregular stream begin, where the layout counts time."""
        onsets = None if self.specs[name].rate is not None else self.cursor.onsets(name)
        if onsets is not None and prompt is not None and prompt.onsets is not None:
            onsets = np.maximum.accumulate(np.concatenate((prompt.onsets, onsets[len(prompt) :])))
        return onsets


def _streams(block: Any) -> set[str]:
    return {name for names in block.holds().values() for name in names}
