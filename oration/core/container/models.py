"""How a sequence of symbols is written: as it is, bit by bit, or entropy-coded after a change that makes it plainer."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oration.core.container import rans
from oration.core.container.bits import width

PACKED, PLAIN, REPEATS, STEPS = range(4)
WAYS = ("packed", "coded", "coded, repeats marked", "coded, as differences")
"""What each way is called: `ceil(log2(size))` bits a symbol; entropy-coded; with one symbol more that stands for `the
same again`; as the difference to the symbol before, modulo the size. A block's first symbol has none before it."""
LIMIT = 1 << 24
"""Bytes of tables at most, so that a damaged file does not fill the memory."""
MOST_WEIGHT = 4 * 44
"""Of the bytes that stand for weights, so that their sum stays a number of 64 bits."""


@dataclass(frozen=True, eq=False)
class Model:
    """One of `WAYS`, and the weights of its symbols."""

    way: int = PACKED
    weights: bytes = b""
    """One byte a symbol, see `unfold`."""

    def frequencies(self) -> np.ndarray:
        """int64[symbols], adding up to `rans.TOTAL`."""
        return rans.frequencies(unfold(self.weights))

    def bits(self, counts: np.ndarray) -> float:
        """What symbols that occur int64[symbols] times take, in bits."""
        there = counts > 0
        return float((counts[there] * (rans.SCALE - np.log2(self.frequencies()[there]))).sum())


def fold(counts: np.ndarray) -> bytes:
    """int64[N] -> one byte each, exact up to 8 and within 1/8 above; what occurs never becomes 0.

    The byte 4 e + m stands for m where e is 0, and for (4 + m) * 2**(e - 1) elsewhere. Finer shares would save less
    than they cost.

    >>> unfold(fold(np.array([0, 1, 7, 100, 5000]))).tolist()
    [0, 1, 7, 96, 5120]
    """
    exponent = np.maximum(0, np.floor(np.log2(np.maximum(counts, 1))).astype(np.int64) - 1)
    shift = np.maximum(exponent - 1, 0)
    mantissa = (counts + ((1 << shift) >> 1)) >> shift
    grown = mantissa == 8  # rounded up to the next power of two
    exponent, mantissa = exponent + grown, np.where(grown, 4, mantissa)
    return np.where(exponent > 0, 4 * exponent + mantissa - 4, mantissa).astype(np.uint8).tobytes()


def unfold(weights: bytes) -> np.ndarray:
    """The numbers that `fold` wrote, int64[N]."""
    code = np.frombuffer(weights, np.uint8).astype(np.int64)
    exponent, mantissa = code >> 2, code & 3
    return np.where(exponent > 0, (4 + mantissa) << np.maximum(exponent - 1, 0), mantissa)


def symbols_of(way: int, size: int) -> int:
    """Symbols of an alphabet of `size` after a change."""
    return size + (way == REPEATS)


def change(ids: np.ndarray, first: np.ndarray, size: int, way: int) -> np.ndarray:
    """int64[N] -> int64[N]; bool[N] `first` marks where a block begins.

    >>> change(np.array([7, 7, 2]), np.array([True, False, False]), 9, REPEATS)
    array([7, 9, 2])
    """
    before = np.concatenate([ids[:1], ids[:-1]])
    if way == REPEATS:
        return np.where(~first & (ids == before), size, ids)
    if way == STEPS:
        return np.where(first, ids, (ids - before) % size)
    return ids


def restore(symbols: np.ndarray, first: np.ndarray, size: int, way: int) -> np.ndarray:
    """The inverse of `change`."""
    count = np.arange(len(symbols))
    if way == REPEATS:
        return symbols[np.maximum.accumulate(np.where(symbols < size, count, 0))]
    if way == STEPS and len(symbols):
        total = np.cumsum(symbols)
        origin = np.maximum.accumulate(np.where(first, count, 0))
        return (total - (total - symbols)[origin]) % size
    return symbols


