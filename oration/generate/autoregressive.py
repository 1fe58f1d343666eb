"""Step by step: the model draws what it is asked for, the rest is given. One loop for every layout.

Knows no vocoder and no session: it yields items of streams as they become final.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput, Spec, collate
from oration.generate.sampler import Sampler
from oration.generate.voice import Cells, Limits, Reply, Turns, Voice
from oration.lms import LanguageModel, State, evaluating
from oration.tasks import Task


def generate(
    lm: LanguageModel,
    task: Task,
    prompts: Sequence[Turns],
    specs: Mapping[str, Spec],
    *,
    seeds: Sequence[int],
    sampler: Sampler | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    least: Mapping[str, int] | None = None,
) -> Generation:
    """Continue the prompts in one batch -> an iterator over (number of the prompt, stream, item) of predicted streams.

    A sequence's draws depend on its own seed only, so a batch gives what single calls give (but for rounding: where a
    chance falls within 1e-6 of the border between two symbols).

    Args:
        prompts: prepared examples (operations done). Given streams are whole; the items of predicted streams, if there
            are any, are the beginning that the model continues.
        specs: of the streams after the task's operations.
        sampler: how to draw; default: from the model's own distribution.
        steps: at most so many columns after the prompt.
        seconds: stop once every predicted stream that has a rate has grown by so much.
        least: predicted stream -> items to add before it may end.

    Raises:
        BadInput: no limit, a stream that is missing or does not fit its spec, a continuous stream to predict, or a
            prompt that does not fit the context together with what is asked for.
    """
    if len(seeds) != len(prompts) or not prompts:
        raise BadInput(
            f"generation got {len(prompts)} prompts and {len(seeds)} seeds; give at least one prompt and as many seeds"
        )
    for name in task.predict:
        if specs[name].dim:
            raise BadInput(
                f"task {task.name!r} predicts {name!r}, which is continuous, but {type(lm.head).__name__} draws "
                "only symbols; predict a stream of symbols, or use a head that makes vectors"
            )
    limits = Limits(steps=steps, seconds=seconds, least=dict(least or {}))
    limits.verify(task, specs)
    voices = [
        Voice(task, prompt, specs, lm.vocabs, limits, seed, number)
        for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
    ]
    return Generation(lm, voices, sampler or Sampler(), _room(lm, voices, limits, limits.items(task, specs)))


def complete(
    lm: LanguageModel,
    task: Task,
    prompts: Sequence[Turns],
    specs: Mapping[str, Spec],
    *,
    seeds: Sequence[int],
    sampler: Sampler | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    least: Mapping[str, int] | None = None,
) -> list[Reply]:
    """As `generate`, to the end: one `Reply` per prompt."""
    return generate(
        lm, task, prompts, specs, seeds=seeds, sampler=sampler, steps=steps, seconds=seconds, least=least
    ).replies()


class Generation(Iterator[tuple[int, str, Any]]):
    """`generate`, under way. Stop iterating to stop generating; `replies` runs to the end and collects."""

    def __init__(self, lm: LanguageModel, voices: list[Voice], sampler: Sampler, capacity: int) -> None:
        self.lm, self.voices, self.sampler, self._capacity = lm, voices, sampler, capacity
        self._alive = [voice for voice in voices if voice.stopped is None]
        self._state: State | None = None
        self._hidden: Tensor = lm.first
        self._masks: dict[tuple[str, tuple[tuple[int, int], ...]], Tensor] = {}
        self._ready: deque[tuple[int, str, Any]] = deque()

    def __next__(self) -> tuple[int, str, Any]:
        while not self._ready:
            if not self._alive:
                raise StopIteration
            with evaluating(self.lm), torch.inference_mode():
                self._step()
        return self._ready.popleft()

    def replies(self) -> list[Reply]:
        """Run to the end: one `Reply` per prompt."""
        for _ in self:
            pass
        return [voice.reply() for voice in self.voices]

    def _step(self) -> None:
        """One column of every sequence that still goes on."""
        if self._state is None:
            self._begin()
        columns = self._draw()
        for voice, cells in zip(self._alive, columns, strict=True):
            self._ready.extend((voice.number, name, item) for name, item in voice.take(cells))
        going = [i for i, voice in enumerate(self._alive) if voice.stopped is None]
        if going:
            self._advance(going, columns)
        self._alive = [self._alive[i] for i in going]

    def _begin(self) -> None:
        grids = [voice.grid() for voice in self._alive]
        batch = collate(grids, [vocab.offset("pad") for vocab in self.lm.vocabs.values()]).to(self.lm.first.device)
        self._state = self.lm.start(len(grids), self._capacity)
        self._hidden = self.lm.prefill(self._state, batch)
        self._seen = {row: torch.zeros(len(grids), v.size, dtype=torch.bool) for row, v in self.lm.vocabs.items()}
        for k, row in enumerate(self.lm.rows):
            for i, grid in enumerate(grids):
                self._seen[row][i, grid.tokens[k]] = True

    def _draw(self) -> list[Cells]:
        """The next column of each sequence: what is given, and for each row what the model draws."""
        columns = [dict(voice.given()) for voice in self._alive]
        # Every sequence draws one number a row, asked or not, so that its chances do not depend on its neighbours.
        chance = torch.stack(
            [torch.rand(len(self.lm.rows), dtype=torch.float64, generator=v.chance) for v in self._alive]
        )
        drawn = self.lm.head.begin(self._hidden)
        for k, (row, vocab) in enumerate(self.lm.vocabs.items()):
            tokens = torch.tensor([column.get(row, (-1, None))[0] for column in columns])
            asked = tokens < 0
            if bool(asked.any()):
                logits = drawn.logits(row)[asked.to(self._hidden.device)].float().cpu()
                at = asked.nonzero()[:, 0].tolist()
                allowed = torch.stack([self._mask(row, self._alive[i].open(row)) for i in at])
                sampler = self.sampler.of(row)
                tokens[asked] = sampler.pick(logits, allowed, chance[asked, k], self._seen[row][asked])
                for i in at:
                    columns[i][row] = int(tokens[i]), None
            for name in ("pad", "end"):  # no symbol of a stream, so never penalised
                self._seen[row][:, vocab.offset(name)] = False
            self._seen[row][torch.arange(len(columns)), tokens] = True
            drawn.take(row, tokens.to(self._hidden.device))
        return [*columns]

    def _advance(self, going: list[int], columns: list[Cells]) -> None:
        """Feed the columns of the sequences that go on; forget the others."""
        assert self._state is not None
        device = self.lm.first.device
        if len(going) < len(columns):
            index = torch.tensor(going)
            self._state = self._state.select(index.to(device))
            self._seen = {row: seen[index] for row, seen in self._seen.items()}
        kept = [columns[i] for i in going]
        column = torch.tensor([[cells[row][0] for row in self.lm.rows] for cells in kept], device=device)
        self._hidden = self.lm.advance(self._state, column, self._dense(kept))

    def _dense(self, columns: list[Cells]) -> dict[str, Tensor]:
        """Continuous stream -> float[n, D], zeros where a sequence has none at this step."""
        dense: dict[str, np.ndarray] = {}
        for i, cells in enumerate(columns):
            for row, (token, values) in cells.items():
                if values is not None:
                    name = self.lm.vocabs[row].name(token)[0]
                    dense.setdefault(name, np.zeros((len(columns), len(values)), np.float32))[i] = values
        return {name: torch.from_numpy(values).to(self.lm.first.device) for name, values in dense.items()}

    def _mask(self, row: str, ranges: tuple[tuple[int, int], ...]) -> Tensor:
        """bool[V]: the tokens in these ranges."""
        mask = self._masks.get((row, ranges))
        if mask is None:
            mask = torch.zeros(self.lm.vocabs[row].size, dtype=torch.bool)
            for first, last in ranges:
                mask[first:last] = True
            self._masks[row, ranges] = mask
        return mask


def _room(lm: LanguageModel, voices: Sequence[Voice], limits: Limits, items: Mapping[str, int]) -> int:
    """Steps to make room for.

    Raises:
        BadInput: they do not fit the context.
    """
    longest, context, window = max(len(voice.prefix) for voice in voices), lm.context, lm.body.window
    new = limits.steps
    if new is None:  # a row holds one item a step, so these many at least
        new = max(sum(n for name, n in items.items() if name in vocab.ranges) for vocab in lm.vocabs.values())
    if context is not None and longest + new > context:
        raise BadInput(
            f"a prompt of {longest} steps and {new} more do not fit {lm.config.name!r}, whose context is {context}; "
            f"shorten the prompt or ask for {max(0, context - longest)} steps at most"
        )
    if window is not None:  # older steps are out of sight, so their place is used again
        return min(longest + window + 1, context or longest + window + 1)
    if limits.steps is None and context is None:
        raise BadInput(
            f"{lm.config.name!r} has neither a context nor a window, so generation needs a limit in steps; give steps"
        )
    return longest + limits.steps if limits.steps is not None else int(context or 0)
