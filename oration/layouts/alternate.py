"""How the arms of a Weave alternate: by count, by equal time, or each item at its own onset."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import ClassVar, Protocol

import numpy as np

from oration.core import TICKS, BadInput, Example, Spec, Specs, ticks
from oration.layouts.block import END, Draw, close, switch

ArmWalk = Generator[Draw, str, None]
"""Yields what may come next in the Weave's row; is sent the vocabulary block that came."""


@dataclass(frozen=True, eq=False)
class Slices:
    """Runs of items in the order of the row; all int64[N]."""

    arm: np.ndarray
    """Index of the arm."""
    start: np.ndarray
    stop: np.ndarray
    """Items of that arm; an empty slice is kept, it is silence."""
    owner: np.ndarray
    """The arm whose prediction it is that this slice begins; -1: it follows from counting."""
    item: np.ndarray
    """How many items of the owner lie before."""

    @property
    def sizes(self) -> np.ndarray:
        return self.stop - self.start


class Alternation(Protocol):
    """A way of alternating: a frozen dataclass with these methods."""

    marked: ClassVar[bool]
    """Whether slices need a mark to be told apart."""
    closes: ClassVar[bool]
    """Whether each arm ends by a mark of its own, as one item more; else one `end` ends the Weave."""

    def verify(self, arms: tuple[str, ...], marked: bool) -> None:
        """Raise BadInput if it does not fit the arms, or cannot do without marks."""
        ...

    def cut(self, arms: tuple[str, ...], example: Example, specs: Specs) -> Slices:
        """The slices of a known example."""
        ...

    def walk(self, arms: tuple[str, ...], marked: bool, specs: Specs) -> ArmWalk:
        """The cells of an unknown one."""
        ...

    def enders(self, arms: tuple[str, ...], slices: int) -> tuple[str, ...]:
        """The arms whose prediction the `end` after so many slices is; none where arms close themselves."""
        ...

    def lag(self, arms: tuple[str, ...], specs: Specs) -> dict[str, float | None]:
        """Stream -> seconds between an item and its place on the grid."""
        ...


