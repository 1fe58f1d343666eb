"""How a sequence of symbols is written: as it is, bit by bit, or entropy-coded after a change that makes it plainer."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oration.core.container import rans
from oration.core.container.bits import read_varint, varint, width

PACKED, PLAIN, REPEATS, STEPS = range(4)
WAYS = ("packed", "coded", "coded, repeats marked", "coded, as differences")
"""What each way is called: `ceil(log2(size))` bits a symbol; entropy-coded; with one symbol more that stands for `the
same again`; as the difference to the symbol before, modulo the size. A block's first symbol has none before it."""
LIMIT = 1 << 24
"""Bytes of tables at most, so that a damaged file does not fill the memory."""


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
    """int64[N] -> one byte each, exact up to 32 and within 1/32 above; what occurs never becomes 0.

    The byte 16 e + m stands for m where e is 0, and for (16 + m) * 2**(e - 1) elsewhere.

    >>> unfold(fold(np.array([0, 1, 31, 100, 5000]))).tolist()
    [0, 1, 31, 100, 4992]
    """
    scale = max(1, -(-int(counts.max(initial=0)) // (31 << 14)))
    counts = np.where(counts > 0, np.maximum(1, counts // scale), 0)
    exponent = np.maximum(0, np.floor(np.log2(np.maximum(counts, 1))).astype(np.int64) - 3)
    shift = np.maximum(exponent - 1, 0)
    mantissa = (counts + ((1 << shift) >> 1)) >> shift
    grown = mantissa == 32  # rounded up to the next power of two
    exponent, mantissa = exponent + grown, np.where(grown, 16, mantissa)
    over = exponent > 15
    exponent, mantissa = np.where(over, 15, exponent), np.where(over, 31, mantissa)
    return np.where(exponent > 0, 16 * exponent + mantissa - 16, mantissa).astype(np.uint8).tobytes()


def unfold(weights: bytes) -> np.ndarray:
    """The numbers that `fold` wrote, int64[N]."""
    code = np.frombuffer(weights, np.uint8).astype(np.int64)
    exponent, mantissa = code >> 4, code & 15
    return np.where(exponent > 0, (16 + mantissa) << np.maximum(exponent - 1, 0), mantissa)


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
            bits = model.bits(counts) + 2 * 8 * (len(zlib.compress(model.weights, 9)) - 8) if self.items else least
            if bits < least:
                best, least = model, bits
        return best, packed - least


def tables_of(models: Sequence[Model]) -> bytes:
    """Models as bytes: for each its way, the number of its weights, and these; all of it deflated."""
    parts = (bytes([model.way]) + varint(len(model.weights)) + model.weights for model in models)
    return zlib.compress(b"".join(parts), 9)


def models_of(content: bytes, sizes: Sequence[int]) -> list[Model]:
    """The inverse of `tables_of`, for sequences of so many symbols.

    Raises:
        ValueError: these are no tables, or others.
    """
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(content, LIMIT)
    except zlib.error as damaged:
        raise ValueError(str(damaged)) from damaged
    models, at = [], 0
    for size in sizes:
        way = raw[at] if at < len(raw) else len(WAYS)
        count, at = read_varint(raw, at + 1)
        if way >= len(WAYS) or (way != PACKED and (count != symbols_of(way, size) or size > rans.LARGEST)):
            raise ValueError("a table does not belong to its stream")
        models.append(Model(way, raw[at : at + count]))
        at += count
        if way != PACKED and int(models[-1].frequencies().sum()) != rans.TOTAL:
            raise ValueError("a table is empty")
    if at != len(raw):
        raise ValueError("there are more tables than streams")
    return models
