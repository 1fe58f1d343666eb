"""An irregular stream as a regular one: what sounds in the middle of each frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from oration.core import TICKS, BadInput, Example, Spec, Stream


@dataclass(frozen=True, kw_only=True)
class Frames:
    """`phones` -> `phones.frames`: in each frame, the item whose span holds the frame's centre.

    Items have onsets only: a span ends where the next one begins. An item too short to hold a centre is lost, which is
    what an alignment at this rate means.

    >>> phones = Stream(np.array([3, 8]), onsets=np.array([0, 30]) * (TICKS // 1000))  # at 0 and 30 ms
    >>> frames = Frames(rate=50)({"phones": phones}, {"phones": Spec(40)}, np.random.default_rng(0))["phones.frames"]
    >>> frames.ids  # the centres are at 10, 30 and 50 ms; the last item gets the frame it begins in, and no more
    array([3, 8])
    """

    stream: str = "phones"
    rate: float = 50.0
    """Frames per second."""
    like: str | None = None
    """A regular stream beside it whose duration the frames take. None: they end with the frame the last item begins in,
    so close the stream with an item that marks its end, or name a stream here."""
    fill: int = 0
    """The id of frames before the first onset."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream,) if self.like is None else (self.stream, self.like)

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        spec = given[self.stream]
        if spec.rate is not None or spec.dim:
            raise BadInput(
                f"Frames spreads an irregular, discrete stream, but {self.stream!r} has rate {spec.rate} and vectors "
                f"of width {spec.dim}; name a stream whose items bring onsets"
            )
        if not 0 <= self.fill < spec.size:
            raise BadInput(
                f"Frames(fill={self.fill}): {self.stream!r} has the ids 0 to {spec.size - 1}; give one of them"
            )
        if self.like is not None and given[self.like].rate is None:
            raise BadInput(
                f"Frames(like={self.like!r}): that stream has no rate, so no known duration; name a regular one"
            )
        return {f"{self.stream}.frames": Spec(spec.size, self.rate)}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        stream, length = example[self.stream], 0
        if self.like is not None:
            length = _begun(int(specs[self.like].onsets(len(example[self.like]) + 1)[-1]), self.rate)
        elif stream.onsets is not None and len(stream):
            length = _begun(int(stream.onsets[-1]) + 1, self.rate)
        return {**example, f"{self.stream}.frames": spread(stream, self.rate, length, self.fill)}


def spread(stream: Stream, rate: float, length: int, fill: int = 0) -> Stream:
    """The item of an irregular stream under the centre of each of `length` frames at `rate` per second.

    Raises:
        BadInput: items without onsets.
    """
    if stream.onsets is None:
        if len(stream):
            raise BadInput(
                f"a stream of {len(stream)} items without onsets cannot be spread over frames; give its onsets"
            )
        return Stream(np.full(length, fill))
    edges = Spec(1, rate).onsets(length + 1)
    centres = (edges[:-1] + edges[1:]) // 2
    under = np.searchsorted(stream.onsets, centres, "right")
    return Stream(np.concatenate([[fill], stream.ids])[under])


def _begun(end: int, rate: float) -> int:
    """How many frames begin before the tick `end`."""
    exact = Fraction(Spec(1, rate).rate or 1)
    return -(-end * exact.numerator // (TICKS * exact.denominator))
