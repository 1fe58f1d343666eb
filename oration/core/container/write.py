"""Streams into an .orat file, piece by piece, in memory that does not grow with the recording."""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from oration.core.container.about import (
    BLOCK,
    ENDING,
    LOOSE,
    MOST_BLOCKS,
    MOST_ITEMS,
    NONE,
    ONSETS,
    RATE,
    TABLES,
    TAIL,
    About,
    Expected,
    Track,
    alike,
    check_block,
    counts_of,
    record,
)
from oration.core.container.bits import pack, varint, width
from oration.core.container.blocks import Coder, Items, firsts
from oration.core.container.expect import Expecter
from oration.core.container.lanes import IN_MEMORY, Lane
from oration.core.container.models import Counter, Model, tables_of
from oration.core.errors import BadInput
from oration.core.files import aside, reason
from oration.core.spec import Spec
from oration.core.stream import Example

AT_ONCE = 128
"""Blocks that are coded together."""
LOOSE_ITEMS = 4096
"""Items without a time in one record."""


class Writer:
    """An .orat file in the making. It appears under its name when the `with` block ends well, whole or not at all.

    with Writer(path, model.specs, recipe="pocket", rate=16_000) as out:
        out.push(example, samples=len(wave))  # as often as there is more, every stream at its own pace
    """

    def __init__(
        self,
        path: Path | str,
        specs: Mapping[str, Spec],
        *,
        recipe: str,
        rate: int,
        version: str = "",
        block: Fraction | int = 1,
        entropy: bool = True,
        expecter: Expecter | None = None,
        extra: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Nothing is written yet.

        Args:
            specs: of all streams that may come.
            recipe: name of the recipe or codec.
            rate: Hz of the sound that the streams stand for.
            version: what tells the weights and settings of this codec from others'.
            block: seconds that are read, and lost, together; shorter blocks take more room.
            entropy: whether streams are entropy-coded where that is shorter.
            expecter: a language model that codes its streams, which only who has it can read then; not where they are
                missing or of unequal length.
            extra: anything that JSON holds.

        Raises:
            BadInput: `path` exists, a block is no whole number of ticks, or `extra` is not JSON.
        """
        self.path, self.specs, self.entropy, self.overwrite = Path(path), dict(specs), entropy, overwrite
        self.expecter = expecter
        if not overwrite and self.path.exists():
            raise BadInput(f"{str(path)!r} exists and would be lost; choose another name or allow overwriting")
        if rate <= 0:
            raise BadInput(f"a file of streams has a rate of {rate} Hz, expected one above 0; give the codec's")
        try:
            said = json.loads(json.dumps(dict(extra or {}), allow_nan=False))
        except (TypeError, ValueError) as wrong:
            raise BadInput(f"extra={extra!r} is not JSON ({wrong}); give numbers, texts, lists and mappings") from wrong
        self.about = About(recipe=recipe, version=version, rate=rate, samples=0, block=Fraction(block), extra=said)
        check_block(self.about.block)
        self._lanes: dict[str, Lane] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def push(self, example: Example, *, samples: int = 0) -> None:
        """More of some or all streams, and how many more samples of sound they are made of.

        Raises:
            BadInput: a stream without a spec, an id outside its alphabet, or onsets that run backwards.
        """
        self.about = replace(self.about, samples=self.about.samples + samples)
        try:
            for name, stream in example.items():
                if name not in self._lanes:
                    self._lanes[name] = self._lane(name)
                self._lanes[name].push(stream)
        except OSError as failure:
            raise reason(failure, self.path) from failure

    def _lane(self, name: str) -> Lane:
        if name not in self.specs:
            raise BadInput(
                f"the stream {name!r} has no spec, only {sorted(self.specs)} have one; give its spec as well"
            )
        spec = self.specs[name]
        if spec.size > 1 << 48 or (spec.rate or 0) * self.about.block >= MOST_ITEMS:
            raise BadInput(
                f"the stream {name!r} has {spec.size} symbols at a rate of {spec.rate}, expected at most 2**48 and "
                f"{MOST_ITEMS} in a block of {self.about.block} s; make blocks shorter, or leave it out"
            )
        return Lane(name, spec, self.about, self.path.parent)

    def close(self) -> Path:
        """Write the file; the end of a `with` block does it.

        Raises:
            BadInput: the place is missing, closed to us or full. Nothing is left there then.
        """
        self.about = self._described()
        models = self._models()
        coder = Coder(self.about, models, self.expecter if self.about.expected else None)
        tables = tables_of(models) if coder.coded else b""
        with (
            aside(self.path, overwrite=self.overwrite) as temporary,
            temporary.open("wb") as file,
            tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(self.path.parent)) as body,
        ):
            lengths, longest = self._body(body, coder)
            self.about = replace(self.about, longest=longest, tables=len(tables))
            body.seek(0)
            self._finish(file, body, tables, lengths)
        return self.path

    def _described(self) -> About:
        """The header, now that all is known but the length of records."""
        tracks, onsets, blocks = [], dict[tuple[bytes, int], str](), 0
        for lane in self._lanes.values():
            track = lane.track(onsets)
            if track.time == ONSETS:
                onsets[lane.digest.digest(), lane.items] = lane.name
            tracks.append(track)
            last = len(lane.counts)
            if track.time == RATE and track.items:
                pace = Fraction(track.spec.rate or 0) * self.about.block
                last = (track.items - 1) * pace.denominator // pace.numerator + 1
            blocks = max(blocks, last)
        if blocks > MOST_BLOCKS:
            raise BadInput(
                f"the streams last {blocks} blocks of {self.about.block} s, expected at most {MOST_BLOCKS}; "
                "make blocks longer, or several files"
            )
        return replace(self.about, tracks=tuple(tracks), blocks=blocks, expected=self._expected(tracks))

    def _expected(self, tracks: list[Track]) -> Expected | None:
        """What the header says of the language model, if it can code these."""
        found = self.expecter
        if found is None or not set(found.streams) <= {t.name for t in tracks}:
            return None
        if not alike([track for track in tracks if track.name in found.streams]):
            return None
        return Expected(found.name, found.version, found.streams)

    def _batches(self) -> Iterator[tuple[int, list[Items]]]:
        """The first block of some, and what these hold of each stream with a time."""
        timed = [(track, self._lanes[track.name]) for track in self.about.tracks if track.time != NONE]
        for _, lane in timed:
            lane.rewind()
        for start in range(0, self.about.blocks, AT_ONCE):
            stop = min(self.about.blocks, start + AT_ONCE)
            items = []
            for track, lane in timed:
                counts = counts_of(track, self.about, start, stop) if track.time == RATE else lane.counts[start:stop]
                items.append(lane.take(np.pad(counts, (0, stop - start - len(counts)))))
            yield start, items

    def _models(self) -> list[Model]:
        """How each sequence is written: counted first, so that a table says what is in this file and nothing else."""
        coder = Coder(self.about)
        counters = [Counter(sequence.size) for sequence in coder.sequences]
        if self.entropy:
            for start, items in self._batches():
                for sequence, counter, symbols in zip(
                    coder.sequences, counters, coder.symbols(start, items), strict=True
                ):
                    counter.add(symbols, firsts(items[sequence.track].counts))
        found = [counter.best() for counter in counters]
        state = 24 * self.about.blocks  # bits that a coder's state costs a block, whatever it codes
        worth = sum(saved for _, saved in found) > state
        return [model if worth else Model() for model, _ in found]

    def _body(self, file: IO[bytes], coder: Coder) -> tuple[list[int], int]:
        """All records but tables and tail; their lengths, and that of the longest content."""
        lengths, longest = [], 0
        for start, items in self._batches():
            for number, content in enumerate(coder.encode(start, items), start):
                lengths.append(file.write(record(BLOCK, number, content)))
                longest = max(longest, len(content))
        number = 0
        for at, track in enumerate(self.about.tracks):
            if track.time != NONE:
                continue
            lane = self._lanes[track.name]
            lane.rewind()
            for first in range(0, track.items, LOOSE_ITEMS):
                found = lane.take(np.array([min(LOOSE_ITEMS, track.items - first)]))
                content = varint(at) + varint(first) + varint(len(found.ids))
                vectors = found.values
                content += (
                    pack(found.ids, width(track.spec.size)) if vectors is None else vectors.astype("<f4").tobytes()
                )
                lengths.append(file.write(record(LOOSE, number, content)))
                number, longest = number + 1, max(longest, len(content))
        return lengths, longest

    def _finish(self, file: IO[bytes], body: IO[bytes], tables: bytes, lengths: list[int]) -> None:
        """Header, tables, body, then both again with the index, and where to find that."""
        head = self.about.to_bytes()
        begun = head + (record(TABLES, 0, tables) if tables else b"")
        file.write(begun)
        shutil.copyfileobj(body, file)
        bits = max(lengths, default=0).bit_length()
        index = varint(len(begun)) + varint(len(lengths)) + varint(bits) + pack(np.array(lengths, np.int64), bits)
        tail = varint(len(head)) + head + varint(len(tables)) + tables + index
        place = struct.pack("<Q", len(begun) + sum(lengths))
        file.write(record(TAIL, 0, tail) + place + struct.pack("<I", zlib.crc32(place)) + ENDING)
