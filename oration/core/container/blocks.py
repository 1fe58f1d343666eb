"""The content of blocks to bytes: many blocks at once, because NumPy is fast only then. `opened.py` is the way back.

    a language model's words | counts of the streams with onsets | packed bits | float32 vectors | entropy-coded words

A sequence is the symbols of a stream, or the gaps between its onsets, in steps. Sequences follow each other in the
order of the streams; where a stream has onsets of its own, its gaps come before its symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oration.core.container import expect, rans
from oration.core.container.about import NONE, ONSETS, About
from oration.core.container.bits import spread, varint, width
from oration.core.container.models import PACKED, Model, change


class Symbols(NamedTuple):
    """Something of a stream that is written as symbols."""

    track: int
    gaps: bool
    size: int


@dataclass(frozen=True, eq=False)
class Items:
    """What some blocks hold of one stream, end to end."""

    counts: np.ndarray
    """int64[blocks]"""
    ids: np.ndarray
    onsets: np.ndarray | None = None
    """int64[items], ticks."""
    values: np.ndarray | None = None
    """float32[items, D]"""


class Coder:
    """How the blocks of one file are written."""

    def __init__(self, about: About, models: Sequence[Model] = (), expecter: expect.Expecter | None = None) -> None:
        self.about, self.expecter = about, expecter
        self.tracks = [track for track in about.tracks if track.time != NONE]
        self.sequences: list[Symbols] = []
        for number, track in enumerate(self.tracks):
            if track.time == ONSETS:
                self.sequences.append(Symbols(number, True, -(-about.ticks // track.step)))
            if not track.spec.dim and track.name not in self.expected:
                self.sequences.append(Symbols(number, False, track.spec.size))
        self.models = list(models) or [Model()] * len(self.sequences)
        self.coded = [n for n, model in enumerate(self.models) if model.way != PACKED]
        self.tables = rans.Tables([self.models[n].frequencies() for n in self.coded])

    @property
    def expected(self) -> tuple[str, ...]:
        """The streams that a language model codes, in its order."""
        return () if self.about.expected is None else self.about.expected.streams

    @property
    def levels(self) -> list[int]:
        """Their numbers among the streams with a time."""
        names = [track.name for track in self.tracks]
        return [names.index(name) for name in self.expected]

    def symbols(self, block: int, items: Sequence[Items]) -> list[np.ndarray]:
        """Each sequence's symbols in the blocks from `block` on, from the items of each stream with a time."""
        made = []
        for track, gaps, _ in self.sequences:
            found = items[track]
            if not gaps or found.onsets is None:
                made.append(found.ids)
                continue
            starts = np.repeat((block + np.arange(len(found.counts))) * self.about.ticks, found.counts)
            before = np.concatenate([starts[:1], found.onsets[:-1]])
            gap = found.onsets - np.where(firsts(found.counts), starts, before)
            made.append(gap // self.tracks[track].step)
        return made

    def encode(self, block: int, items: Sequence[Items]) -> list[bytes]:
        """The content of each of the blocks from `block` on."""
        symbols = self.symbols(block, items)
        bits = self._bits(items, symbols)
        made = []
        for n, words in enumerate(self._words(items, symbols)):
            own = [found for found, track in zip(items, self.tracks, strict=True) if track.time == ONSETS]
            parts = [varint(int(found.counts[n])) for found in own]
            parts.append(np.packbits(np.concatenate([np.zeros(0, np.uint8), *(rows[n] for rows in bits)])).tobytes())
            for found in items:
                if found.values is not None:
                    last = int(found.counts[: n + 1].sum())
                    parts.append(found.values[last - int(found.counts[n]) : last].astype("<f4").tobytes())
            made.append(b"".join([*parts, words]))
        if self.expecter is None:
            return made
        frames = [pieces(items[level].ids, items[level].counts) for level in self.levels]
        coded = (expect.encode(self.expecter.start(), np.stack(rows)) for rows in zip(*frames, strict=True))
        return [expect.joined(words, rest) for words, rest in zip(coded, made, strict=True)]

    def _bits(self, items: Sequence[Items], symbols: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Of every packed sequence, the bits of each block."""
        found = []
        for sequence, model, numbers in zip(self.sequences, self.models, symbols, strict=True):
            if model.way == PACKED:
                bits = width(sequence.size)
                found.append(pieces(spread(numbers, bits).reshape(-1), items[sequence.track].counts * bits))
        return found

    def _words(self, items: Sequence[Items], symbols: Sequence[np.ndarray]) -> list[bytes]:
        """The entropy-coded sequences of each block; nothing where it has no such symbols."""
        counts = [found.counts for found in items]
        of, where, lengths = self.lanes(counts)
        matrix = np.zeros_like(of)
        for n, (steps, lanes) in zip(self.coded, where, strict=True):
            track, _, size = self.sequences[n]
            matrix[steps, lanes] = change(symbols[n], firsts(counts[track]), size, self.models[n].way)
        made = rans.encode(matrix, of, lengths, self.tables)
        return [content if length else b"" for content, length in zip(made, lengths, strict=True)]

    def lanes(self, counts: Sequence[np.ndarray]) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
        """One lane a block: the table at every step, int64[steps, blocks]; where each symbol is; int64[blocks] lengths.

        Args:
            counts: of each stream with a time, int64[blocks].
        """
        lengths = np.zeros(len(counts[0]) if counts else 0, np.int64)
        where = []
        for n in self.coded:
            count = counts[self.sequences[n].track]
            lanes = np.repeat(np.arange(len(count)), count)
            where.append((lengths[lanes] + within(count), lanes))
            lengths = lengths + count
        of = np.zeros((int(lengths.max(initial=0)), len(lengths)), np.int64)
        for table, (steps, lanes) in enumerate(where):
            of[steps, lanes] = table
        return of, where, lengths


def within(counts: np.ndarray) -> np.ndarray:
    """int64[blocks] -> the place of every item in its block.

    >>> within(np.array([2, 0, 3]))
    array([0, 1, 0, 1, 2])
    """
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def firsts(counts: np.ndarray) -> np.ndarray:
    """bool[items]: which of them begin a block."""
    return within(counts) == 0


def pieces(flat: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """An array in pieces of so many."""
    ends = np.cumsum(counts)
    return [flat[a:b] for a, b in zip((ends - counts).tolist(), ends.tolist(), strict=True)]
