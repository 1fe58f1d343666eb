"""What is known of a stream before any data is read, and how the toolkit counts time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from oration.core.errors import BadInput

TICKS = 705_600_000
"""Ticks per second. Time is counted in whole ticks, never in floating-point seconds: 3 x 0.4 s must equal 1.2 s.

This number divides by every sampling rate in use (8, 16, 22.05, 24, 32, 44.1, 48 kHz), by every frame rate derived
from one by a hop of a power of two, and by 12.5, 25, 50, 75 and 100 Hz, so one item of such a stream is a whole number.
"""


def ticks(seconds: float | Fraction) -> int:
    """Seconds to the nearest tick (1.4 ns)."""
    return round(seconds * TICKS)


@dataclass(frozen=True)
class Spec:
    """A stream's alphabet and clock. Vocabularies, heads, latencies and errors derive from it.

    >>> Spec(512, 50).onsets(3) * 50 // TICKS
    array([0, 1, 2])
    """

    size: int
    """Number of symbols (1 for a continuous stream: a placeholder, its values ride beside the grid)."""
    rate: Fraction | float | int | None = None
    """Items per second; None if items come at `Stream.onsets`, or have no time at all (text)."""
    dim: int = 0
    """Width of a continuous stream's vectors; 0 if discrete."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.dim < 0 or (self.rate is not None and self.rate <= 0):
            raise BadInput(f"a stream needs size >= 1, dim >= 0 and a rate above 0 (or None), but got {self!r}")
        if self.rate is not None:
            object.__setattr__(self, "rate", Fraction(self.rate).limit_denominator(10**6))

    def onsets(self, n: int) -> np.ndarray:
        """int64[n]: the tick at which each of the first `n` items of a regular stream begins."""
        if self.rate is None:
            raise BadInput("this stream has no rate, so its items must bring their own onsets; give Stream(onsets=...)")
        rate = Fraction(self.rate)
        step = TICKS * rate.denominator
        if step % rate.numerator == 0:
            return np.arange(n, dtype=np.int64) * (step // rate.numerator)
        return np.array([i * step // rate.numerator for i in range(n)], dtype=np.int64)

    def length(self, seconds: float) -> int:
        """How many items of a regular stream begin within `seconds` (the last one may be cut short)."""
        if self.rate is None:
            raise BadInput("a stream without a rate has no length in advance; look at len(stream)")
        return max(0, -(-ticks(seconds) * Fraction(self.rate).numerator // (TICKS * Fraction(self.rate).denominator)))

    @property
    def bits_per_second(self) -> float | None:
        """Bitrate of a discrete regular stream with equally likely symbols; None where it is not defined."""
        return None if self.rate is None or self.dim else float(self.rate) * float(np.log2(self.size))


Specs = Mapping[str, Spec]