class Counter:
    """How often symbols occur, after every change; then the model that writes them shortest."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items = 0
        ways = (PLAIN, REPEATS, STEPS) if 1 < size <= rans.LARGEST else ()
        self.counts = {way: np.zeros(symbols_of(way, size), np.int64) for way in ways}

    def add(self, ids: np.ndarray, first: np.ndarray) -> None:
        """More of the sequence."""
        self.items += len(ids)
        for way, counts in self.counts.items():
            counts += np.bincount(change(ids, first, self.size, way), minlength=len(counts))

    def best(self) -> tuple[Model, float]:
        """The shortest way, and the bits it saves beside packing. Tables are in a file twice."""
        best, least = Model(), float(self.items * width(self.size))
        packed = least
        for way, counts in self.counts.items():
            model = Model(way, fold(counts))
            bits = model.bits(counts) + 2 * 8 * (len(tables_of([model])) - 6) if self.items else least
            if bits < least:
                best, least = model, bits
        return best, packed - least


def tables_of(models: Sequence[Model]) -> bytes:
    """Models as bytes, the shorter of two ways: deflated, or as Elias' gamma codes where tables are mostly empty."""
    dense = b"\0" + zlib.compress(b"".join(bytes([model.way]) + model.weights for model in models), 9)
    bits = "".join(f"{model.way:02b}" + (_sparse(model.weights) if model.way != PACKED else "") for model in models)
    sparse = b"\1" + int(f"1{bits}", 2).to_bytes(len(bits) // 8 + 1)
    return min(dense, sparse, key=len)


def _sparse(weights: bytes) -> str:
    """How many weights are not 0; then, for each of these, how many zeros are before it, and what it is."""
    at = [place for place, weight in enumerate(weights) if weight]
    gaps = (b - a for a, b in zip([-1, *at], at, strict=False))
    pairs = (_gamma(gap) + _gamma(weights[place]) for gap, place in zip(gaps, at, strict=True))
    return _gamma(len(at) + 1) + "".join(pairs)


def _gamma(number: int) -> str:
    """Elias' gamma code of a number from 1 on: as many zeros as it has binary digits behind the first, then these.

    >>> _gamma(1), _gamma(2), _gamma(13)
    ('1', '010', '0001101')
    """
    return f"{number:0{2 * number.bit_length() - 1}b}"


def models_of(content: bytes, sizes: Sequence[int]) -> list[Model]:
    """The inverse of `tables_of`, for sequences of so many symbols.

    Raises:
        ValueError: these are no tables, or others.
    """
    try:
        models = _dense(content[1:], sizes) if content[:1] == b"\0" else _bits(content[1:], sizes)
    except (zlib.error, IndexError) as damaged:
        raise ValueError(str(damaged)) from damaged
    for model, size in zip(models, sizes, strict=True):
        if model.way == PACKED:
            continue
        if size > rans.LARGEST or len(model.weights) != symbols_of(model.way, size) or max(model.weights) > MOST_WEIGHT:
            raise ValueError("a table does not belong to its stream")
        if int(model.frequencies().sum()) != rans.TOTAL:
            raise ValueError("a table is empty")
    return models


def _dense(content: bytes, sizes: Sequence[int]) -> list[Model]:
    raw, at, models = zlib.decompressobj().decompress(content, LIMIT), 0, []
    for size in sizes:
        way = raw[at]
        count = 0 if way == PACKED else symbols_of(way, size)
        models.append(Model(way, raw[at + 1 : at + 1 + count]))
        at += 1 + count
    return models


def _bits(content: bytes, sizes: Sequence[int]) -> list[Model]:
    bits = f"{int.from_bytes(content):b}"
    at, models = 1, []

    def gamma() -> int:
        nonlocal at
        one = bits.index("1", at)
        at, first = 2 * one - at + 1, one
        return int(bits[first:at], 2)

    for size in sizes:
        way = int(bits[at : at + 2], 2)
        at += 2
        weights = bytearray(0 if way == PACKED else symbols_of(way, min(size, rans.LARGEST)))
        place = -1
        for _ in range(gamma() - 1 if weights else 0):
            place += gamma()
            weights[place] = gamma()
        models.append(Model(way, bytes(weights)))
    return models
