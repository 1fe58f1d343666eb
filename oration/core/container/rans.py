"""Entropy coding of many sequences at once: range asymmetric numeral systems (rANS), one coder a lane, in NumPy.

Duda 2013, arXiv:1311.2540, section 3. The state lies in [2**16, 2**32) and gives or takes 16 bits at a time, so that a
symbol never moves more than one word; frequencies add up to 2**15. What a lane holds:

    the state behind the last symbol, high word first | words as the decoder asks for them
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SCALE = 15
TOTAL = 1 << SCALE
LOW = 1 << 16
LARGEST = 1 << 13
"""Symbols of the largest alphabet that is coded: every symbol that occurs has a share of `TOTAL`."""
FEW = 8
"""Lanes that are faster one by one."""


class Tables:
    """Frequencies of several alphabets, each int64[size], adding up to `TOTAL`."""

    def __init__(self, frequencies: Sequence[np.ndarray]) -> None:
        sizes = [len(table) for table in frequencies]
        self.base = np.cumsum([0, *sizes])[:-1].astype(np.int64)
        self.frequency = np.concatenate([np.zeros(0, np.int64), *frequencies])
        starts = [np.cumsum(table) - table for table in frequencies]
        self.start = np.concatenate([np.zeros(0, np.int64), *starts])
        ranks = [np.repeat(np.arange(len(table), dtype=np.uint16), table) for table in frequencies]
        self.symbol = np.concatenate([np.zeros(0, np.uint16), *ranks])
        """Of every table, the symbol of each of the `TOTAL` slots."""


def frequencies(weights: np.ndarray) -> np.ndarray:
    """int64[size] of weights -> frequencies that add up to `TOTAL`; a symbol without weight has none.

    Each of the n symbols with a weight gets 1 + floor(weight * (TOTAL - n) / sum); the heaviest (the first of them)
    gets what is left. Whole numbers only, so every machine gets the same.

    >>> frequencies(np.array([0, 3, 1])).tolist()
    [0, 24576, 8192]
    """
    total, present = int(weights.sum()), weights > 0
    if not total:
        return np.zeros(len(weights), np.int64)
    shares = np.where(present, 1 + weights * (TOTAL - int(present.sum())) // total, 0)
    shares[int(np.argmax(weights))] += TOTAL - int(shares.sum())
    return shares


def encode(symbols: np.ndarray, of: np.ndarray, lengths: np.ndarray, tables: Tables) -> list[bytes]:
    """Sequences side by side -> the bytes of each.

    Args:
        symbols: int64[K, L], the sequence of lane l in its first `lengths[l]` places.
        of: int64[K, L], the table of each symbol.
        lengths: int64[L].
    """
    steps, lanes = symbols.shape
    at = tables.base[of] + symbols
    active = np.arange(steps)[:, None] < lengths
    frequency = np.where(active, tables.frequency[np.where(active, at, 0)], TOTAL)
    start = np.where(active, tables.start[np.where(active, at, 0)], 0)
    state = np.full(lanes, LOW, np.int64)
    words, sent = np.zeros((steps, lanes), np.uint16), np.zeros((steps, lanes), bool)
    for step in range(steps - 1, -1, -1):
        f = frequency[step]
        full = state >= f << (32 - SCALE)
        words[step], sent[step] = state & 0xFFFF, full
        state = np.where(full, state >> 16, state)
        # A frequency of TOTAL, which a lane past its end has, leaves the state as it is.
        whole, rest = np.divmod(state, f)
        state = (whole << SCALE) + rest + start[step]
    flat, ends = words.T[sent.T].astype("<u2"), np.cumsum(sent.sum(0))
    heads = np.stack([state >> 16, state & 0xFFFF], 1).astype("<u2")
    return [
        heads[lane].tobytes() + flat[first:last].tobytes()
        for lane, (first, last) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
    ]


def decode(
    contents: Sequence[bytes], of: np.ndarray, lengths: np.ndarray, tables: Tables
) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `encode`: int64[K, L] (zeros past a lane's end), and bool[L], whether a lane came out even.

    Bytes that `encode` did not make give some symbols or other and False.
    """
    steps, lanes = of.shape
    if lanes <= FEW:
        return _few(contents, of, lengths, tables)
    sizes = np.array([len(content) // 2 for content in contents], np.int64)
    words = np.frombuffer(b"".join(c[: 2 * n] for c, n in zip(contents, sizes, strict=True)) + b"\0\0\0\0", "<u2")
    words = words.astype(np.int64)
    end = np.cumsum(sizes)
    place = end - sizes
    state = (words[place] << 16) | words[np.minimum(place + 1, len(words) - 1)]
    place = np.minimum(place + 2, len(words) - 1)
    symbols = np.zeros((steps, lanes), np.int64)
    slots, bases = of << SCALE, tables.base[of]
    shortest = int(lengths.min())
    for step in range(steps):
        slot = state & (TOTAL - 1)
        symbol = tables.symbol[slots[step] + slot].astype(np.int64)
        at = bases[step] + symbol
        after = tables.frequency[at] * (state >> SCALE) + slot - tables.start[at]
        ask = after < LOW
        after = np.where(ask, (after << 16) | words[place], after)
        if step >= shortest:
            active = step < lengths
            symbol, after, ask = np.where(active, symbol, 0), np.where(active, after, state), ask & active
        symbols[step], state = symbol, after
        place = np.minimum(place + ask, len(words) - 1)
    return symbols, (sizes >= 2) & (state == LOW) & (place == end)


def _few(
    contents: Sequence[bytes], of: np.ndarray, lengths: np.ndarray, tables: Tables
) -> tuple[np.ndarray, np.ndarray]:
    """As `decode`, symbol by symbol."""
    symbols, even = np.zeros(of.shape, np.int64), np.zeros(len(contents), bool)
    for lane, content in enumerate(contents):
        words = np.frombuffer(content[: len(content) // 2 * 2], "<u2").tolist()
        if len(words) < 2:
            continue
        state, place, found = words[0] << 16 | words[1], 2, []
        for table in of[: int(lengths[lane]), lane].tolist():
            slot = state & (TOTAL - 1)
            symbol = tables.symbol.item((table << SCALE) + slot)
            at = tables.base.item(table) + symbol
            state = tables.frequency.item(at) * (state >> SCALE) + slot - tables.start.item(at)
            if state < LOW:
                state = state << 16 | (words[place] if place < len(words) else 0)
                place += 1
            found.append(symbol)
        symbols[: len(found), lane] = found
        even[lane] = state == LOW and place == len(words)
    return symbols, even
