"""Step by step: the model draws what it is asked for, the rest is given. One loop for every layout.

Knows no vocoder and no session: it yields items of streams as they become final.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput, Batch, Example, Spec, Stream, collate
from oration.generate.draw import Drawer
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
    most: Mapping[str, int] | None = None,
    expose: Sequence[str] = (),
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
        most: predicted stream -> items to add before it must end, where the layout lets it.
        expose: streams whose items' vectors the replies hand over (`Reply.hidden`).

    Raises:
        BadInput: no limit, a stream that is missing or does not fit its spec, a continuous stream to predict that the
            head cannot draw, guidance of a task without a condition, or a prompt that does not fit the context
            together with what is asked for.
    """
    if len(seeds) != len(prompts) or not prompts:
        raise BadInput(
            f"generation got {len(prompts)} prompts and {len(seeds)} seeds; give at least one prompt and as many seeds"
        )
    _verify(lm, task, specs, expose)
    limits = Limits(steps=steps, seconds=seconds, least=dict(least or {}), most=dict(most or {}))
    limits.verify(task, specs)
    sampler, exposed = sampler or Sampler(), dict.fromkeys(expose, lm.dim)
    drawer = Drawer(lm, sampler, specs)
    voices = [
        Voice(task, prompt, specs, lm.vocabs, limits, seed, number, exposed)
        for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
    ]
    shadows = [
        Voice(task, _without(prompt, task, specs), specs, lm.vocabs, limits, 0, number)
        for number, prompt in enumerate(prompts if drawer.guided else ())
    ]
    capacity = _room(lm, [*voices, *shadows], limits, limits.items(task, specs))
    return Generation(lm, voices, shadows, drawer, capacity)


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
    most: Mapping[str, int] | None = None,
    expose: Sequence[str] = (),
) -> list[Reply]:
    """As `generate`, to the end: one `Reply` per prompt."""
    return generate(
        lm,
        task,
        prompts,
        specs,
        seeds=seeds,
        sampler=sampler,
        steps=steps,
        seconds=seconds,
        least=least,
        most=most,
        expose=expose,
    ).replies()


class Generation(Iterator[tuple[int, str, Any]]):
    """`generate`, under way. Stop iterating to stop generating; `replies` runs to the end and collects."""

    def __init__(
        self, lm: LanguageModel, voices: list[Voice], shadows: list[Voice], drawer: Drawer, capacity: int
    ) -> None:
        self.lm, self.voices, self.drawer, self._capacity = lm, voices, drawer, capacity
        self._alive = [voice for voice in voices if voice.stopped is None]
        self._shadows = [shadow for shadow in shadows if voices[shadow.number].stopped is None]
        self._state: State | None = None
        self._hidden: Tensor = lm.first
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
        columns, doubles = self.drawer.draw(self._hidden, self._alive, self._shadows)
        for i, (voice, cells) in enumerate(zip(self._alive, columns, strict=True)):
            self._ready.extend((voice.number, name, item) for name, item in voice.take(cells))
            for name in voice.came[-1] if voice.hidden else ():
                voice.hidden[name].append(self._hidden[i].float().cpu().numpy())
        for shadow, cells in zip(self._shadows, doubles, strict=True):
            if shadow.stopped is None:
                shadow.take(cells)
        going = [i for i, voice in enumerate(self._alive) if voice.stopped is None]
        if going:
            self._advance(going, columns, doubles)
        self._alive = [self._alive[i] for i in going]
        self._shadows = [self._shadows[i] for i in going] if self._shadows else []

    def _begin(self) -> None:
        grids = [voice.grid() for voice in (*self._alive, *self._shadows)]
        batch = collate(grids, [vocab.offset("pad") for vocab in self.lm.vocabs.values()]).to(self.lm.first.device)
        self._state = self.lm.start(len(grids), self._capacity)
        self._hidden = self.lm.prefill(self._state, batch)
        self.drawer.begin(self._alive)
        if any(voice.hidden for voice in self._alive):
            self._expose(batch)

    def _expose(self, batch: Batch) -> None:
        """Hand over the vectors of the items that the prompts hold."""
        hidden = self.lm.hidden(batch).float().cpu().numpy()
        for voice, vectors in zip(self._alive, hidden, strict=False):
            for step in range(voice.began, len(voice.prefix)):
                for name in voice.came[step]:
                    voice.hidden[name].append(vectors[step])

    def _advance(self, going: list[int], columns: list[Cells], doubles: list[Cells]) -> None:
        """Feed the columns of the sequences that go on; forget the others."""
        assert self._state is not None
        device, n = self.lm.first.device, len(columns)
        kept = [*going, *(n + i for i in going)] if doubles else going
        cells = [*columns, *doubles]
        if len(going) < n:
            self._state = self._state.select(torch.tensor(kept, device=device))
            self.drawer.keep(going)
            cells = [cells[i] for i in kept]
        column = torch.tensor([[at[row][0] for row in self.lm.rows] for at in cells], device=device)
        self._hidden = self.lm.advance(self._state, column, self._dense(cells) if self.drawer.widths else None)

    def _dense(self, columns: list[Cells]) -> dict[str, Tensor]:
        """Continuous stream -> float[n, D], zeros where a sequence has none at this step."""
        dense: dict[str, np.ndarray] = {}
        for i, cells in enumerate(columns):
            for row, (token, values) in cells.items():
                if values is not None:
                    name = self.lm.vocabs[row].name(token)[0]
                    dense.setdefault(name, np.zeros((len(columns), len(values)), np.float32))[i] = values
        return {name: torch.from_numpy(values).to(self.lm.first.device) for name, values in dense.items()}


def _verify(lm: LanguageModel, task: Task, specs: Mapping[str, Spec], expose: Sequence[str]) -> None:
    """Raises BadInput where the model cannot draw what the task predicts, or what is to be exposed is not there."""
    for name in task.predict:
        if specs[name].dim and not getattr(lm.head, "continuous", False):
            raise BadInput(
                f"task {task.name!r} predicts {name!r}, which is continuous, but {type(lm.head).__name__} draws "
                "only symbols; predict a stream of symbols, or use a head that makes vectors"
            )
    for name in expose:
        if name not in task.layout.streams:
            raise BadInput(
                f"expose={tuple(expose)}: task {task.name!r} has no stream {name!r}; it has {task.layout.streams}"
            )


def _without(prompt: Turns, task: Task, specs: Mapping[str, Spec]) -> Turns:
    """The prompt as guidance compares it: its condition is empty.

    Raises:
        BadInput: the task names no condition, or one that it predicts.
    """
    wrong = [name for name in task.condition if name in task.predict or name not in task.layout.streams]
    if wrong or not task.condition:
        given = [name for name in task.layout.streams if name not in task.predict]
        raise BadInput(
            f"guidance compares with and without a condition, but task {task.name!r} has condition={task.condition}; "
            f"set it to some of its given streams, {given}, or use guidance=1"
        )
    if not isinstance(prompt, Mapping):
        return [cast(Example, _without(turn, task, specs)) for turn in prompt]
    nothing = {
        name: Stream.dense(np.zeros((0, specs[name].dim))) if specs[name].dim else Stream(np.zeros(0, np.int64))
        for name in task.condition
    }
    return {**prompt, **nothing}


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
