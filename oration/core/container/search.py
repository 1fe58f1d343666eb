"""Where things are in an .orat file, however it was damaged: by its index, or record by record where that is gone."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from oration.core.container.about import (
    BLOCK,
    ENDING,
    LOOSE,
    MAGIC,
    MOST_HEAD,
    TABLES,
    TAIL,
    TRAILER,
    About,
    Record,
    head_of,
    record_at,
)
from oration.core.container.bits import read_varint, unpack
from oration.core.errors import BadInput

WINDOW = 1 << 20
"""Bytes that are looked through at once."""
MOST_TAIL = 1 << 26
MARKS = re.compile(rb"o[TBUE]")


class Place(NamedTuple):
    """Of a record."""

    at: int
    size: int


@dataclass
class Found:
    """What is where, and what is wrong."""

    about: About
    tables: bytes = b""
    blocks: dict[int, Place] = field(default_factory=dict)
    loose: list[Place] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


class Tail(NamedTuple):
    """The end of a file: a copy of what stands at its beginning, and the index."""

    head: bytes
    about: About
    tables: bytes
    places: list[Place]


def search(file: IO[bytes]) -> Found:
    """Find everything.

    Raises:
        BadInput: it is no container, of another version, or what is needed is damaged at both ends.
    """
    size = file.seek(0, 2)
    if not size:
        raise BadInput("it is empty (0 bytes), expected a file that `oration encode` wrote; write it again")
    front = _front(file)
    tail = _tail(file, size, front)
    if front is None and tail is None:
        _refuse(file)
    about, begin = front or (tail.about, len(tail.head))  # type: ignore[union-attr]
    found = Found(about)
    if front is None:
        found.damage.append("its header is damaged (there is a copy at its end)")
    if tail is None:
        found.damage.append("its end is damaged or missing, and with it the index")
    if about.tables:
        found.tables = _tables(file, found, begin, tail)
    records = _indexed(tail) if tail is not None else _scanned(file, begin, about)
    for number, place in records:
        if number is None:
            found.loose.append(place)
        else:
            found.blocks.setdefault(number, place)
    return found


def _front(file: IO[bytes]) -> tuple[About, int] | None:
    """The header at the beginning and its length."""
    file.seek(0)
    start = file.read(len(MAGIC) + 6)
    if len(start) < len(MAGIC) + 6:
        return None
    length = struct.unpack_from("<I", start, len(MAGIC) + 2)[0]
    return None if length > MOST_HEAD else head_of(start + file.read(length + 4))


def _tail(file: IO[bytes], size: int, front: tuple[About, int] | None) -> Tail | None:
    """The end, if it belongs to this beginning."""
    at = None
    file.seek(max(0, size - TRAILER))
    trailer = file.read(TRAILER)
    if trailer.endswith(ENDING) and len(trailer) == TRAILER and zlib.crc32(trailer[:8]) == _number(trailer, 8):
        at = struct.unpack_from("<Q", trailer)[0]
    elif front is None:  # the last chance
        at = next((place for found, place in scan(file, 0, MOST_TAIL) if found.kind == TAIL), None)
    if at is None or not at < size or size - at > MOST_TAIL:
        return None
    file.seek(at)
    content = file.read(size - at)
    found = record_at(content, 0, MOST_TAIL)
    if found is None or found.kind != TAIL:
        return None
    try:
        tail = _opened(content[found.start : found.start + found.length])
    except ValueError:
        return None
    if front is not None:
        file.seek(0)
        if file.read(front[1]) != tail.head:
            return None
    return tail if tail.places[-1] == Place(at, 0) else None


def _number(content: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", content, at)[0])


def _opened(content: bytes) -> Tail:
    """The tail's content; the last of its places is where the tail itself must be."""
    length, at = read_varint(content, 0)
    head = content[at : at + length]
    known = head_of(head)
    if known is None:
        raise ValueError("the copy of the header is damaged")
    length, at = read_varint(content, at + length)
    tables = content[at : at + length]
    begin, at = read_varint(content, at + length)
    count, at = read_varint(content, at)
    bits, at = read_varint(content, at)
    if bits > 48 or count < known[0].blocks or len(content) - at != -(-count * bits // 8):
        raise ValueError("the index is of another length")
    places = []
    for size in [*unpack(content[at:], bits, count).tolist(), 0]:
        places.append(Place(begin, size))
        begin += size
    return Tail(head, known[0], tables, places)


def _indexed(tail: Tail) -> Iterator[tuple[int | None, Place]]:
    """The number of every block and its place; None for items without a time."""
    for number, place in enumerate(tail.places[:-1]):
        yield (number if number < tail.about.blocks else None), place


def _scanned(file: IO[bytes], begin: int, about: About) -> Iterator[tuple[int | None, Place]]:
    """The same without an index."""
    for found, at in scan(file, begin, max(about.longest, about.tables)):
        if found.kind == BLOCK and found.number < about.blocks:
            yield found.number, Place(at, found.size)
        elif found.kind == LOOSE:
            yield None, Place(at, found.size)


def _tables(file: IO[bytes], found: Found, begin: int, tail: Tail | None) -> bytes:
    """The tables, from behind the header or from the end."""
    file.seek(begin)
    content = file.read(found.about.tables + 32)
    there = record_at(content, 0, found.about.tables)
    if there is not None and there.kind == TABLES and there.length == found.about.tables:
        return content[there.start : there.start + there.length]
    if tail is not None and len(tail.tables) == found.about.tables:
        found.damage.append("its tables are damaged (there is a copy at its end)")
        return tail.tables
    raise BadInput(
        "its tables are damaged or missing, and so is its end, which had a copy; without them nothing in it can be "
        "read, so copy it again"
    )


def scan(file: IO[bytes], begin: int, longest: int) -> Iterator[tuple[Record, int]]:
    """All undamaged records from `begin` on, with their places; memory does not grow with the file."""
    window = max(WINDOW, 2 * (longest + 32))
    while True:
        file.seek(begin)
        content = file.read(window)
        at, more = 0, len(content) == window
        limit = len(content) - (longest + 32 if more else 0)
        while at < limit:
            found = record_at(content, at, longest)
            if found is not None:
                yield found, begin + at
                at += found.size
                continue
            mark = MARKS.search(content, at + 1)
            at = len(content) - more if mark is None else mark.start()
        if not more:
            return
        begin += at


def _refuse(file: IO[bytes]) -> None:
    """Say why nothing can be read at all."""
    file.seek(0)
    start = file.read(len(MAGIC))
    if start == MAGIC[: len(start)]:
        raise BadInput(
            "its header is damaged or breaks off, and its end, which had a copy, is missing; copy or encode it again"
        )
    raise BadInput("it is no file of streams (.orat), expected one that `oration encode` wrote; name another")
