"""From clips to batches. A batch is a pure function of (seed, step), which is what makes resuming exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from oration.core import GIVEN, BadInput, Batch, Example, Grid, Spec, Specs, Waveform, pack, ticks
from oration.core.spec import TICKS
from oration.data.manifest import Clip
from oration.layouts import fits


class Source(Protocol):
    """Where a feed gets its material."""

    rate: int
    specs: dict[str, Spec]

    @property
    def clips(self) -> Sequence[Clip]: ...

    def wave(self, index: int) -> Waveform:
        """The recording of clip `index` at `rate` Hz."""
        ...

    def example(self, index: int) -> Example:
        """Its streams, as tokenizers and labels give them."""
        ...


@dataclass(frozen=True)
class Mix:
    """Which corpora, and how much of each. A name is a corpus, or corpus/speaker; empty means all, by duration."""

    corpora: Mapping[str, float] = field(default_factory=dict)

    def weights(self, clips: Sequence[Clip]) -> np.ndarray:
        """float64[clips]: how often each clip is drawn (by duration within its corpus), summing to 1.

        Raises:
            BadInput: a corpus without a clip.
        """
        seconds = np.array([clip.seconds for clip in clips], np.float64)
        if not self.corpora:
            return seconds / seconds.sum()
        weights = np.zeros(len(clips))
        for name, share in self.corpora.items():
            corpus, _, speaker = name.partition("/")
            mine = np.array([c.corpus == corpus and speaker in ("", c.speaker) for c in clips], bool)
            if not mine.any():
                raise BadInput(
                    f"the data holds no clip of {name!r}, which the recipe mixes in at {share}; "
                    f"it has {sorted({c.corpus for c in clips})}, so prepare that corpus or change the mix with --set"
                )
            weights[mine] += share * seconds[mine] / seconds[mine].sum()
        return weights / weights.sum()


def generator(*seed: int) -> np.random.Generator:
    """Chance that depends on these numbers alone."""
    return np.random.default_rng(list(seed))


@dataclass(frozen=True, kw_only=True)
class Crops:
    """Random windows of clips, every stream cut to the same span: for encoders, codecs and vocoders."""

    streams: tuple[str, ...]
    """`wave` and any regular or one-item streams."""
    seconds: float
    batch: int
    operations: tuple[Any, ...] = ()
    """Applied to a whole clip's streams before cutting (labels to frames, for instance)."""
    parallel: ClassVar[bool] = True
    """Several threads may make batches at once."""

    def tiny(self) -> Crops:
        return replace(self, seconds=0.4, batch=2)

    def reads(self, specs: Specs) -> tuple[str, ...]:
        """The streams of a recording that it needs, from the specs of all that are known."""
        made: set[str] = set().union(*(operation.specs(specs) for operation in self.operations))
        needs = {name for operation in self.operations for name in operation.needs}
        return tuple(sorted((set(self.streams) - made) | needs))

    def specs(self, source: Source) -> dict[str, Spec]:
        """All streams of the source and those that the operations add."""
        specs = dict(source.specs)
        for operation in self.operations:
            specs |= operation.specs(specs)
        return specs

    def batches(self, source: Source, mix: Mix, seed: int, part: Any = None) -> Callable[[int], dict[str, Tensor]]:
        """A function step -> batch, for any part: waves float[B, T] and streams long[B, F], padded with 0 and -1."""
        specs = self.specs(source)
        for name in self.streams:
            if name != "wave" and name not in specs:
                raise BadInput(
                    f"nothing gives the stream {name!r} that training asks for; known: wave, {', '.join(specs)}"
                )
        weights = mix.weights(source.clips)
        cumulative = np.cumsum(weights)
        rates = [Fraction(specs[name].rate or 0) for name in self.streams if name != "wave" and specs[name].rate]
        frame = int(TICKS / min(rates, default=Fraction(100)))

        def batch(step: int) -> dict[str, Tensor]:
            rng = generator(seed, step)
            chosen = np.searchsorted(cumulative, rng.random(self.batch) * cumulative[-1], side="right")
            rows = []
            for index in np.minimum(chosen, len(weights) - 1):
                spare = max(0.0, source.clips[index].seconds - self.seconds)
                start = int(rng.random() * (ticks(spare) // frame + 1)) * frame
                rows.append(self.crop(source, specs, int(index), start))
            return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

        return batch

    def crop(self, source: Source, specs: Specs, index: int, start: int) -> dict[str, np.ndarray]:
        """One window of clip `index` from tick `start`, padded to full length."""
        wave = source.wave(index)
        row: dict[str, np.ndarray] = {}
        if "wave" in self.streams:
            first = start * source.rate // TICKS
            row["wave"] = _fit(wave.samples[first:], round(self.seconds * source.rate), 0.0)
        row["seconds"] = np.array(min(self.seconds, max(0.0, wave.seconds - start / TICKS)), np.float32)
        if set(self.streams) == {"wave"}:
            return row
        example = source.example(index)
        for operation in self.operations:
            example = example | operation(example, specs, generator(index))
        for name in self.streams:
            if name == "wave":
                continue
            stream, spec = example[name], specs[name]
            if spec.rate is None:
                if len(stream) != 1:
                    raise BadInput(f"stream {name!r} is neither regular nor one item a clip, so it cannot be cropped")
                row[name] = np.array(stream.ids[0])
                continue
            first, count = int(start * spec.rate // TICKS), round(self.seconds * spec.rate)
            if stream.values is None:
                row[name] = _fit(stream.ids[first:], count, -1)
            else:
                row[name] = _fit(stream.values[first:], count, 0.0)
        return row


def _fit(values: np.ndarray, count: int, fill: float) -> np.ndarray:
    values = values[:count]
    if len(values) == count:
        return values
    padded = np.full((count, *values.shape[1:]), fill, values.dtype)
    padded[: len(values)] = values
    return padded


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Grids laid end to end in lines of `length` steps: for language models.

    A grid of nothing but predicted symbols is cut where a line ends, so that no step is wasted. What has given cells or
    vectors is kept whole, since its end means little without its beginning, and lines are padded.
    """

    length: int | None = 512
    """Steps of a line; None: one grid a line, as long as it is."""
    batch: int = 8
    tasks: tuple[str, ...] = ()
    """Which tasks of the LM are trained, in equal shares; empty: all of them."""

    def tiny(self) -> Packed:
        return replace(self, length=None, batch=2)

    def batches(self, source: Source, mix: Mix, seed: int, part: Any) -> Callable[[int], Batch]:
        """A function step -> batch. An epoch is one draw of every clip, in an order of its own.

        Raises:
            BadInput: a task that the LM does not have, a delay longer than the clips, or no grid that fits a line.
        """
        plan = _Plan(self, source, mix, seed, part)
        return plan.batch

    def chosen(self, tasks: Sequence[Any]) -> list[Any]:
        """Those of an LM's tasks that are trained.

        Raises:
            BadInput: there is no such task.
        """
        named = {task.name: task for task in tasks}
        for name in self.tasks:
            if name not in named:
                raise BadInput(f"training asks for the task {name!r}, but the LM has {list(named)}; name one of them")
        return [named[name] for name in self.tasks or named]


OPEN = 16
"""Lines kept open at once, so that whole grids find one with room."""


class _Plan:
    """The lines of one epoch at a time."""

    def __init__(self, feed: Packed, source: Source, mix: Mix, seed: int, lm: Any) -> None:
        self.feed, self.source, self.seed, self.lm = feed, source, seed, lm
        self.weights = mix.weights(source.clips)
        self.even = not mix.corpora
        self.tasks = [(task, task.specs(source.specs)) for task in feed.chosen(lm.config.tasks)]
        for task, specs in self.tasks:
            fits(task.layout, specs, max((clip.seconds for clip in source.clips), default=math.inf))
        self.epoch, self.lines = -1, list[list[Grid]]()
        self._open(0)
        self.steps_per_epoch = max(1, len(self.lines) // feed.batch)

    def batch(self, step: int) -> Batch:
        epoch, at = divmod(step, self.steps_per_epoch)
        self._open(epoch)
        chosen = [self.lines[(at * self.feed.batch + i) % len(self.lines)] for i in range(self.feed.batch)]
        return pack(chosen, [self.lm.vocabs[row].offset("pad") for row in chosen[0][0].rows], self.feed.length)

    def _open(self, epoch: int) -> None:
        if epoch == self.epoch:
            return
        rng, clips = generator(self.seed, epoch, 1), len(self.source.clips)
        order = rng.permutation(clips) if self.even else rng.choice(clips, clips, p=self.weights)
        lines = _Lines(self.feed.length)
        for index in order:
            grid = self._grid(epoch, int(index))
            if self.feed.length is None:
                lines.full.append([grid])
            elif grid.dense or bool((grid.role == GIVEN).any()):
                lines.add(grid)
            else:
                lines.pour(grid)
        if not lines.done():
            raise BadInput(
                f"none of the {clips} clips fits a line of {self.feed.length} steps (the shortest has "
                f"{lines.shortest}); raise feed.length, or cut the clips"
            )
        self.lines = [lines.done()[i] for i in rng.permutation(len(lines.done()))]
        self.epoch = epoch

    def _grid(self, epoch: int, index: int) -> Grid:
        rng = generator(self.seed, epoch, 2, index)
        task, specs = self.tasks[int(rng.integers(len(self.tasks))) if len(self.tasks) > 1 else 0]
        example = task.prepare(self.source.example(index), self.source.specs, rng)
        return task.layout.place([example], specs, task.predict, vocabs=self.lm.vocabs)


class _Lines:
    """Lines being filled."""

    def __init__(self, length: int | None) -> None:
        self.length, self.full = length, list[list[Grid]]()
        self.poured: list[Grid] = []
        self.room = length or 0
        self.open: list[tuple[int, list[Grid]]] = []
        self.shortest: int | None = None

    def pour(self, grid: Grid) -> None:
        """A grid that may be cut, behind the last such one."""
        at = 0
        while at < grid.steps:
            take = min(self.room, grid.steps - at)
            self.poured.append(_window(grid, at, at + take))
            at, self.room = at + take, self.room - take
            if self.room == 0:
                self.full.append(self.poured)
                self.poured, self.room = [], self.length or 0

    def add(self, grid: Grid) -> None:
        """A whole grid, into the open line that it fills best. One longer than a line is left out."""
        self.shortest = min(grid.steps, self.shortest or grid.steps)
        fits = [(room - grid.steps, k) for k, (room, _) in enumerate(self.open) if room >= grid.steps]
        length = self.length or 0
        if grid.steps > length:
            return
        left, k = min(fits, default=(length - grid.steps, len(self.open)))
        line = self.open.pop(k)[1] if fits else []
        line.append(grid)
        self.open.append((left, line))
        if len(self.open) > OPEN:
            self.open.sort(key=lambda entry: entry[0])
            self.full.append(self.open.pop(0)[1])

    def done(self) -> list[list[Grid]]:
        """All lines."""
        return [*self.full, *([self.poured] if self.poured else []), *(line for _, line in self.open)]


def _window(grid: Grid, start: int, stop: int) -> Grid:
    if (start, stop) == (0, grid.steps):
        return grid
    return Grid(grid.tokens[:, start:stop], grid.role[:, start:stop], grid.rows)
