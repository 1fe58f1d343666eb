"""A ring of (position, time) pairs: when which sample came, for the last minute, in constant memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left


class Marks:
    """At most `size` pairs, at least `apart` positions from each other; older ones are forgotten."""

    def __init__(self, size: int, apart: int) -> None:
        self._size, self._apart = size, apart
        self._positions, self._times = array("q"), array("d")
        self._next = 0  # where the ring is overwritten, once it is full

    def add(self, position: int, now: float) -> None:
        """All before `position` is there at `now` seconds. Positions do not fall."""
        positions = self._positions
        if len(positions) > 1 and position - positions[self._next - 2] < self._apart:  # the last one need not stay
            positions[self._next - 1], self._times[self._next - 1] = position, now
        elif len(positions) < self._size:
            positions.append(position)
            self._times.append(now)
        else:
            positions[self._next], self._times[self._next] = position, now
            self._next = (self._next + 1) % self._size

    def when(self, position: int) -> float | None:
        """When the sample before `position` was there, in seconds; None: not yet, or too long ago."""
        at, n = self._next, len(self._positions)
        i = bisect_left(range(n), position, key=lambda k: self._positions[(at + k) % n])
        if i == n or (i == 0 and n == self._size and self._positions[at] - position >= self._apart):
            return None
        return self._times[(at + i) % n]
