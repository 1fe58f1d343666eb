"""What an .orat file holds, all of it or any stretch, and what of it is lost. NumPy is all it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

import numpy as np

from oration.core.container.about import BLOCK, LOOSE, NONE, ONSETS, RATE, Track, record_at
from oration.core.container.bits import read_varint, unpack, width
from oration.core.container.blocks import Coder, Items
from oration.core.container.expect import Expecter, split
from oration.core.container.models import models_of
from oration.core.container.opened import Opened, decode
from oration.core.container.search import Place, search
from oration.core.errors import BadInput
from oration.core.files import reason
from oration.core.spec import TICKS, ticks
from oration.core.stream import Example, Stream

AT_ONCE = 128
"""Blocks that are decoded together."""
ELSEWHERE = (
    "some of its blocks are undamaged, but the language model expects other things here than where they were written, "
    "on another machine or by another version of torch"
)
MOST_TOLD = 8
"""Stretches that a sentence names."""


class Span(NamedTuple):
    """A stretch of a recording, in seconds."""

    start: Fraction
    stop: Fraction

    def __str__(self) -> str:
        return f"{float(self.start):.3f} to {float(self.stop):.3f} s"


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A stretch of a file."""

    example: Example
    """Its streams. A lost item has the id -1 (and a vector of not-a-number), so that none is taken for another; only of
    a stream with onsets, lost items are not there. Streams without a time are whole in every stretch."""
    first: dict[str, int]
    """Stream of a rate -> how many of its items come before the stretch."""
    lost: tuple[Span, ...] = ()
    """What is lost of the sound, in order and apart from each other."""
    blocks: tuple[int, ...] = ()
    """The numbers of the blocks that are lost."""
    elsewhere: tuple[str, ...] = ()
    """What else is wrong with the file, a clause each."""

    @property
    def damage(self) -> tuple[str, ...]:
        """What is wrong with the file as far as it was read, a clause each; also where nothing is lost by it."""
        if not self.blocks:
            return self.elsewhere
        lost = ", ".join(map(str, self.lost[:MOST_TOLD])) or "no items"
        more = f" and {len(self.lost) - MOST_TOLD} more stretches" if len(self.lost) > MOST_TOLD else ""
        blocks = f"{len(self.blocks)} block{'s' * (len(self.blocks) > 1)} of it cannot be read"
        return (*self.elsewhere, f"{blocks} (lost: {lost}{more})")

    def held(self, before: Example | None = None) -> Example:
        """The streams without holes, for decoders that take none; what they make of the places that were held is noise.

        A lost item becomes the one before; at the beginning the last of `before`, what was held of the piece before, or
        else the first that is known. A stream of which no item is known is left out, unless it was there before.
        """
        made = {}
        for name, stream in self.example.items():
            held = _held(stream, None if before is None else before.get(name))
            if held is not None:
                made[name] = held
        return made


