"""Streams on their way into a file: what was pushed waits, on the disk where it is much, until the file is closed."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from oration.core.container.about import MOST_BLOCKS, MOST_ITEMS, NONE, ONSETS, RATE, About, Track
from oration.core.container.bits import width
from oration.core.container.blocks import Items
from oration.core.errors import BadInput
from oration.core.spec import Spec
from oration.core.stream import Stream

IN_MEMORY = 1 << 20
"""Bytes of an array that wait in memory; what is more waits on the disk."""


class Waiting:
    """Numbers that wait to be written: appended now, taken in the same order later, as often as wanted."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = np.dtype(kind)
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(folder))  # noqa: SIM115 closed with us

    def append(self, numbers: np.ndarray) -> None:
        """More of them."""
        self.file.write(np.ascontiguousarray(numbers, self.kind).tobytes())

    def take(self, count: int) -> np.ndarray:
        """The next ones after the last `rewind`."""
        return np.frombuffer(self.file.read(count * self.kind.itemsize), self.kind)


class Lane:
    """One stream on its way into a file. The first items say whether it has onsets."""

    def __init__(self, name: str, spec: Spec, about: About, folder: Path) -> None:
        self.name, self.spec, self.about = name, spec, about
        octets = next(n for n in (1, 2, 4, 8) if 8 * n > width(spec.size))
        self.ids, self.onsets = Waiting(f"i{octets}", folder), Waiting("i8", folder)
        self.values = Waiting("f4", folder)
        self.timed = False
        self.items, self.last, self.step = 0, 0, about.ticks
        self.counts = np.zeros(0, np.int64)
        """Of a stream with onsets, its items in each block."""
        self.digest = hashlib.blake2b(digest_size=16)

    def push(self, stream: Stream) -> None:
        """More items.

        Raises:
            BadInput: an id outside the alphabet; or onsets that are missing, run backwards or lie too far ahead.
        """
        stream.verify(self.name, self.spec)
        if not self.items:
            self.timed = stream.onsets is not None
        if not len(stream):
            return
        if (stream.onsets is not None) != self.timed:
            raise BadInput(f"the stream {self.name!r} has onsets in one piece and none in another; give all or none")
        if stream.onsets is not None:
            self._times(stream.onsets)
            self.onsets.append(stream.onsets)
        self.ids.append(stream.ids)
        if stream.values is not None:
            self.values.append(stream.values)
        self.items += len(stream)

    def _times(self, onsets: np.ndarray) -> None:
        """Count them by block."""
        first, last = int(onsets[0]), int(onsets[-1])
        if first < self.last:
            raise BadInput(
                f"the stream {self.name!r} has an item at tick {first}, but it had come to {self.last}, "
                "expected no way back; push the items of a stream in the order of time, from 0 on"
            )
        if last // self.about.ticks >= MOST_BLOCKS:
            raise BadInput(
                f"the stream {self.name!r} has an item at tick {last}, expected at most {MOST_BLOCKS} blocks of "
                f"{self.about.block} s; make blocks longer, or look whether the onsets are ticks"
            )
        counts = np.bincount(onsets // self.about.ticks, minlength=len(self.counts))
        counts[: len(self.counts)] += self.counts
        if int(counts.max()) > MOST_ITEMS:
            raise BadInput(
                f"the stream {self.name!r} has {int(counts.max())} items in {self.about.block} s, expected at most "
                f"{MOST_ITEMS}; make blocks shorter"
            )
        self.last, self.counts = last, counts
        self.step = int(np.gcd.reduce(onsets, initial=self.step))
        self.digest.update(np.ascontiguousarray(onsets, "<i8").tobytes())

    def track(self, written: Mapping[tuple[bytes, int], str]) -> Track:
        """What the header says of it; `written` are the streams whose onsets stand in the file already."""
        time = NONE if self.spec.rate is None else RATE
        if self.timed:
            time = written.get((self.digest.digest(), self.items), ONSETS)
        return Track(name=self.name, spec=self.spec, time=time, items=self.items, step=self.step)

    def rewind(self) -> None:
        """Take from the beginning again."""
        for waiting in (self.ids, self.onsets, self.values):
            waiting.file.seek(0)

    def take(self, counts: np.ndarray) -> Items:
        """The items of the next blocks."""
        total = int(counts.sum())
        onsets = self.onsets.take(total) if self.timed else None
        values = self.values.take(total * self.spec.dim).reshape(total, self.spec.dim) if self.spec.dim else None
        return Items(counts, self.ids.take(total).astype(np.int64), onsets, values)
