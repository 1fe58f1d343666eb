"""The content of blocks from bytes. What cannot be the work of `blocks.Coder` counts as lost, whatever its checksum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oration.core.container import expect, rans
from oration.core.container.about import MOST_ITEMS, ONSETS, RATE, counts_of
from oration.core.container.bits import gather, read_varint, width
from oration.core.container.blocks import Coder, Items, firsts, pieces
from oration.core.container.models import PACKED, restore


@dataclass(frozen=True, eq=False)
class Opened:
    """Some blocks. Items of lost blocks have the id -1 if it is known how many there were, and else are not there."""

    whole: np.ndarray
    """bool[blocks]"""
    items: dict[str, Items]


@dataclass(frozen=True, eq=False)
class _Parts:
    """One block, cut but not yet understood."""

    counts: list[int]
    bits: np.ndarray
    floats: np.ndarray
    words: bytes


def decode(coder: Coder, block: int, contents: Sequence[bytes | None]) -> Opened:
    """The blocks from `block` on; None is one that is lost."""
    end = block + len(contents)
    regular = {track.name: counts_of(track, coder.about, block, end) for track in coder.tracks if track.time == RATE}
    both = [
        None if content is None else expect.split(content) if coder.expected else (b"", content) for content in contents
    ]
    parts = [
        None if two is None else _cut(coder, two[1], {name: int(n[at]) for name, n in regular.items()})
        for at, two in enumerate(both)
    ]
    there = [part for part in parts if part is not None]
    counts = [np.array([part.counts[n] for part in there], np.int64) for n in range(len(coder.tracks))]
    symbols, sound = _symbols(coder, there, counts)
    words = [two[0] for two, part in zip(both, parts, strict=True) if two is not None and part is not None]
    levels = _expected(coder, words, counts, sound)
    if not sound.all():
        fine = iter(sound.tolist())
        return decode(
            coder, block, [c if p is not None and next(fine) else None for c, p in zip(contents, parts, strict=True)]
        )
    whole = np.array([part is not None for part in parts], bool)
    onsets = _onsets(coder, symbols, counts, np.flatnonzero(whole) + block)
    ids = levels | {s.track: found for s, found in zip(coder.sequences, symbols, strict=True) if not s.gaps}
    items = {}
    for n, track in enumerate(coder.tracks):
        found = ids.get(n, np.zeros(int(counts[n].sum()), np.int64))
        made = Items(counts[n], found, onsets.get(track.name), _values(track.spec.dim, n, coder, there, counts))
        items[track.name] = _spread(made, regular[track.name], whole) if track.time == RATE else made
    return Opened(whole, items)


def _cut(coder: Coder, content: bytes, regular: dict[str, int]) -> _Parts | None:
    """A block's parts, or None if they do not fill it exactly."""
    at, counts, named = 0, list[int](), dict[str, int]()
    for track in coder.tracks:
        if track.time == ONSETS:
            try:
                named[track.name], at = read_varint(content, at)
            except ValueError:
                return None
        counts.append(regular[track.name] if track.time == RATE else named[named_by(track.name, track.time)])
    if max(counts, default=0) > MOST_ITEMS:
        return None
    packed = zip(coder.sequences, coder.models, strict=True)
    total = sum(counts[s.track] * width(s.size) for s, model in packed if model.way == PACKED)
    bits = at + -(-total // 8)
    floats = bits + sum(4 * count * track.spec.dim for count, track in zip(counts, coder.tracks, strict=True))
    words = len(content) - floats
    coded = any(counts[coder.sequences[n].track] for n in coder.coded)
    if words % 2 or (words < 4 if coded else words):
        return None
    raw = np.frombuffer(content, np.uint8)
    vectors = np.frombuffer(content[bits:floats], "<f4").astype(np.float32)
    return _Parts(counts, np.unpackbits(raw[at:bits]), vectors, content[floats:])


def named_by(name: str, time: str) -> str:
    """The stream whose count of items a stream has."""
    return name if time == ONSETS else time


def _symbols(coder: Coder, there: list[_Parts], counts: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Each sequence's symbols, and bool[blocks], whether these can be."""
    of, where, lengths = coder.lanes(counts)
    matrix, sound = rans.decode([part.words for part in there], of, lengths, coder.tables)
    sound |= lengths == 0
    places = [0] * len(there)
    symbols = []
    for n, (sequence, model) in enumerate(zip(coder.sequences, coder.models, strict=True)):
        count = counts[sequence.track]
        if model.way == PACKED:
            bits, rows = width(sequence.size), [np.zeros(0, np.uint8)]
            for block, part in enumerate(there):
                size = int(count[block]) * bits
                rows.append(part.bits[places[block] : places[block] + size])
                places[block] += size
            made = gather(np.concatenate(rows).reshape(int(count.sum()), bits))
        else:
            made = restore(matrix[where[coder.coded.index(n)]], firsts(count), sequence.size, model.way)
        sound[np.repeat(np.arange(len(count)), count)[(made < 0) | (made >= sequence.size)]] = False
        if sequence.gaps:  # an item past the end of its block is none of this block
            sums = np.diff(np.concatenate([[0], np.cumsum(made)])[np.concatenate([[0], np.cumsum(count)])])
            sound &= sums < sequence.size
        symbols.append(made)
    return symbols, sound


def _expected(coder: Coder, words: list[bytes], counts: list[np.ndarray], sound: np.ndarray) -> dict[int, np.ndarray]:
    """Number of a stream -> what a language model says its symbols are; `sound` is told where that cannot be."""
    levels = coder.levels
    if not levels or coder.expecter is None:
        return {}
    blocks = [np.zeros((len(levels), 0), np.int64)]
    for block, content in enumerate(words):
        count = int(counts[levels[0]][block])
        found = expect.decode(coder.expecter.start(), content, len(levels), count) if sound[block] else None
        sound[block] &= found is not None
        blocks.append(np.zeros((len(levels), count), np.int64) if found is None else found)
    return dict(zip(levels, np.concatenate(blocks, 1), strict=True))


def _onsets(
    coder: Coder, symbols: list[np.ndarray], counts: list[np.ndarray], blocks: np.ndarray
) -> dict[str, np.ndarray]:
    """Stream -> int64[items], ticks."""
    found = dict[str, np.ndarray]()
    for (n, gaps, _), numbers in zip(coder.sequences, symbols, strict=True):
        if gaps:
            starts = [np.cumsum(row) for row in pieces(numbers * coder.tracks[n].step, counts[n])]
            sums = np.concatenate([np.zeros(0, np.int64), *starts])
            found[coder.tracks[n].name] = sums + np.repeat(blocks * coder.about.ticks, counts[n])
    shared = {t.name: found[t.time] for t in coder.tracks if t.time in found}
    return found | shared


def _values(dim: int, number: int, coder: Coder, there: list[_Parts], counts: list[np.ndarray]) -> np.ndarray | None:
    """float32[items, D] of a continuous stream."""
    if not dim:
        return None
    rows = [np.zeros(0, np.float32)]
    for block, part in enumerate(there):
        before = sum(int(counts[n][block]) * coder.tracks[n].spec.dim for n in range(number))
        rows.append(part.floats[before : before + int(counts[number][block]) * dim])
    return np.concatenate(rows).reshape(-1, dim)


def _spread(items: Items, counts: np.ndarray, whole: np.ndarray) -> Items:
    """Items of the whole blocks -> of all of them: -1 (and not-a-number) where a block is lost."""
    known = np.repeat(whole, counts)
    ids = np.full(len(known), -1, np.int64)
    ids[known] = items.ids
    if items.values is None:
        return Items(counts, ids)
    values = np.full((len(known), items.values.shape[1]), np.nan, np.float32)
    values[known] = items.values
    return Items(counts, ids, None, values)
