"""Writes the tables of docs/codecs.md from the recipes and from what tests saw: python docs/codecs.py [FILE ...].

A file ending in .json is that of `pytest --systems FILE.json` (`make systems`), or the one that `oration check` leaves
beside its page. Others hold what benchmarks/codecs_*.py printed: how much faster than another implementation a codec
is, in that run.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from systems import NOT, agreement, compared  # beside this file

from oration.codecs import Codec, CodecModel
from oration.core import BadInput
from oration.core.files import replace_file
from oration.model import SpeechLM
from oration.recipe import Recipe, find, names
from oration.sizes import parts_of

PAGE = Path(__file__).parent / "codecs.md"
MADE = (
    "recipe", "Hz", "frames a second", "levels of symbols", "kbit/s", "parameters, M", "published, M",
    "looks ahead, ms: code, sound",
)  # fmt: skip
SEEN = ("recipe", "copies", "in pieces", "loads", "parity", "speed: encode, decode")

Speeds = dict[str, dict[str, str]]
"""Family -> `encode` and `decode` -> ratio to another implementation."""


def codec_of(recipe: Recipe) -> Codec | None:
    """What a recipe without language models is about."""
    found = next((t for t in recipe.tokenizers if isinstance(t, Codec)), None)
    return None if recipe.lms else found


def levels(codec: Codec) -> str:
    """How many levels of how many symbols, and at which rates where these differ."""
    sizes = [spec for name, spec in codec.specs().items() if name in codec.streams]
    rates = [f"{float(spec.rate or 0):.4g}" for spec in sizes]
    frame = f"{codec.rate / codec.hop:.4g}"
    paces = rates if len(set(rates)) > 1 else rates[: rates[0] != frame]
    apart = f" at {', '.join(paces)} a second" if paces else ""
    return f"{len(sizes)} of {sizes[0].size}{apart}"


def milliseconds(seconds: float) -> str:
    """`?` where a whole recording counts, or the net does not say."""
    return "?" if math.isinf(seconds) else f"{1000 * seconds:.0f}"


def made_of(recipe: Recipe, codec: Codec) -> Sequence[str]:
    """The cells that follow from the recipe alone."""
    part = next(p for p in parts_of(SpeechLM(recipe, device="meta")).values() if p.config is codec)
    model = part.module
    if not isinstance(model, CodecModel):
        raise BadInput(f"the codec of {recipe.name!r} does not build: {part.trouble}")
    kbits = sum(spec.bits_per_second or 0 for spec in codec.specs().values()) / 1000
    published = next(iter(recipe.published.values()), None)
    return (
        f"`{recipe.name}`",
        f"{codec.rate}",
        f"{codec.rate / codec.hop:.4g}",
        levels(codec),
        f"{kbits:.4g}",
        f"{part.parameters / 1e6:.2f}",
        "" if published is None else f"{published / 1e6:.4g}",
        f"{milliseconds(model.delay)}, {milliseconds(model.late)}",
    )


def was_seen(recipe: Recipe, seen: Mapping[str, Any], speeds: Speeds) -> Sequence[str]:
    """The cells that tests and benchmarks saw."""
    works, parity = seen.get("works", {}).get(recipe.name), compared(recipe, seen)
    copies = [NOT] * 3
    if works is not None and works.get("copied"):
        one = works["copied"][0]
        pieces = f"the same, {one['live']}" if one["live"] else "not the same"
        copies = [f"{one['nats']:.2f} ({one['flat']:.2f})", pieces, "yes" if works["loads"] else "no"]
    family = next((name for name in speeds if recipe.name == name or recipe.name.startswith(f"{name}_")), None)
    ratios = [speeds[family].get(way, "?") for way in ("encode", "decode")] if family else []
    return (f"`{recipe.name}`", *copies, agreement(parity) if parity else NOT, ", ".join(ratios) or NOT)


def speeds_in(text: str) -> Speeds:
    """Ratios of the variant `oration` in what a benchmark printed, the first of each direction.

    >>> lines = ["snac, 60 s", "", "| variant | s | x encode | x decode |", "|---|---|---|---|"]
    >>> speeds_in(chr(10).join([*lines, "| oration | 1 | 5.1 (4 - 6) | 4 |"]))
    {'snac': {'encode': '5.1x', 'decode': '4x'}}
    """
    found: Speeds = {}
    for title, head, body in re.findall(r"^(.+)\n\n(\| variant .*)\n\|[-|]+\n((?:\|.*\n?)+)", text, re.M):
        columns = [cell.strip() for cell in head.strip("|").split("|")]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]
        row = next((row for row in rows if row[0] == "oration"), None)
        ratios = [f"{row[i].split()[0]}x" for i, name in enumerate(columns) if name.startswith("x ")] if row else []
        if "x moshi" in columns:  # a table for each direction
            family, ways = "mimi", re.findall("encode|decode", title)[:1]
        else:
            family, ways = re.split(r"\W", title)[0], ["encode", "decode"]
        known = found.setdefault(family, {})
        known.update({way: ratio for way, ratio in zip(ways, ratios, strict=False) if way not in known})
    return found


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(heads)} |", f"{'| --- ' * len(heads)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def page(text: str, recipes: Sequence[Recipe], seen: Mapping[str, Any], speeds: Speeds) -> str:
    """The page with its tables made anew."""
    codecs = [(recipe, codec) for recipe in recipes if (codec := codec_of(recipe)) is not None]
    tables = {
        "table": table(MADE, [made_of(recipe, codec) for recipe, codec in codecs]),
        "seen": table(SEEN, [was_seen(recipe, seen, speeds) for recipe, _ in codecs]),
    }
    for name, made in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + made + end + rest.partition(end)[2]
    return text


def read(files: Sequence[Path]) -> tuple[dict[str, Any], Speeds]:
    """What tests saw, all files together, and what benchmarks printed."""
    seen: dict[str, Any] = {"works": {}, "parity": {}}
    speeds: Speeds = {}
    for file in files:
        text = file.read_text(encoding="utf-8")
        if file.suffix != ".json":
            speeds |= speeds_in(text)
            continue
        found = json.loads(text)
        seen["works"] |= found.get("works", {}) | {works["name"]: works for works in found.get("results", ())}
        for name, references in found.get("parity", {}).items():
            seen["parity"][name] = seen["parity"].get(name, {}) | references
    return seen, speeds


def main() -> None:
    """Put the tables where the last ones stood."""
    text = PAGE.read_text(encoding="utf-8")
    replace_file(PAGE, page(text, [find(name) for name in names()], *read([Path(name) for name in sys.argv[1:]])))


if __name__ == "__main__":
    main()
