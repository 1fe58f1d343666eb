"""Prompts on whole grids, with room for what is to come: where generators that fill in do their work."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput, Example, Spec, Stream, collate
from oration.generate.sampler import Sampler
from oration.generate.voice import Reply, Turns
from oration.lms import LanguageModel, evaluating
from oration.lms.infill import InfillModel
from oration.tasks import Task

USER = "user."
"""What the other party's streams begin with: they do not tell how long an answer is."""

Lengths = Mapping[str, int | Sequence[int]]
"""Predicted stream -> its items, known ones included, for all prompts or for each."""


class Canvas:
    """The grids of some prompts in one batch. `fill` what is asked, row by row; then read off items and replies."""

    def __init__(
        self,
        lm: InfillModel,
        task: Task,
        prompts: Sequence[Turns],
        specs: Mapping[str, Spec],
        seeds: Sequence[int],
        lengths: Lengths | None = None,
        seconds: float | None = None,
    ) -> None:
        """As the generators that use it.

        Raises:
            BadInput: no prompt, seeds of another number, a stream that is missing, or a length that nothing tells.
        """
        if len(seeds) != len(prompts) or not prompts:
            raise BadInput(
                f"filling in got {len(prompts)} prompts and {len(seeds)} seeds; give prompts, and a seed for each"
            )
        self.lm, self.task, self.specs = lm, task, specs
        self.chance = [torch.Generator().manual_seed(seed) for seed in seeds]
        turns = [[prompt] if isinstance(prompt, Mapping) else list(prompt) for prompt in prompts]
        self.known = [{name: len(turn[-1].get(name, ())) for name in task.predict} for turn in turns]
        self.examples = [
            self._blank(turn[-1], _lengths(task, turn[-1], specs, _told(lengths, task, i), seconds))
            for i, turn in enumerate(turns)
        ]
        grids, begins = [], []
        for turn, example, known in zip(turns, self.examples, self.known, strict=True):
            grids.append(task.place([*turn[:-1], example], specs, known, lm.vocabs))
            begins.append(task.place(turn[:-1], specs, None, lm.vocabs).steps if len(turn) > 1 else 0)
        device = lm.first.device
        self.batch = collate(grids, [vocab.offset("pad") for vocab in lm.vocabs.values()]).to(device)
        late = self.batch.position >= torch.tensor(begins, device=device)[:, None]
        self.asked = lm.asked(self.batch) & late[:, None]
        """bool[B, K, S]: the cells to fill; in earlier turns nothing is."""
        given = task.condition or [name for name in task.layout.streams if name not in task.predict]
        self.condition = lm.holds(self.batch, given)
        """bool[B, K, S]: what guidance leaves out: the given streams, or those that the task names."""
        self.levels = [k for k, v in enumerate(lm.vocabs.values()) if any(name in v.ranges for name in task.predict)]
        """The numbers of the rows that predicted streams stand in, in the model's order."""

    def write(self, k: int, sequence: Tensor, step: Tensor, tokens: Tensor) -> None:
        """Put symbols into cells of row k."""
        filled = self.batch.tokens.clone()
        filled[sequence, k, step] = tokens
        self.batch = replace(self.batch, tokens=filled)

    def allowed(self, k: int, cells: Tensor) -> Tensor:
        """bool[n, V] on the CPU: what cells of row k that hold long[n] now may hold: symbols of their stream."""
        vocab = self.lm.vocabs[self.lm.rows[k]]
        mask, cells = torch.zeros(len(cells), vocab.size, dtype=torch.bool), cells.cpu()
        for name in filter(vocab.ranges.__contains__, self.task.predict):
            first, past = vocab.ranges[name]
            mask[(cells >= first) & (cells < past), first:past] = True
        return mask

    def items(self, k: int) -> Iterator[tuple[int, str, Any]]:
        """(number of the prompt, stream, item) of what was filled into row k."""
        vocab = self.lm.vocabs[self.lm.rows[k]]
        vectors = self._vectors()
        for sequence, step in self.asked[:, k].nonzero().tolist():
            name, symbol = vocab.name(int(self.batch.tokens[sequence, k, step]))
            yield sequence, name, vectors[name][sequence, step] if name in vectors else symbol

    def replies(self) -> list[Reply]:
        """One `Reply` per prompt; `steps` are the columns in which something was filled."""
        found: list[dict[str, list[Any]]] = [{name: [] for name in self.task.predict} for _ in self.examples]
        for k in self.levels:
            for number, name, item in self.items(k):
                found[number][name].append(item)
        columns = self.asked.any(1).sum(1).tolist()
        return [Reply(self._joined(i, new), self.known[i], "end", int(columns[i])) for i, new in enumerate(found)]

    def _joined(self, i: int, new: Mapping[str, list[Any]]) -> Example:
        example = dict(self.examples[i])
        for name, items in new.items():
            begin = example[name].cut(0, self.known[i][name])
            if begin.values is None:
                example[name] = Stream(np.concatenate((begin.ids, np.array(items, np.int64))))
            else:
                width = begin.values.shape[1]
                example[name] = Stream.dense(np.concatenate((begin.values, np.array(items).reshape(-1, width))))
        return example

    def _vectors(self) -> dict[str, dict[tuple[int, int], np.ndarray]]:
        """Predicted continuous stream -> (sequence, step) -> its vector."""
        found = {}
        for name, at in self.batch.dense.items():
            if name in self.task.predict:
                places = zip(at.sequence.tolist(), at.step.tolist(), strict=True)
                found[name] = dict(zip(places, at.values.float().cpu().numpy(), strict=True))
        return found

    def _blank(self, prompt: Example, lengths: Mapping[str, int]) -> Example:
        """The prompt with predicted streams at their full length, zeros where nothing is known."""
        example = dict(prompt)
        for name, items in lengths.items():
            begin, dim = prompt.get(name), self.specs[name].dim
            more = items - (0 if begin is None else len(begin))
            ids = np.zeros(0, np.int64) if begin is None else begin.ids
            values = None
            if dim:
                known = np.zeros((0, dim), np.float32) if begin is None or begin.values is None else begin.values
                values = np.concatenate((known, np.zeros((more, dim), np.float32)))
            example[name] = Stream(np.concatenate((ids, np.zeros(more, np.int64))), None, values)
        return example


