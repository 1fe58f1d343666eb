"""What an .orat file says of itself, and the records that it is made of. docs/orat.md has every byte."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from oration.core.container.bits import read_varint, varint
from oration.core.container.rans import LARGEST
from oration.core.errors import BadInput
from oration.core.spec import TICKS, Spec

MAGIC = b"\x89ORAT\r\n\x1a"
"""As PNG's: the first byte shows a channel of 7 bits, the last ones a program that changes the ends of lines."""
VERSION = 1
EXPECTED = 2
"""The version of files in which a language model codes some streams; what it does not know of is as in version 1."""
TABLES, BLOCK, LOOSE, TAIL = b"oT", b"oB", b"oU", b"oE"
"""Kinds of records: frequencies; a stretch of time; items without a time; the copy of header and tables, the index."""
ENDING = b"ORAT"
TRAILER = 16
MOST_BLOCKS = 1 << 20
MOST_ITEMS = 1 << 18
"""Of one stream in one block."""
MOST_HEAD = 1 << 24
"""Bytes of a header."""
USUAL = (
    b'"none","onsets","rate":null,"step":14112000},{"name":"codec.0","size":1024,"dim":0,"time":"rate","items":1500,'
    b'"rate":"75","step":705600000},{"name":"f0","size":65,"dim":0,"time":"rate","items":1000,"rate":"12.5","step":'
    b'705600000},{"name":"units","size":512,"dim":0,"time":"rate","items":500,"rate":"50","step":705600000}],"extra":{}}'
    b'{"recipe":"pocket","version":"","rate":24000,"samples":16000,"block":"1","blocks":10,"longest":100,"tables":100,'
    b'"streams":[{"name":"units","size":512,"dim":0,"time":"rate","items":500,"rate":"50","step":705600000}'
)
"""What headers are like: the dictionary that they are deflated with, so that those of short files are short."""
NONE, RATE, ONSETS = "none", "rate", "onsets"


