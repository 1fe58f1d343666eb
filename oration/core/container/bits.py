"""Whole numbers as bytes: fixed numbers of bits, most significant first, and numbers of varying length (LEB128)."""

from __future__ import annotations

import numpy as np


def width(size: int) -> int:
    """Bits of a symbol out of `size`: ceil(log2(size)).

    >>> [width(size) for size in (1, 2, 3, 512, 513)]
    [0, 1, 2, 9, 10]
    """
    return (size - 1).bit_length()


def spread(numbers: np.ndarray, bits: int) -> np.ndarray:
    """int64[N] -> uint8[N, bits] of zeros and ones.

    >>> spread(np.array([5, 2]), 3).tolist()
    [[1, 0, 1], [0, 1, 0]]
    """
    # Bytes first: unpackbits is many times faster than shifting every bit out.
    octets = -(-bits // 8)
    kind = np.dtype(">u2") if octets <= 2 else np.dtype(">u4") if octets <= 4 else np.dtype(">u8")
    raw = numbers.astype(kind).view(np.uint8).reshape(len(numbers), kind.itemsize)
    return np.unpackbits(raw, axis=1)[:, 8 * kind.itemsize - bits :]


def gather(bits: np.ndarray) -> np.ndarray:
    """The inverse of `spread`: uint8[N, bits] -> int64[N]."""
    count, length = bits.shape
    kind = np.dtype(">u2") if length <= 16 else np.dtype(">u4") if length <= 32 else np.dtype(">u8")
    room = np.zeros((count, 8 * kind.itemsize), np.uint8)
    if length:
        room[:, -length:] = bits
    return np.packbits(room, axis=1).view(kind).reshape(count).astype(np.int64)


def pack(numbers: np.ndarray, bits: int) -> bytes:
    """int64[N], `bits` each, end to end; the last byte is filled up with zeros.

    >>> pack(np.array([1, 2, 3]), 2).hex(), unpack(pack(np.array([1, 2, 3]), 2), 2, 3)
    ('6c', array([1, 2, 3]))
    """
    return np.packbits(spread(numbers, bits)).tobytes()


def unpack(content: bytes, bits: int, count: int) -> np.ndarray:
    """The inverse of `pack`: int64[count]."""
    return gather(np.unpackbits(np.frombuffer(content, np.uint8), count=bits * count).reshape(count, bits))


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; every byte but the last has its highest bit set.

    >>> varint(5).hex(), varint(300).hex()
    ('05', 'ac02')
    """
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and the place behind it.

    Raises:
        ValueError: there is none, or it has more than nine bytes.
    """
    number = 0
    for place, byte in enumerate(content[at : at + 9]):
        number |= (byte & 127) << (7 * place)
        if byte < 128:
            return number, at + place + 1
    raise ValueError("a number has no end")
