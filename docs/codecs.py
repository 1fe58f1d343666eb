"""Writes the table of docs/codecs.md from the recipes: python docs/codecs.py."""

from __future__ import annotations

import math
import re
from pathlib import Path

from oration.codecs import Codec, CodecModel
from oration.core import BadInput
from oration.core.files import replace_file
from oration.model import SpeechLM
from oration.recipe import find, names
from oration.sizes import parts_of

PAGE = Path(__file__).parent / "codecs.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->"
COLUMNS = ("recipe", "Hz", "frames a second", "levels of symbols", "kbit/s", "parameters, M", "published, M")
HEAD = f"| {' | '.join(COLUMNS)} | looks ahead, ms: code, sound |\n{'| --- ' * 8}|\n"


def levels(codec: Codec) -> str:
    """How many levels of how many symbols, and at which rates where these differ."""
    sizes = list(codec.specs().values())
    rates = [f"{float(spec.rate or 0):.4g}" for spec in sizes]
    apart = f" at {', '.join(rates)} a second" if len(set(rates)) > 1 else ""
    return f"{len(sizes)} of {sizes[0].size}{apart}"


def milliseconds(seconds: float) -> str:
    """`all` where a whole recording counts, or the net does not say."""
    return "?" if math.isinf(seconds) else f"{1000 * seconds:.0f}"


def row(name: str) -> str | None:
    """One codec, or None if the recipe is of none."""
    recipe = find(name)
    codec = next((t for t in recipe.tokenizers if isinstance(t, Codec)), None)
    if codec is None or recipe.lms:
        return None
    part = next(p for p in parts_of(SpeechLM(recipe, device="meta")).values() if isinstance(p.module, CodecModel))
    model = part.module
    if not isinstance(model, CodecModel):
        raise BadInput(f"the codec of {name!r} does not build: {part.trouble}")
    kbits = sum(spec.bits_per_second or 0 for spec in codec.specs().values()) / 1000
    published = next(iter(recipe.published.values()), None)
    cells = (
        f"`{name}`",
        f"{codec.rate}",
        f"{codec.rate / codec.hop:.4g}",
        levels(codec),
        f"{kbits:.4g}",
        f"{part.parameters / 1e6:.2f}",
        "" if published is None else f"{published / 1e6:.4g}",
        f"{milliseconds(model.delay)}, {milliseconds(model.late)}",
    )
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Put the table where the last one stood."""
    table = HEAD + "".join(filter(None, map(row, names())))
    page = PAGE.read_text(encoding="utf-8")
    found = re.sub(f"{BEGIN}.*?{END}", lambda _: BEGIN + table + END, page, flags=re.DOTALL)
    replace_file(PAGE, found)


if __name__ == "__main__":
    main()