@dataclass(frozen=True, kw_only=True)
class Track:
    """One stream of a file."""

    name: str
    spec: Spec
    time: str
    """`rate`, `onsets`, `none`, or the name of an earlier stream that has the same onsets."""
    items: int
    step: int = 1
    """Ticks that divide all onsets."""

    def first(self, block: int, length: Fraction) -> int:
        """The first item of a regular stream at or after the beginning of a block of `length` seconds."""
        pace = Fraction(self.spec.rate or 0) * length
        return min(self.items, -(-block * pace.numerator // pace.denominator))


class Expected(NamedTuple):
    """Which language model codes which streams (`expect.py`)."""

    model: str
    """Its name."""
    version: str
    """A hash of its settings and weights."""
    streams: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class About:
    """The header."""

    recipe: str
    """Name of the recipe or codec."""
    version: str
    """A hash of its weights and settings, or whatever else tells one from another."""
    rate: int
    """Hz of the sound that the streams stand for."""
    samples: int
    """How many there are at that rate; 0 if nobody said."""
    block: Fraction = Fraction(1)
    """Seconds of a block."""
    blocks: int = 0
    longest: int = 0
    """Bytes of the longest record's content."""
    tables: int = 0
    """Bytes of the tables' content; 0 if nothing is entropy-coded."""
    tracks: tuple[Track, ...] = ()
    expected: Expected | None = None
    """None: any program can read it, without a model."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def specs(self) -> dict[str, Spec]:
        """Streams and what is known of them."""
        return {track.name: track.spec for track in self.tracks}

    @property
    def ticks(self) -> int:
        """Of a block."""
        return int(self.block * TICKS)

    @property
    def end(self) -> Fraction:
        """Seconds: where the sound ends, or else the last item of a regular stream, or the last block."""
        if self.samples:
            return Fraction(self.samples, self.rate)
        regular = [Fraction(t.items) / Fraction(t.spec.rate or 1) for t in self.tracks if t.time == RATE]
        return max(regular, default=self.block * self.blocks)

    def to_bytes(self) -> bytes:
        """The header with its magic, its version and its checksum."""
        streams = [
            {
                "name": t.name, "size": t.spec.size, "dim": t.spec.dim, "time": t.time, "items": t.items,
                "rate": None if t.spec.rate is None else str(t.spec.rate), "step": t.step,
            }
            for t in self.tracks
        ]  # fmt: skip
        said = {
            "recipe": self.recipe, "version": self.version, "rate": self.rate, "samples": self.samples,
            "block": str(self.block), "blocks": self.blocks, "longest": self.longest, "tables": self.tables,
            "streams": streams, "extra": dict(self.extra),
        }  # fmt: skip
        if self.expected is not None:
            said["expected"] = {**self.expected._asdict(), "streams": list(self.expected.streams)}
        deflate = zlib.compressobj(9, zdict=USUAL)
        content = deflate.compress(json.dumps(said, separators=(",", ":")).encode()) + deflate.flush()
        head = MAGIC + struct.pack("<HI", EXPECTED if self.expected else VERSION, len(content)) + content
        return head + struct.pack("<I", zlib.crc32(head))


def head_of(content: bytes) -> tuple[About, int] | None:
    """The header at the beginning of these bytes, and its length; None if there is no whole one.

    Raises:
        BadInput: it is whole, but of another version, or says what cannot be.
    """
    start = len(MAGIC) + 6
    if not content.startswith(MAGIC) or len(content) < start:
        return None
    version, length = struct.unpack_from("<HI", content, len(MAGIC))
    end = start + length
    if length > MOST_HEAD or len(content) < end + 4:
        return None
    if struct.unpack_from("<I", content, end)[0] != zlib.crc32(content[:end]):
        return None
    if version not in (VERSION, EXPECTED):
        raise BadInput(
            f"it is written in version {version} of the format, expected {VERSION} or {EXPECTED}; "
            "read it with an oration as new as the one that wrote it"
        )
    try:
        said = json.loads(zlib.decompressobj(zdict=USUAL).decompress(content[start:end], MOST_HEAD))
        return _about(said, version), end + 4
    except (ValueError, KeyError, TypeError, ArithmeticError, zlib.error) as wrong:
        raise BadInput(
            f"its header says what cannot be ({type(wrong).__name__}: {wrong}); expected what oration writes, "
            "so make the file again"
        ) from wrong


def _about(said: Mapping[str, Any], version: int) -> About:
    coder = said["expected"] if version == EXPECTED else None
    about = About(
        recipe=str(said["recipe"]), version=str(said["version"]), rate=int(said["rate"]), samples=int(said["samples"]),
        block=Fraction(said["block"]), blocks=int(said["blocks"]), longest=int(said["longest"]),
        tables=int(said["tables"]), tracks=tuple(_track(s) for s in said["streams"]), extra=dict(said["extra"]),
        expected=coder and Expected(str(coder["model"]), str(coder["version"]), tuple(map(str, coder["streams"]))),
    )  # fmt: skip
    if about.rate <= 0 or about.samples < 0 or not 0 <= about.blocks <= MOST_BLOCKS or about.longest < 0:
        raise ValueError("a number is out of its range")
    check_block(about.block)
    known: dict[str, str] = {}
    for track in about.tracks:
        regular = track.time == RATE
        if track.name in known or (regular and track.spec.rate is None) or (regular and not _fits(track, about)):
            raise ValueError(f"the stream {track.name!r} is described wrongly")
        if track.time not in (RATE, ONSETS, NONE) and known.get(track.time) != ONSETS:
            raise ValueError(f"the stream {track.name!r} has the onsets of {track.time!r}, which has none")
        known[track.name] = track.time
    if about.expected is not None and not alike(
        [track for track in about.tracks if track.name in about.expected.streams]
    ):
        raise ValueError("the streams that a language model codes are not alike")
    return about


def alike(tracks: Sequence[Track]) -> bool:
    """Whether these are the levels of frames: symbols at one rate, equally many."""
    return (
        bool(tracks)
        and len({(t.time, t.spec.dim, t.spec.rate, t.items) for t in tracks}) == 1
        and (tracks[0].time == RATE and not tracks[0].spec.dim and all(t.spec.size <= LARGEST for t in tracks))
    )


def _track(said: Mapping[str, Any]) -> Track:
    rate = None if said["rate"] is None else Fraction(said["rate"])
    spec = Spec(int(said["size"]), rate, int(said["dim"]))
    track = Track(
        name=str(said["name"]), spec=spec, time=str(said["time"]), items=int(said["items"]), step=int(said["step"])
    )
    if spec.size > 1 << 48 or spec.dim > 1 << 20 or not 0 <= track.items < 1 << 40 or track.step < 1:
        raise ValueError(f"the stream {track.name!r} is out of range")
    return track


def _fits(track: Track, about: About) -> bool:
    """Whether the items of a regular stream lie in the blocks that there are, none too full."""
    pace = Fraction(track.spec.rate or 0) * about.block
    return pace < MOST_ITEMS and track.items <= about.blocks * pace + 1


def check_block(seconds: Fraction) -> None:
    """Refuse a length of blocks that is no whole number of ticks, or too long to seek in.

    Raises:
        BadInput: it is.
    """
    if not 0 < seconds <= 60 or (seconds * TICKS).denominator != 1:
        raise BadInput(f"a block lasts {seconds} s, expected a whole number of ticks up to 60 s; give e.g. 1")


class Record(NamedTuple):
    """A stretch of a file that carries its own checksum."""

    kind: bytes
    number: int
    start: int
    """Of its content, from the beginning of the record."""
    length: int
    """Of its content."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.start + self.length + 4


def record(kind: bytes, number: int, content: bytes) -> bytes:
    """Mark, number, length, content, checksum of all that."""
    head = kind + varint(number) + varint(len(content)) + content
    return head + struct.pack("<I", zlib.crc32(head))


def record_at(content: bytes, at: int, longest: int) -> Record | None:
    """The record at a place, if a whole and undamaged one with a content of at most `longest` bytes is there."""
    kind = bytes(content[at : at + 2])
    if kind not in (TABLES, BLOCK, LOOSE, TAIL):
        return None
    try:
        number, place = read_varint(content, at + 2)
        length, place = read_varint(content, place)
    except ValueError:
        return None
    end = place + length
    if length > longest or end + 4 > len(content):
        return None
    if struct.unpack_from("<I", content, end)[0] != zlib.crc32(memoryview(content)[at:end]):
        return None
    return Record(kind, number, place - at, length)


def counts_of(track: Track, about: About, start: int, stop: int) -> np.ndarray:
    """int64[stop - start]: items of a regular stream in each of these blocks."""
    edges = [track.first(block, about.block) for block in range(start, stop + 1)]
    return np.diff(np.array(edges, np.int64))