@dataclass(frozen=True)
class Ratio:
    """So many items of each arm in turn: (13, 26) is GLM-4-Voice, (1, 1, 1, 1) flattens four levels of a codec.

    Whose turn it is follows from counting, so the model chooses only the item, or the arm's own end mark; then the
    other arms go on. (GLM-4-Voice, Zeng et al. 2024, arXiv:2412.02612: the text ends first, the units go on.)
    """

    counts: tuple[int, ...]
    marked: ClassVar[bool] = False
    closes: ClassVar[bool] = True

    def verify(self, arms: tuple[str, ...], marked: bool) -> None:
        if len(self.counts) != len(arms) or min(self.counts) < 1:
            raise BadInput(f"Ratio({self.counts}) in a Weave of {len(arms)} arms; give a count of 1 or more for each")

    def cut(self, arms: tuple[str, ...], example: Example, specs: Specs) -> Slices:
        lengths = [len(example[arm]) + 1 for arm in arms]  # the end mark counts as an item
        rounds = [-(-length // n) for length, n in zip(lengths, self.counts, strict=True)]
        alive = np.arange(max(rounds))[:, None] < np.array(rounds)
        turn, arm = np.nonzero(alive)
        start = turn * np.array(self.counts)[arm]
        stop = np.minimum(start + np.array(self.counts)[arm], np.array(lengths)[arm])
        return Slices(arm, start, stop, np.full_like(arm, -1), np.zeros_like(arm))

    def walk(self, arms: tuple[str, ...], marked: bool, specs: Specs) -> ArmWalk:
        going = dict(zip(arms, self.counts, strict=True))
        while going:
            for arm, items in tuple(going.items()):
                if marked:
                    yield Draw((switch(arm),))
                for _ in range(items):
                    if (yield Draw((arm, close(arm)), (arm,))) == close(arm):
                        del going[arm]
                        break

    def enders(self, arms: tuple[str, ...], slices: int) -> tuple[str, ...]:
        return ()

    def lag(self, arms: tuple[str, ...], specs: Specs) -> dict[str, float | None]:
        """The first item of a slice waits for the last; 0 for streams without a rate."""
        rates = [specs[arm].rate for arm in arms]
        return {a: float((n - 1) / r) if r else 0.0 for a, n, r in zip(arms, self.counts, rates, strict=True)}


@dataclass(frozen=True)
class Chunk:
    """Slices of equal time, one arm after the other. An empty slice is kept: it is silence.

    SyncLLM (Veluri et al. 2024, arXiv:2409.15594), OmniFlatten (Zhang et al. 2024, arXiv:2410.17799). Where a slice
    ends is the choice of its own arm, so the mark that follows it is predicted if that arm is. A regular arm cannot
    hold more items than begin within the chunk.
    """

    seconds: float
    marked: ClassVar[bool] = True
    closes: ClassVar[bool] = False

    def verify(self, arms: tuple[str, ...], marked: bool) -> None:
        if ticks(self.seconds) < 1:
            raise BadInput(f"Chunk({self.seconds}): a chunk's length is in seconds and above 0, such as 0.16")
        if not marked:
            raise BadInput("a Weave by Chunk cannot do without marks (who is silent in a slice?); leave marks=None")

    def cut(self, arms: tuple[str, ...], example: Example, specs: Specs) -> Slices:
        times = [onsets(arm, example, specs) for arm in arms]
        long, n = ticks(self.seconds), len(arms)
        chunks = 1 + max((max(int(t[-1]), 0) // long for t in times if len(t)), default=-1)
        edges = np.arange(1, chunks + 1, dtype=np.int64) * long
        stop = np.stack([np.searchsorted(t, edges) for t in times], 1).astype(np.int64).ravel()
        start = np.concatenate([np.zeros(n, np.int64), stop])[: len(stop)]
        arm = np.tile(np.arange(n), chunks)
        owner, item = np.roll(arm, 1), np.roll(stop, 1)
        owner[:1] = item[:1] = 0
        return Slices(arm, start, stop, owner, item)

    def walk(self, arms: tuple[str, ...], marked: bool, specs: Specs) -> ArmWalk:
        now, until, room, long = arms[0], 0, 0, ticks(self.seconds)
        for chunk in count(1):
            for arm in arms:
                on = (switch(arm), END) if arm == arms[0] else (switch(arm),)
                came = now
                while came == now:
                    came = yield Draw((now, *on) if room else on, (now,), until=until, since=until - long)
                    room -= 1
                if came == END:
                    return
                now, until = arm, long * chunk
                room = _held(specs[arm], until - long, until)

    def enders(self, arms: tuple[str, ...], slices: int) -> tuple[str, ...]:
        return arms[-1:] if slices else arms[:1]

    def lag(self, arms: tuple[str, ...], specs: Specs) -> dict[str, float | None]:
        """A whole chunk: what is said at its beginning is placed when it is over."""
        return dict.fromkeys(arms, float(self.seconds))


@dataclass(frozen=True)
class Time:
    """Every item at its own onset; on a tie, the earlier arm first. SpiRit-LM, Nguyen et al. 2024, arXiv:2402.05755.

    The model chooses when to switch; without marks, by the item it draws. A switch to a stream is its own prediction,
    so with a given arm among predicted ones this is for training and scoring: only time says when that arm goes on.
    """

    marked: ClassVar[bool] = True
    closes: ClassVar[bool] = False

    def verify(self, arms: tuple[str, ...], marked: bool) -> None:
        """Any arms will do."""

    def cut(self, arms: tuple[str, ...], example: Example, specs: Specs) -> Slices:
        times = [onsets(arm, example, specs) for arm in arms]
        of = np.repeat(np.arange(len(arms)), [len(t) for t in times])
        of = of[np.argsort(np.concatenate(times), kind="stable")]
        first = np.flatnonzero(np.diff(of, prepend=-1))
        arm, sizes = of[first], np.diff(np.append(first, len(of)))
        stop = np.zeros_like(arm)
        for k in range(len(arms)):
            stop[arm == k] = np.cumsum(sizes[arm == k])
        return Slices(arm, stop - sizes, stop, arm, stop - sizes)

    def walk(self, arms: tuple[str, ...], marked: bool, specs: Specs) -> ArmWalk:
        now: tuple[str, ...] = () if marked else arms
        while True:
            came = yield Draw((*now, *(switch(arm) for arm in arms if arm not in now), END), arms)
            if came == END:
                return
            if came not in arms:
                now = (came[1:],)
                yield Draw(now, now)

    def enders(self, arms: tuple[str, ...], slices: int) -> tuple[str, ...]:
        return arms

    def lag(self, arms: tuple[str, ...], specs: Specs) -> dict[str, float | None]:
        return dict.fromkeys(arms, 0.0)


def onsets(name: str, example: Example, specs: Specs) -> np.ndarray:
    """int64[T]: when each item begins, in ticks.

    Raises:
        BadInput: a stream without times.
    """
    stream, spec = example[name], specs[name]
    if spec.rate is not None:
        return spec.onsets(len(stream))
    if stream.onsets is None and len(stream):
        raise BadInput(
            f"a Weave by time needs to know when the items of {name!r} begin, but it has neither a rate nor onsets; "
            "give it onsets, or weave by Ratio"
        )
    return stream.ids if stream.onsets is None else stream.onsets


def _held(spec: Spec, start: int, stop: int) -> int:
    """How many items of a regular stream begin from tick `start` to before `stop`; -1, never used up, if irregular."""
    if spec.rate is None:
        return -1
    rate = Fraction(spec.rate)
    first, last = (-(-tick * rate.numerator // (TICKS * rate.denominator)) for tick in (start, stop))
    return last - first
