"""What a measurement found: tables for the terminal and the page, figures for programs. Knows no measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oration.audio.atomic import replace_file
from oration.commands.console import console
from oration.commands.console import table as terminal_table
from oration.commands.folder import fresh
from oration.core import Waveform
from oration.evaluate.interval import Estimate, to_json


@dataclass(frozen=True)
class Table:
    """Text in columns; a column whose name begins with `>` is set to the right."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    note: str = ""

    def show(self) -> None:
        """On the terminal."""
        shown = terminal_table(self.title, *self.columns)
        for row in self.rows:
            shown.add_row(*row)
        out = console()
        out.print(shown)
        if self.note:
            out.print(self.note, style="dim", markup=False)


def spell(estimate: Estimate | float | None, digits: int = 2) -> str:
    """A figure with its interval, for a cell.

    >>> spell(Estimate(0.2881, 0.215, 0.3611, 20)), spell(2.5, 1), spell(None)
    ('0.29 [0.22, 0.36]', '2.5', '')
    """
    if estimate is None:
        return ""
    if not isinstance(estimate, Estimate):
        return f"{estimate:.{digits}f}"
    if math.isnan(estimate.low):
        return f"{estimate.value:.{digits}f}"
    return f"{estimate:.{digits}f}"


def finish(
    wanted: Path,
    title: str,
    tables: Sequence[Table],
    figures: Any,
    players: Sequence[tuple[str, Mapping[str, Waveform]]] = (),
) -> None:
    """Print the tables; write the page and `results.json` into a fresh folder.

    Args:
        figures: dataclasses, lists and numbers, for programs.
        players: what was said, and the recordings of it by system.

    Raises:
        BadInput: the folder cannot be made.
    """
    folder = fresh(wanted)
    for table in tables:
        table.show()
    replace_file(folder / "results.json", (to_json(figures) + "\n").encode())
