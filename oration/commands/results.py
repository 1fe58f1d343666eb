"""What a measurement found: tables on the terminal, the same on a page, figures for programs. Knows no measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import oration
from oration.commands.console import console
from oration.commands.console import table as terminal_table
from oration.commands.folder import fresh
from oration.evaluate.report import Cell, Column, Section, Table, write_page


def show(table: Table) -> None:
    """Print a table; one with many columns is turned on its side, so that it fits a terminal."""
    heads = [column.label for column in table.columns]
    rows = [[_text(cell, column) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]
    if len(heads) > 5:
        cells = [heads, *rows]
        heads, *rows = [list(side) for side in zip(*cells, strict=True)]
    shown = terminal_table(table.caption, heads[0], *(f">{head}" for head in heads[1:]))
    for row in rows:
        shown.add_row(*row)
    out = console()
    out.print(shown)
    if table.note:
        out.print(table.note.replace("The second line is", "In brackets"), style="dim", markup=False)


def _text(cell: Cell, column: Column) -> str:
    """A cell as text.

    >>> from oration.evaluate.interval import Estimate
    >>> _text(Estimate(0.2881, 0.215, 0.3611, 20), Column("WER", percent=True))
    '28.8% [21.5, 36.1]'
    """
    if cell is None:
        return ""
    if isinstance(cell, str | bool | int):
        return str(cell)
    if isinstance(cell, float):
        return _number(cell, column) + ("%" if column.percent else "")
    sides = "" if math.isnan(cell.low) else f" [{_number(cell.low, column)}, {_number(cell.high, column)}]"
    return _number(cell.value, column) + ("%" if column.percent else "") + sides


def _number(value: float, column: Column) -> str:
    if math.isnan(value):
        return "undefined"
    digits = max(0, column.digits - 2) if column.percent else column.digits
    return f"{value * (100 if column.percent else 1):.{digits}f}"


def finish(wanted: Path, title: str, sections: Sequence[Section], facts: Mapping[str, str], results: Any) -> None:
    """Print the tables of the sections; write the page and its JSON into a folder.

    Args:
        wanted: the folder, or one beside it if that holds something of the user's.

    Raises:
        BadInput: the folder cannot be made.
    """
    folder = fresh(wanted)
    for section in sections:
        for item in section.items:
            if isinstance(item, Table):
                show(item)
    known = {**facts, "oration": oration.__version__}
    path = write_page(folder / "index.html", sections, results=results, title=title, facts=known)
    console().print(f"\n{path.resolve()}", markup=False, soft_wrap=True)
