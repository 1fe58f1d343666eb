"""The grid of a task on the terminal: one row a grid row, one column a step, time above. Signs say what colours say."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.text import Text

from oration.commands.console import table
from oration.commands.sheet import Sheet
from oration.core import GIVEN, PREDICT

HEAD, TAIL = 24, 4
"""Steps of a block that are printed: its first and its last ones. Twice as many where there is only one block."""
PANELS = 6
"""Pieces as wide as the terminal, at most."""
STYLES = {"given": "cyan", "predict": "bold white on blue", "absent": "dim"}


def grid(out: Console, sheet: Sheet, where: str) -> None:
    """Print the beginning of a grid, what its rows hold, and what the loss covers.

    Args:
        where: what to do to see all of it.
    """
    left = sheet.cells.steps - _panels(out, sheet)
    if left:
        out.print(f"  [dim]{left:,} of {sheet.cells.steps:,} steps are not shown; {where}[/]")
    _legend(out, sheet)
    _rows(out, sheet)
    _vocabulary(out, sheet)
    _loss(out, sheet)


def labels(sheet: Sheet) -> np.ndarray:
    """object[K, S]: what stands in each cell: an item's number, `]` an end, `@` a switch, `=` a fixed symbol, `.`."""
    cells, short = sheet.cells, sheet.short()
    found = np.full(cells.label.shape, ".", object)
    for k in sheet.shown:
        for s in range(cells.steps):
            kind, about = cells.kind[k, s], int(cells.stream[k, s])
            name = short.get(cells.streams[about], "") if about >= 0 else ""
            if kind == "item":
                found[k, s] = f"{name}{cells.item[k, s]}"
            elif kind == "fixed":
                found[k, s] = f"={cells.symbol[k, s]}"
            elif kind != "absent":
                found[k, s] = {"end": f"{name.rstrip(':')}]", "switch": f"@{name.rstrip(':')}"}[kind]
            if cells.role[k, s] == PREDICT:
                found[k, s] += "!"
    return found


def plain(sheet: Sheet, steps: int = 60) -> str:
    """The first steps of a grid as plain text."""
    text = labels(sheet)[:, :steps]
    head = max(len(sheet.cells.rows[k]) for k in sheet.shown)
    widths = [max(len(text[k, s]) for k in sheet.shown) for s in range(text.shape[1])]
    lines = []
    for k in sheet.shown:
        line = " ".join(f"{text[k, s]:{wide}}" for s, wide in enumerate(widths))
        lines.append(f"{sheet.cells.rows[k]:{head}} | {line}".rstrip() + (" ..." if sheet.cells.steps > steps else ""))
    return "\n".join(lines)


def beginning(out: Console, sheet: Sheet, panels: int = 2) -> None:
    """Print only the first columns of a grid, and what its signs mean."""
    _panels(out, sheet, panels)
    _legend(out, sheet)


def _chosen(sheet: Sheet) -> list[int | None]:
    """Steps to print; None stands for those left out."""
    cells = sheet.cells
    borders = np.flatnonzero(np.diff(cells.block * 1_000_000 + cells.turn)) + 1
    head = HEAD * (1 if len(borders) else 2)
    steps: list[int | None] = []
    for block in np.split(np.arange(cells.steps), borders):
        all_of_it = len(block) <= head + TAIL + 1
        steps += block.tolist() if all_of_it else [*block[:head].tolist(), None, *block[-TAIL:].tolist()]
    return steps


def _panels(out: Console, sheet: Sheet, panels: int = PANELS) -> int:
    """Print pieces of the grid one below the other; how many steps were printed."""
    shown, text, times, left = sheet.shown, labels(sheet), sheet.times(), _chosen(sheet)
    head = max(len(name) for name in [*(sheet.cells.rows[k] for k in shown), "seconds"])
    printed = 0
    for number in range(panels):
        piece: list[tuple[int | None, int]] = []
        room = out.width - head - 5
        while left:
            wide = 3 if left[0] is None else max(len(text[k, left[0]]) for k in shown)
            room -= wide + 1
            if room < 0 and piece:
                break
            piece.append((left.pop(0), wide))
        if not piece:
            break
        out.print() if number else None
        out.print(Text(f"  {'seconds':{head}}   {_axis(times, piece)}", "dim"), no_wrap=True)
        for k in shown:
            out.print(_line(sheet, text, k, head, piece), no_wrap=True)
        printed += sum(step is not None for step, _ in piece)
    return printed