class Filling(Iterator[tuple[int, str, Any]]):
    """A canvas being filled. Stop iterating to stop the work; `replies` runs to the end and collects."""

    def __init__(self, canvas: Canvas, levels: Iterator[int]) -> None:
        self.canvas, self._levels = canvas, levels
        self._ready: deque[tuple[int, str, Any]] = deque()

    def __next__(self) -> tuple[int, str, Any]:
        while not self._ready:
            with evaluating(self.canvas.lm), torch.inference_mode():
                level = next(self._levels)
            self._ready.extend(self.canvas.items(level))
        return self._ready.popleft()

    def replies(self) -> list[Reply]:
        """Run to the end: one `Reply` per prompt."""
        for _ in self:
            pass
        return self.canvas.replies()


class Filler:
    """What generators that fill in share: everything but how they do it."""

    def fill(self, canvas: Canvas, sampler: Sampler | None) -> Iterator[int]:
        """Fill what is asked; yield the number of each row when it is done."""
        raise NotImplementedError

    def generate(
        self,
        lm: LanguageModel,
        task: Task,
        prompts: Sequence[Turns],
        specs: Mapping[str, Spec],
        *,
        seeds: Sequence[int],
        sampler: Sampler | None = None,
        lengths: Lengths | None = None,
        seconds: float | None = None,
        expose: Sequence[str] = (),
    ) -> Filling:
        """An iterator over (number of the prompt, stream, item): all items of a level when that level is done.

        A sequence's draws depend on its own seed only, so a batch gives what single calls give (but for rounding).

        Args:
            prompts: prepared examples. Given streams are whole; items of predicted streams are a beginning that stays.
            specs: of the streams after the task's operations.
            sampler: how to draw, where there is something to draw.
            lengths: predicted stream -> items in all; default: as long as the first given stream that has a rate.
            seconds: what to add to the known beginning where nothing tells the length.
            expose: none; a vector belongs to a whole grid here, not to an item.

        Raises:
            BadInput: a model that does not fill in, a stream that is missing, a length that nothing tells, or a prompt
                that does not fit the context.
        """
        if not isinstance(lm, InfillModel):
            raise BadInput(
                f"{type(self).__name__} fills grids in, but {lm.config.name!r} is a {type(lm).__name__}; build its "
                "body with causal=False, or leave its LM's generator out"
            )
        if expose:
            raise BadInput(f"{lm.config.name!r} fills in and exposes no vectors, but was asked for {tuple(expose)}")
        canvas = Canvas(lm, task, prompts, specs, seeds, lengths, seconds)
        return Filling(canvas, self.fill(canvas, sampler))

    def complete(
        self,
        lm: LanguageModel,
        task: Task,
        prompts: Sequence[Turns],
        specs: Mapping[str, Spec],
        *,
        seeds: Sequence[int],
        sampler: Sampler | None = None,
        lengths: Lengths | None = None,
        seconds: float | None = None,
        expose: Sequence[str] = (),
    ) -> list[Reply]:
        """As `generate`, to the end: one `Reply` per prompt."""
        return self.generate(
            lm,
            task,
            prompts,
            specs,
            seeds=seeds,
            sampler=sampler,
            lengths=lengths,
            seconds=seconds,
            expose=expose,
        ).replies()