class Reader:
    """An open file. Blocks are read when they are asked for."""

    def __init__(self, path: Path | str | IO[bytes], expecter: Expecter | None = None) -> None:
        """Find header, tables and index.

        Args:
            path: of the file; or the file itself, open and able to seek, which is closed with the reader.
            expecter: the language model that codes some of its streams, if one does (`About.expected`).

        Raises:
            BadInput: the file is missing, closed to us, no container, of another version, or damaged beyond help.
        """
        self.name = str(path) if isinstance(path, (str, Path)) else str(getattr(path, "name", "the stream"))
        try:
            self._file = Path(path).open("rb") if isinstance(path, (str, Path)) else path  # noqa: SIM115 closed with us
        except OSError as failure:
            raise reason(failure, self.name) from failure
        try:
            self._found = search(self._file)
            self.about = self._found.about
            sizes = [sequence.size for sequence in Coder(self.about).sequences]
            self.coder = Coder(self.about, models_of(self._found.tables, sizes) if self._found.tables else ())
            self.expect(expecter)
            self._loose = self._untimed()
        except OSError as failure:
            raise reason(failure, self.name) from failure
        except BadInput as wrong:
            raise BadInput(f"cannot read {self.name!r}: {wrong}") from wrong
        except ValueError as wrong:
            raise BadInput(
                f"cannot read {self.name!r}: its tables cannot be ({wrong}), expected those that oration writes; "
                "make it again"
            ) from wrong
        finally:
            if not hasattr(self, "_loose"):
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def expect(self, expecter: Expecter | None) -> None:
        """From here on read with this language model, if the file takes one.

        Raises:
            BadInput: it is not the one that wrote the file.
        """
        wanted = self.about.expected
        if expecter is None or wanted is None:
            return
        if (expecter.version, tuple(expecter.streams)) != (wanted.version, wanted.streams):
            raise BadInput(
                f"{self.name!r} is coded with the language model {wanted.model!r} of version {wanted.version}, but "
                f"{expecter.name!r} is of version {expecter.version}; decode it with the model that made it (--model)"
            )
        self.coder.expecter = expecter

    @property
    def damage(self) -> tuple[str, ...]:
        """What is wrong, blocks aside."""
        return tuple(self._found.damage)

    def read(self, start: float = 0.0, stop: float | None = None) -> Excerpt:
        """The items that begin from `start` to before `stop` seconds (to the end if None).

        Raises:
            BadInput: the file has no such stretch.
        """
        return self._joined(list(self.pieces(start, stop)))

    def pieces(self, start: float = 0.0, stop: float | None = None) -> Iterator[Excerpt]:
        """The same as `read`, some blocks at a time; streams without a time come with the first of them.

        Raises:
            BadInput: the file has no such stretch.
        """
        about = self.about
        end = about.blocks * about.ticks
        first, last = ticks(start), end if stop is None else min(end, ticks(stop))
        if not (0 <= first < last or (first == 0 and not end and stop is None)):
            raise BadInput(
                f"{self.name!r} lasts {float(about.end):.3f} s, so it has no part from {start} to {stop} s; give "
                "a start before its end and a stop after the start"
            )
        blocks = range(first // about.ticks, -(-last // about.ticks))
        for block, opened in self.opened(blocks):
            yield self._excerpt(block, opened, first, last, loose=block == blocks.start)

    def check(self) -> tuple[str, ...]:
        """Read everything, keep nothing: what is wrong with the file, a clause each.

        Without the language model of a file that is coded with one, only checksums are looked at.
        """
        if self.about.expected is not None and self.coder.expecter is None:
            gone = [block for block in range(self.about.blocks) if self._content(block) is None]
            end = self.about.blocks * self.about.ticks
            spans = merged([span for block in gone for span in self._span(block, 0, end)])
            return Excerpt({}, {}, spans, tuple(gone), self.damage).damage
        lost, blocks = list[Span](), list[int]()
        for part in self.pieces():
            lost += part.lost
            blocks += part.blocks
        return Excerpt({}, {}, merged(lost), tuple(blocks), self.damage).damage

    def opened(self, blocks: range) -> Iterator[tuple[int, Opened]]:
        """Blocks as they are in the file, some at a time, with the number of the first of them.

        Raises:
            BadInput: a language model codes some streams, and the reader has none.
        """
        wanted = self.about.expected
        if wanted is not None and self.coder.expecter is None:
            raise BadInput(
                f"{self.name!r} is coded with what the language model {wanted.model!r} (version {wanted.version}) of "
                f"{self.about.recipe!r} expects, so only that model can read it: decode it with `oration decode "
                "--model DIR`, or encode again with --no-entropy"
            )
        for block in blocks[::AT_ONCE] or [blocks.start]:
            contents = [self._content(n) for n in range(block, blocks.stop)[:AT_ONCE]]
            opened = decode(self.coder, block, contents)
            told = any(there is not None and not whole for there, whole in zip(contents, opened.whole, strict=True))
            if wanted is not None and told and ELSEWHERE not in self._found.damage:
                self._found.damage.append(ELSEWHERE)
            yield block, opened

    def expected_bytes(self) -> int:
        """What a language model coded, in bytes; 0 if none did."""
        if self.about.expected is None:
            return 0
        contents = (self._content(block) for block in range(self.about.blocks))
        return sum(len(two[0]) for content in contents if content and (two := split(content)) is not None)

    def _content(self, block: int) -> bytes | None:
        """A block's content, or None if it is lost."""
        place = self._found.blocks.get(block)
        return None if place is None else self._record(place, BLOCK, block)

    def _record(self, place: Place, kind: bytes, number: int | None) -> bytes | None:
        self._file.seek(place.at)
        raw = self._file.read(place.size)
        found = record_at(raw, 0, len(raw))
        if found is None or found.kind != kind or number not in (None, found.number):
            return None
        return raw[found.start : found.start + found.length]

    def _untimed(self) -> dict[str, Stream]:
        """The streams without a time, lost items marked."""
        tracks = [track for track in self.about.tracks if track.time == NONE]
        if sum(track.items for track in tracks) > 1 << 28:
            raise BadInput("its header promises more items without a time than a file can hold; make it again")
        made = {t.name: _nothing(t, t.items) for t in tracks}
        for place in self._found.loose:
            content = self._record(place, LOOSE, None)
            if content is not None:
                _fill(made, self.about.tracks, content)
        for track in tracks:
            missing = np.flatnonzero(made[track.name].ids < 0)
            if len(missing):
                self._found.damage.append(
                    f"of the stream {track.name!r}, {len(missing)} of {track.items} items are lost, from number "
                    f"{missing[0]} to {missing[-1]}"
                )
        return made

    def _excerpt(self, block: int, opened: Opened, start: int, stop: int, *, loose: bool) -> Excerpt:
        """What of some blocks lies between two ticks."""
        example, first = dict[str, Stream](), dict[str, int]()
        for track in self.about.tracks:
            if track.time == NONE:
                continue
            items = opened.items[track.name]
            if items.onsets is None:
                base = track.first(block, self.about.block)
                a, b = (_items(track, tick) - base for tick in (start, stop))
                keep = slice(max(0, a), max(0, b))
                first[track.name] = base + min(max(0, a), len(items.ids))
            else:
                keep = slice(*np.searchsorted(items.onsets, [start, stop]).tolist())
            example[track.name] = _stream(items, keep)
        if loose:
            example = {t.name: {**example, **self._loose}[t.name] for t in self.about.tracks}
        gone = tuple((np.flatnonzero(~opened.whole) + block).tolist())
        spans = [span for number in gone for span in self._span(number, start, stop)]
        return Excerpt(example, first, merged(spans), gone, self.damage)

    def _span(self, block: int, start: int, stop: int) -> list[Span]:
        """The sound that goes with a block: from its first item to the end of its last, within two ticks."""
        about, edges = self.about, list[Fraction]()
        for track in about.tracks:
            first, last = (track.first(n, about.block) for n in (block, block + 1))
            if track.time == RATE and first < last:
                edges += [Fraction(n) / Fraction(track.spec.rate or 1) for n in (first, last)]
            elif track.time == ONSETS:
                edges += [block * about.block, (block + 1) * about.block]
        if not edges:
            return []
        low, high = max(min(edges), Fraction(start, TICKS)), max(edges)
        if stop < about.blocks * about.ticks:
            high = min(high, Fraction(stop, TICKS))
        if low < about.end:
            high = min(high, about.end)
        return [Span(low, high)] if low < high else []

    def _joined(self, parts: list[Excerpt]) -> Excerpt:
        """Stretches one after another, as one."""
        if len(parts) == 1:
            return parts[0]
        example = {
            name: Stream(
                np.concatenate([part.example[name].ids for part in parts if name in part.example]),
                _end_to_end([part.example[name].onsets for part in parts if name in part.example]),
                _end_to_end([part.example[name].values for part in parts if name in part.example]),
            )
            for name in parts[0].example
        }
        lost = merged([span for part in parts for span in part.lost])
        gone = tuple(block for part in parts for block in part.blocks)
        return Excerpt(example, parts[0].first, lost, gone, self.damage)


def read(path: Path | str | IO[bytes], *, start: float = 0.0, stop: float | None = None) -> Excerpt:
    """The streams of a file, or those of a stretch of it, from `start` to before `stop` seconds.

    What is damaged is left out and told (`Excerpt.damage`); nothing that is damaged is given as if it were not.

    Raises:
        BadInput: as `Reader` and `Reader.read`.
    """
    with Reader(path) as file:
        return file.read(start, stop)


def merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Stretches in order, those that touch as one.

    >>> [str(span) for span in merged([Span(Fraction(2), Fraction(3)), Span(Fraction(0), Fraction(2))])]
    ['0.000 to 3.000 s']
    """
    made: list[Span] = []
    for span in sorted(spans):
        if made and span.start <= made[-1].stop:
            made[-1] = Span(made[-1].start, max(made[-1].stop, span.stop))
        else:
            made.append(span)
    return tuple(made)


def _items(track: Track, tick: int) -> int:
    """How many items of a stream of a rate begin before a tick."""
    return -(-(tick * Fraction(track.spec.rate or 0)) // TICKS)


def _stream(items: Items, keep: slice) -> Stream:
    onsets = None if items.onsets is None else items.onsets[keep]
    return Stream(items.ids[keep], onsets, None if items.values is None else items.values[keep])


def _end_to_end(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    there = [array for array in arrays if array is not None]
    return np.concatenate(there) if there else None


def _nothing(track: Track, count: int) -> Stream:
    """So many lost items."""
    values = np.full((count, track.spec.dim), np.nan, np.float32) if track.spec.dim else None
    return Stream(np.full(count, -1, np.int64), None, values)


def _fill(made: dict[str, Stream], tracks: Sequence[Track], content: bytes) -> None:
    """Put the items of a record without a time into their places, if it has such."""
    try:
        number, at = read_varint(content, 0)
        first, at = read_varint(content, at)
        count, at = read_varint(content, at)
    except ValueError:
        return
    track = tracks[number] if number < len(tracks) else None
    if track is None or track.time != NONE or first + count > track.items:
        return
    bits, dim = width(track.spec.size), track.spec.dim
    if len(content) - at != (4 * count * dim if dim else -(-count * bits // 8)):
        return
    place = slice(first, first + count)
    stream = made[track.name]
    if dim and stream.values is not None:
        stream.values[place] = np.frombuffer(content[at:], "<f4").reshape(count, dim)
        stream.ids[place] = 0
    else:
        ids = unpack(content[at:], bits, count)
        if not (ids >= track.spec.size).any():
            stream.ids[place] = ids


def _held(stream: Stream, before: Stream | None) -> Stream | None:
    known = stream.ids >= 0
    if known.all():
        return stream
    if before is not None and len(before):
        ids = np.concatenate([before.ids[-1:], stream.ids])
        values = None if stream.values is None or before.values is None else [before.values[-1:], stream.values]
        longer = _held(Stream(ids, None, None if values is None else np.concatenate(values)), None)
        return None if longer is None else longer.cut(1)
    if not known.any():
        return None
    at = np.maximum.accumulate(np.where(known, np.arange(len(known)), int(np.argmax(known))))
    return Stream(stream.ids[at], stream.onsets, None if stream.values is None else stream.values[at])