def _line(sheet: Sheet, text: np.ndarray, k: int, head: int, piece: list[tuple[int | None, int]]) -> Text:
    line = Text(f"  {sheet.cells.rows[k]:{head}} | ", no_wrap=True)
    for step, wide in piece:
        role = None if step is None else sheet.cells.role[k, step]
        style = STYLES["predict" if role == PREDICT else "given" if role == GIVEN else "absent"]
        line.append("..." if step is None else text[k, step], style)
        line.append(" " * (wide + 1 - (3 if step is None else len(text[k, step]))))
    line.rstrip()
    return line


def _axis(times: np.ndarray, piece: list[tuple[int | None, int]]) -> str:
    """Seconds above the columns, where there is room."""
    line, at = "", 0
    for step, wide in piece:
        if step is not None and np.isfinite(times[step]) and (not line or len(line) + 2 <= at):
            line = line.ljust(at) + f"{times[step]:.2f}"
        at += wide + 1
    return line


def _legend(out: Console, sheet: Sheet) -> None:
    legend = Text("  ")
    legend.append("12!", STYLES["predict"])
    legend.append(" predicted: in the loss   ")
    legend.append("12", STYLES["given"])
    legend.append(" given: read only   ")
    legend.append(".", STYLES["absent"])
    legend.append(" absent: padding   ] end")
    kinds = set(np.unique(sheet.cells.kind.astype(str)))
    legend.append("   @ goes on with" if "switch" in kinds else "")
    legend.append("   = fixed symbol" if "fixed" in kinds else "")
    out.print(legend)
    named = {letters: name for name, letters in sheet.short().items() if letters}
    if named:
        out.print("  " + "   ".join(f"{letters} {name}" for letters, name in named.items()), markup=False)


def _rows(out: Console, sheet: Sheet) -> None:
    counts, cells = sheet.cells.counts(), sheet.cells
    rows = table("Rows", "row", ">given", ">predicted", ">absent", ">late by")
    for k in sheet.shown:
        found = counts[cells.rows[k]]
        late = sorted(set(cells.delay[k][cells.kind[k] == "item"].tolist()))
        rows.add_row(
            cells.rows[k], f"{found['given']:,}", f"{found['predict']:,}", f"{found['absent']:,}",
            ", ".join(f"{n} step{'s' * (n > 1)}" for n in late if n),
        )  # fmt: skip
    out.print(rows)
    idle = [row for k, row in enumerate(cells.rows) if k not in sheet.shown]
    said = f"{cells.steps:,} steps; padding is {sheet.padding:.0%} of the grid"
    said += f", with the rows of other tasks ({', '.join(idle)})" if idle else ""
    said += "".join(f"; {share:.0%} of {name} only fills time" for name, share in sheet.fillers.items())
    context = sheet.lm.context
    if context is not None and cells.steps > context:
        said += f"; the grid is longer than the model's context of {context:,} steps"
    out.print(said + ".", style="dim", markup=False)


def _vocabulary(out: Console, sheet: Sheet) -> None:
    out.print("\n[bold]Vocabulary[/]")
    lines: dict[str, list[str]] = {}
    for row in sheet.vocabs:
        said = ", ".join(
            f"{name} {first}-{last}" if last > first else f"{name} {first}" for name, first, last in sheet.blocks(row)
        )
        lines.setdefault(said if len(sheet.blocks(row)) > 3 else said.replace(row, "items", 1), []).append(row)
    for said, rows in lines.items():
        name = rows[0] if len(rows) == 1 else f"{rows[0]} ... {rows[-1]} ({len(rows)} rows)"
        out.print(f"{name}: {said}", markup=False)


def _loss(out: Console, sheet: Sheet) -> None:
    by = f" ({sheet.trained_by})" if sheet.trained_by else ""
    rows = table(f"In the loss{by}", "what", ">cells", ">in the loss", ">weight", ">share of the loss's weight")
    for name, there, asked, weight, share in sheet.covered():
        rows.add_row(name, f"{there:,}", f"{asked:,}", weight, f"{share:.1%}" if share else "")
    out.print(rows)
    if not sheet.trained_by:
        out.print("No stage of the recipe trains this task.", style="dim")
    elif sheet.weights is None:
        out.print(f"{sheet.trained_by} weighs cells by its own rule; see its docstring.", style="dim")
