"""`oration check`: does a recipe work? It builds at its size; at its smallest it learns, replies and loads again."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oration.commands.console import console
from oration.commands.heard import SAMPLES
from oration.commands.results import finish
from oration.commands.show import first_line
from oration.core import BadInput
from oration.data.manifest import Clip, read_manifest
from oration.evaluate.report import NOTHING, Cell, Column, Section, Table, Text
from oration.recipe import Recipe, find, names
from oration.works import Works, check

LEAST = 2
"""Clips without which there is nothing to hold out."""


def run(recipes: Sequence[str], every: bool, data: Path | None, out: Path) -> int:
    """One row a recipe; 1 if one of them does not work.

    Args:
        recipes: names, or Python files.
        every: all that come with the package.
        data: a prepared folder; None: the bundled samples.

    Raises:
        BadInput: no such recipe or data.
    """
    if every == bool(recipes):
        raise BadInput(
            "oration check takes names of recipes or Python files, or --all; give one or the other"
            if every
            else "oration check needs a recipe to check: a name, a Python file, or --all"
        )
    wanted = [find(name) for name in (names() if every else recipes)]
    clips = read_manifest(SAMPLES if data is None else data)
    if len(clips) < LEAST:
        raise BadInput(f"{str(data)!r} holds {len(clips)} clips, expected {LEAST} or more; prepare some more")
    found: list[Works] = []
    shown = console()
    for number, recipe in enumerate(wanted, 1):
        start = time.perf_counter()
        with shown.status(f"{recipe.name} ({number} of {len(wanted)})"):
            found.append(one(recipe, clips))
        said = "works" if found[-1].holds else f"does not work: {why(found[-1])}"
        shown.print(f"{recipe.name}: {said} ({time.perf_counter() - start:.0f} s)", markup=False)
    good = sum(works.holds for works in found)
    facts = {"data": "the bundled samples" if data is None else str(data), "clips": str(len(clips))}
    troubles = tuple(Text(f"{works.name}: {why(works)}.") for works in found if not works.holds)
    sections = [Section(f"{good} of {len(found)} work", (report(found), *troubles))]
    finish(out, "Do the recipes work?", sections, facts, [works.record() for works in found])
    return int(good < len(found))


def one(recipe: Recipe, clips: Sequence[Clip]) -> Works:
    """Check one recipe. What breaks it is told beside its name, so that the others are checked all the same."""
    # What training says of itself is not asked for here, and would tear the line that moves.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        try:
            return check(recipe, clips, Path(folder), title=first_line(recipe))
        except Exception as broken:  # a user's own part may raise anything
            return Works(recipe.name, first_line(recipe), trouble=f"{type(broken).__name__}: {broken}")


def why(works: Works) -> str:
    """The first thing that is not as it should be, in a few words; nothing if it works."""
    if works.trouble:
        return works.trouble.rstrip(".")
    if not works.sized:
        name = next(n for n, count in works.published.items() if abs(works.parameters[n] / count - 1) > 0.05)
        return f"{name!r} has {works.parameters[name]:,} parameters, published are {works.published[name]:,.0f}"
    for entry in works.learned:
        if not entry.holds:
            return f"{entry.lm!r} pays {entry.nats:.3f} nats a symbol, a unigram model {entry.unigram:.3f}"
    for copy in works.copied:
        if not copy.nats < copy.flat:
            return f"copies by {copy.part!r} are {copy.nats:.3f} nats away, the median spectrum {copy.flat:.3f}"
        if not copy.holds:
            return f"copies by {copy.part!r} are {'not the same in pieces' if copy.whole else 'of another length'}"
    if works.parameters and not works.replied:
        return "it replies with nothing"
    return "" if works.loads else "saved and loaded again, it answers otherwise"


def report(found: Sequence[Works]) -> Table:
    """The table of what was seen."""
    columns: tuple[Column, ...] = (
        Column("recipe"), Column("works"), Column("parameters"), Column("published"), Column("nats, held out"),
        Column("unigram"), Column("copies, held out"), Column("median spectrum"), Column("live"),
        Column("replies with"), Column("loads again"),
    )  # fmt: skip
    note = (
        "Parameters at the published size; the rest at the smallest size, after a few updates: it shows that the parts "
        "fit together, not how well they do. Copies by a codec: how far their log-mel spectra are from those of the "
        "speech, in nats, beside the same for the median spectrum of the speech that it was trained on."
    )
    return Table("What works", columns, tuple(map(_row, found)), note)


def _row(works: Works) -> tuple[Cell, ...]:
    return (
        works.name,
        "yes" if works.holds else "no",
        _each([f"{count:,}" for count in works.parameters.values()]),
        _each([f"{works.published[n]:,.0f}" if n in works.published else "?" for n in works.parameters], "?"),
        _each([f"{entry.nats:.2f}" for entry in works.learned]),
        _each([f"{entry.unigram:.2f}" for entry in works.learned]),
        _each([f"{copy.nats:.2f}" for copy in works.copied]),
        _each([f"{copy.flat:.2f}" for copy in works.copied]),
        _each([copy.live for copy in works.copied]),
        works.replied or NOTHING,
        "yes" if works.loads else "no",
    )


def _each(values: Sequence[str], blank: str = "") -> Any:
    """Values of several language models in one cell; nothing where all are blank."""
    return NOTHING if all(value == blank for value in values) else ", ".join(values)
