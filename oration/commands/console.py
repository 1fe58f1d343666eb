"""Where commands print."""

from __future__ import annotations

import shutil
import sys

from rich.console import Console
from rich.table import Table


def console() -> Console:
    """The terminal at its own width, at most 120 columns; 100 where the output goes to a file."""
    width = min(120, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 100
    return Console(width=width, highlight=False)


def table(title: str, *columns: str) -> Table:
    """An empty table. A column whose name begins with `>` is set to the right."""
    made = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    return made