def _told(lengths: Lengths | None, task: Task, number: int) -> dict[str, int]:
    """Predicted stream -> items that one prompt is to have."""
    told = {name: at if isinstance(at, int) else at[number] for name, at in (lengths or {}).items()}
    for name in told:
        if name not in task.predict:
            raise BadInput(f"lengths={told}: task {task.name!r} does not predict {name!r}; it predicts {task.predict}")
    return told


def _lengths(
    task: Task, prompt: Example, specs: Mapping[str, Spec], told: Mapping[str, int], seconds: float | None
) -> dict[str, int]:
    """Predicted stream -> items: as told, or as long as the streams beside it last, or so many seconds more.

    A stream without a rate has an item for each of a given one that it shares steps with, such as phones' durations.
    """
    beside = {n: len(prompt[n]) for n in task.layout.streams if n in prompt and n not in task.predict} | dict(told)
    clocks = [Fraction(n) / Fraction(r) for s, n in beside.items() if (r := specs[s].rate) and not s.startswith(USER)]
    found = {}
    for name in task.predict:
        known, rate = len(prompt.get(name, ())), specs[name].rate
        if name in told:
            found[name] = told[name]
        elif rate is not None and clocks:  # a frame more or less at the end of a recording is no mistake
            found[name] = max(known, math.ceil(clocks[0] * Fraction(rate)))
        elif rate is None and (others := _alongside(task, name, prompt, specs)):
            found[name] = len(prompt[others[0]])
        elif rate is not None and seconds is not None:
            found[name] = known + specs[name].length(seconds)
        else:
            raise BadInput(
                f"task {task.name!r} fills {name!r}, but nothing tells how many items it has: no given stream with a "
                f"rate stands beside it; pass lengths={{{name!r}: ...}}"
            )
        if found[name] < known:
            raise BadInput(
                f"a prompt already has {known} items of {name!r}, more than the {found[name]} it is to have; cut the "
                "prompt or ask for more"
            )
    return found


def _alongside(task: Task, name: str, prompt: Example, specs: Mapping[str, Spec]) -> list[str]:
    """The given streams without a rate whose items have rows of their own in the steps of this stream's."""
    for block in task.layout.blocks:
        rows = list(block.holds().values())
        if hasattr(block, "late") and (name,) in rows:
            return [s for (s,) in rows if s in prompt and s not in task.predict and specs[s].rate is None]
    return []
