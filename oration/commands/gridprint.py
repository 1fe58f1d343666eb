"""The grid of a task on the terminal: one row a grid row, one column a step, time above. Signs say what colours say."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.text import Text

from oration.commands.console import table
from oration.commands.sheet import Sheet
from oration.core import GIVEN, PREDICT

WINDOW = 1.0
"""Seconds of a grid that are printed, if it has times."""
PANELS = 4
"""Pieces as wide as the terminal, at most."""
STYLES = {"given": "cyan", "predict": "bold white on blue", "absent": "dim"}


def grid(out: Console, sheet: Sheet, where: str) -> None:
    """Print the beginning of a grid, what its rows hold, and what the loss covers.

    Args:
        where: what to do to see all of it.
    """
    seen = _panels(out, sheet)
    steps = sheet.cells.steps
    if seen < steps:
        out.print(f"  [dim]{steps - seen:,} of {steps:,} steps are not shown; {where}[/]")
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


def _window(sheet: Sheet, times: np.ndarray) -> int:
    """Steps to print: up to the first that begins after the window."""
    late = np.flatnonzero(times >= WINDOW)
    return int(late[0]) if len(late) and np.isfinite(times).sum() > 1 else sheet.cells.steps


def _panels(out: Console, sheet: Sheet) -> int:
    """Print pieces of the grid one below the other; how many steps were printed."""
    shown, text, times = sheet.shown, labels(sheet), sheet.times()
    names = [sheet.cells.rows[k] for k in shown]
    head = max(map(len, [*names, "seconds"]))
    room = out.width - head - 5
    step, last = 0, _window(sheet, times)
    for _ in range(PANELS):
        widths: list[int] = []
        while step + len(widths) < last:
            wide = max(len(text[k, step + len(widths)]) for k in shown)
            if sum(widths) + len(widths) + wide > room:
                break
            widths.append(wide)
        if not widths:
            break
        span = range(step, step + len(widths))
        out.print(Text(f"  {'seconds':{head}}   {_axis(times[span.start : span.stop], widths)}", "dim"), no_wrap=True)
        for k, name in zip(shown, names, strict=True):
            line = Text(f"  {name:{head}} | ", no_wrap=True)
            for s, wide in zip(span, widths, strict=True):
                role = sheet.cells.role[k, s]
                style = STYLES["predict" if role == PREDICT else "given" if role == GIVEN else "absent"]
                line.append(f"{text[k, s]:{wide}}", style)
                line.append(" ")
            line.rstrip()
            out.print(line, no_wrap=True)
        step = span.stop
        if step < last:
            out.print()
    return step


def _axis(times: np.ndarray, widths: list[int]) -> str:
    """Seconds above the columns, where there is room."""
    line = ""
    at = 0
    for second, wide in zip(times, widths, strict=True):
        if np.isfinite(second) and (not line or len(line) + 2 <= at):
            line = line.ljust(at) + f"{second:.2f}"
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
        rows.add_row(name, f"{there:,}", f"{asked:,}", weight, "" if share is None else f"{share:.1%}")
    out.print(rows)
    if not sheet.trained_by:
        out.print("No stage of the recipe trains this task.", style="dim")
    elif sheet.weights is None:
        out.print(f"{sheet.trained_by} weighs cells by its own rule; see its docstring.", style="dim")
