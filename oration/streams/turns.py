"""Dialogue out of speech by one: what comes before a pause is the other party's turn, what comes after it the reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from oration.core import BadInput, Example, Spec, Stream
from oration.streams.timed import begun, longest, needed, times


@dataclass(frozen=True)
class TakeTurns:
    """Each `X` of `streams` -> `user.X`, its items up to the cut, and `X`, the rest, whose time begins at the cut.

    It cuts where a word begins, or where a frame does if nothing knows of words; chance chooses among the places in the
    middle of the example. Regular streams are cut at the last frame border that all of them have; irregular ones by
    their onsets; those without any time in proportion. A stream of one item without time (`speaker`) is whole on both
    sides. In a reply it does nothing: there the prompt is the other party's.

    >>> from oration.core import TICKS
    >>> specs = {"units": Spec(9, 10), "text": Spec(9)}
    >>> words = Stream(np.array([1, 2, 3]), np.array([0, 4, 6]) * (TICKS // 10))
    >>> example = {"units": Stream(np.arange(8)), "text": words}
    >>> cut = TakeTurns(("units", "text"))(example, specs, np.random.default_rng(1))
    >>> cut["user.units"].ids, cut["units"].ids, cut["user.text"].ids, cut["text"].ids
    (array([0, 1, 2, 3]), array([4, 5, 6, 7]), array([1]), array([2, 3]))
    >>> cut["text"].onsets / TICKS
    array([0. , 0.2])
    """

    streams: tuple[str, ...]
    prefix: str = "user."
    _: KW_ONLY
    at: str | None = None
    """An irregular stream whose items it does not cut through, such as `text` or `phones`. None: the first of `streams`
    that has onsets."""
    pause: int | None = None
    """Cut where this symbol of `at` begins, such as the silence of `phones`, if it does so in the middle."""
    middle: float = 0.5
    """The share of the example, in its middle, where the cut may lie."""
    learning: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.streams or isinstance(self.streams, str):
            raise BadInput(
                f"TakeTurns cuts streams, but got {self.streams!r}; name them in a tuple, such as ('units',)"
            )
        if not self.prefix:
            raise BadInput("TakeTurns needs a prefix for the other party's streams, such as 'user.'")
        if not 0 <= self.middle <= 1:
            raise BadInput(f"TakeTurns(middle={self.middle}): give a share of the example, from 0 to 1")

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.streams, *((self.at,) if self.at else ()))))

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        return {self.prefix + name: given[name] for name in self.streams}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        whole = longest(self.streams, example, specs)
        cut = self._cut(example, specs, whole, rng)
        regular = [specs[name] for name in self.streams if specs[name].rate is not None]
        slowest = min(regular, key=lambda spec: Fraction(spec.rate or 0), default=None)
        border = cut if slowest is None else _floor(cut, slowest)
        found = dict(example)
        for name in self.streams:
            before, after = _parts(name, example, specs, cut, border, cut / whole if whole else 0.5)
            found |= {self.prefix + name: before, name: after}
        return found

    def _cut(self, example: Example, specs: Mapping[str, Spec], whole: int, rng: np.random.Generator) -> int:
        """The tick to cut at: in a pause if there is one in the middle, else where a word begins, else at a frame."""
        words = self._begins(example, specs, whole)
        for places in words:
            central = places[np.abs(2 * places - whole) <= self.middle * whole]
            if len(central):
                return int(central[rng.integers(len(central))])
        if len(words[-1]):
            return int(words[-1][np.abs(2 * words[-1] - whole).argmin()])
        regular = [specs[name] for name in self.streams if specs[name].rate is not None]
        if not regular or not whole:
            return whole // 2
        slowest = min(regular, key=lambda spec: Fraction(spec.rate or 0))
        frames = slowest.onsets(begun(whole, slowest))
        central = frames[np.abs(2 * frames - whole) <= self.middle * whole]
        return int(central[rng.integers(len(central))]) if len(central) else _floor(whole // 2, slowest)

    def _begins(self, example: Example, specs: Mapping[str, Spec], whole: int) -> list[np.ndarray]:
        """The ticks inside the example where pauses begin, and those where words do."""
        timed = [name for name in self.streams if specs[name].rate is None and example[name].onsets is not None]
        named = self.at or (timed[0] if timed else None)
        if named is None:
            return [np.zeros(0, np.int64)]
        onsets = needed(named, example, specs, "TakeTurns")
        found = [] if self.pause is None else [onsets[example[named].ids == self.pause]]
        others = [name for name in timed if name != named]
        if self.pause is not None and others:  # where nobody pauses, words are better borders than phones
            onsets = needed(others[0], example, specs, "TakeTurns")
        return [np.unique(places[(places > 0) & (places < max(whole, 1))]) for places in (*found, onsets)]


@dataclass(frozen=True)
class SideBySide:
    """The two turns of `TakeTurns` on one clock, each party silent while the other speaks: for full-duplex layouts.

    `user.X` goes on with silence for as long as `X` lasts, and `X` begins with silence for as long as `user.X` does;
    onsets of irregular streams move along. Streams without time stay as they are.

    >>> specs = {"units": Spec(9, 10), "user.units": Spec(9, 10)}
    >>> example = {"user.units": Stream(np.array([1, 2])), "units": Stream(np.array([3]))}
    >>> both = SideBySide(("units",))(example, specs, np.random.default_rng(0))
    >>> both["user.units"].ids, both["units"].ids
    (array([1, 2, 0]), array([0, 0, 3]))
    """

    streams: tuple[str, ...]
    prefix: str = "user."
    _: KW_ONLY
    silence: tuple[int, ...] = (0,)
    """The symbol of silence: one for all streams, or one each. Vectors of silence are zeros."""
    learning: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.streams or len(self.silence) not in (1, len(self.streams)):
            raise BadInput(
                f"SideBySide of {len(self.streams)} streams got {len(self.silence)} symbols of silence; give "
                "one for all or one each"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(name for stream in self.streams for name in (self.prefix + stream, stream))

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        for name in self.needs:
            if given[name].rate is not None and not 0 <= self._symbol(name) < given[name].size:
                raise BadInput(
                    f"SideBySide(silence={self.silence}): {name!r} has the ids 0 to {given[name].size - 1}; give those"
                )
        return {}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        first = longest([self.prefix + name for name in self.streams], example, specs)
        last = longest(self.streams, example, specs)
        found = dict(example)
        for name in self.streams:
            user, spec = self.prefix + name, specs[name]
            if spec.rate is None:
                onsets = example[name].onsets
                if onsets is not None:
                    found[name] = Stream(example[name].ids, onsets + first, example[name].values)
                continue
            before, after = begun(first, spec), begun(last, spec)
            quiet, own = self._symbol(name), len(example[user])
            found[user] = joined(example[user], silent(max(0, before + after - own), quiet, spec))
            found[name] = joined(silent(before, quiet, spec), example[name])
        return found

    def _symbol(self, name: str) -> int:
        at = self.streams.index(name if name in self.streams else name[len(self.prefix) :])
        return self.silence[at if len(self.silence) > 1 else 0]


@dataclass(frozen=True)
class WhoSays:
    """Each timed `X` of `streams` -> `user.X` and `X`: what begins while the user has the floor, and what does later.

    For layouts with both parties on one clock: onsets stay. Items without times stay the agent's. See
    `tokenizers.Channels(floor=True)`. In a reply it does nothing.

    >>> floor = Stream(np.array([1, 0]), np.array([0, 500]))
    >>> example, specs = {"text": Stream(np.arange(3), np.array([0, 300, 500])), "floor": floor}, {"text": Spec(3)}
    >>> said = WhoSays(("text",))(example, specs, np.random.default_rng(0))
    >>> said["user.text"].ids, said["text"].ids, said["text"].onsets
    (array([0, 1]), array([2]), array([500]))
    """

    streams: tuple[str, ...]
    floor: str = "floor"
    prefix: str = "user."
    learning: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[str, ...]:
        return *self.streams, self.floor

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        for name in self.streams:
            if given[name].rate is not None or given[name].dim:
                raise BadInput(f"WhoSays divides symbols with onsets, but {name!r} is {given[name]}; name such streams")
        return {self.prefix + name: given[name] for name in self.streams}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        found, floor = dict(example), example[self.floor]
        changes = floor.onsets if floor.onsets is not None else np.zeros(len(floor), np.int64)
        for name in self.streams:
            ids, onsets = example[name].ids, example[name].onsets
            at = np.searchsorted(changes, onsets if onsets is not None else np.full(len(ids), changes[-1]), "right")
            mine = floor.ids[np.maximum(at - 1, 0)] == 0
            for prefix, here in (("", mine), (self.prefix, ~mine)):
                found[prefix + name] = Stream(ids[here], None if onsets is None else onsets[here])
        return found


def silent(count: int, symbol: int, spec: Spec) -> Stream:
    """`count` items of one symbol, or vectors of zeros."""
    if spec.dim:
        return Stream.dense(np.zeros((count, spec.dim), np.float32))
    return Stream(np.full(count, symbol, np.int64))


def joined(first: Stream, last: Stream) -> Stream:
    """One regular stream after the other."""
    dense = first.values is not None and last.values is not None
    return Stream(
        np.concatenate([first.ids, last.ids]), None, np.concatenate([first.values, last.values]) if dense else None
    )  # fmt: skip


def _floor(tick: int, spec: Spec) -> int:
    """The last frame border up to a tick."""
    return int(spec.onsets(begun(tick + 1, spec))[-1])


def _parts(
    name: str, example: Example, specs: Mapping[str, Spec], cut: int, border: int, share: float
) -> tuple[Stream, Stream]:
    """A stream before and after the cut. Regular streams are cut at the `border`, untimed ones at a `share` of them."""
    stream, onsets = example[name], times(name, example, specs)
    if onsets is None:
        if len(stream) == 1:
            return stream, stream
        at = round(len(stream) * share)
    else:
        at = int(np.searchsorted(onsets, border if specs[name].rate is not None else cut))
    after = stream.cut(at)
    if after.onsets is not None:
        after = Stream(after.ids, after.onsets - border, after.values)
    return stream.cut(0, at), after
