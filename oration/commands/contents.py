"""`oration show FILE.orat`: what is in a file of streams, what it costs, and what is wrong with it. Needs no model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from oration.commands.console import console, table
from oration.core import BadInput
from oration.core.container import About, Cost, Reader, costs
from oration.core.container.about import NONE, ONSETS, RATE


def run(path: Path, options: Mapping[str, object]) -> None:
    """Print header, streams and sizes, and read every block.

    Args:
        options: those of `oration show` that draw recipes; none goes with a file.

    Raises:
        BadInput: an option that does not belong here, or no such file that can be read.
    """
    for option, value in options.items():
        if value:
            raise BadInput(f"{option} goes with a recipe, but {str(path)!r} is a file of streams; leave it out")
    with Reader(path) as file:
        about, size = file.about, path.stat().st_size
        shown = console()
        shown.print(
            f"[bold]{path.name}[/]  {float(about.end):.3f} s at {about.rate} Hz, by {about.recipe!r} of version "
            f"{about.version or 'unknown'}"
        )
        found = [] if about.expected else costs(file)
        rows = table("Streams", "stream", ">symbols", ">a second", ">items", ">bits packed", ">bits here", "written")
        for row in _rows(about, found):
            rows.add_row(*row)
        shown.print(rows)
        shown.print(_sizes(about, found, size) if about.expected is None else _expected(about, file, size))
        if about.extra:
            shown.print(f"extra: {json.dumps(dict(about.extra))}", markup=False)
        damage = file.check()
    for clause in damage:
        shown.print(f"damaged: {clause}", markup=False)


def _rows(about: About, found: list[Cost]) -> list[tuple[str, ...]]:
    """One for each stream, and one for the onsets that are written with it."""
    rows: list[tuple[str, ...]] = []
    for track in about.tracks:
        pace = {RATE: f"{float(track.spec.rate or 0):g}", ONSETS: "at onsets", NONE: "no time"}
        when = pace.get(track.time, f"as {track.time}")
        if track.spec.dim:
            bits = f"{32 * track.spec.dim}"
            rows.append((track.name, "vectors", when, f"{track.items}", bits, bits, "float32"))
        for cost in found:
            if cost.name == track.name:
                items = max(1, cost.items)
                name, symbols = (f"{track.name}, onsets", "") if cost.gaps else (track.name, f"{track.spec.size}")
                per = (f"{cost.packed / items:.3g}", f"{cost.bits / items:.3g}")
                rows.append((name, symbols, "" if cost.gaps else when, f"{cost.items}", *per, cost.way))
        if about.expected is not None and track.time != NONE and not track.spec.dim:
            bits, how = f"{(track.spec.size - 1).bit_length()}", "beside the language model"
            if track.name in about.expected.streams:
                how = f"as {about.expected.model!r} expects"
            rows.append((track.name, f"{track.spec.size}", when, f"{track.items}", bits, "", how))
        if track.time == NONE and not track.spec.dim:
            bits = f"{(track.spec.size - 1).bit_length()}"
            rows.append((track.name, f"{track.spec.size}", when, f"{track.items}", bits, bits, "packed"))
    return rows


def _sizes(about: About, found: list[Cost], size: int) -> str:
    """What the file takes, and what entropy coding saves."""
    seconds = float(about.end) or 1.0
    symbols, tables = sum(cost.bits for cost in found), 16.0 * about.tables
    rates = (f"{bits / seconds / 1000:.3f}" for bits in (8 * size, symbols, tables, 8 * size - symbols - tables))
    said = "{} bytes in {} blocks of {} s: {} kbit/s, of which symbols {}, their tables (twice) {}, the rest {}".format(
        size, about.blocks, about.block, *rates
    )
    packed = sum(cost.packed for cost in found)
    if tables and packed:
        saved = 100 * (1 - (symbols + tables) / packed)
        said += f"\nentropy coding saves {saved:.0f} % of {packed / seconds / 1000:.3f} kbit/s"
    return said


def _expected(about: About, file: Reader, size: int) -> str:
    """What a file takes that a language model coded, and what that saves; the model itself is not needed for it."""
    assert about.expected is not None
    seconds, names = float(about.end) or 1.0, about.expected.streams
    packed = sum((t.spec.size - 1).bit_length() * t.items for t in about.tracks if t.name in names) / seconds
    coded = 8 * file.expected_bytes() / seconds
    return (
        f"{size} bytes in {about.blocks} blocks of {about.block} s: {8 * size / seconds / 1000:.3f} kbit/s, of which "
        f"{len(names)} streams as {about.expected.model!r} of version {about.expected.version} expects them "
        f"{coded / 1000:.3f}\nthe language model saves {packed - coded:.0f} bit/s, {100 * (1 - coded / packed):.0f} % "
        f"of {packed / 1000:.3f} kbit/s; without it the symbols cannot be read"
        if packed
        else f"{size} bytes without a symbol"
    )
