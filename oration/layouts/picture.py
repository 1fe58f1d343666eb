"""A layout drawn as text. For docstrings, tests and `oration show`."""

from __future__ import annotations

import numpy as np

from oration.core import Example, Specs
from oration.layouts.block import END, Block, Run, is_stream
from oration.layouts.layout import Layout, length
from oration.layouts.rows import vocabs


def picture(layout: Layout, example: Example, specs: Specs, width: int | None = None) -> str:
    """One row per line, one step per column.

    `a3` is item 3 of stream a, `a]` its end, `]` the end of a Weave, `@a` a switch to a, `=7` a fixed symbol, `.` none.

    Args:
        width: of the picture in characters; columns that lie beyond are left out, and an ellipsis says so.

    >>> from oration.core import Spec, Stream
    >>> from oration.layouts import Line, Stack
    >>> ab = {"a": Stream(np.arange(30)), "b": Stream(np.arange(2))}
    >>> layout, specs = Layout((Line("b", row="a"), Stack(("a",)))), {"a": Spec(30, 12.5), "b": Spec(9)}
    >>> print(picture(layout, ab, specs, width=30))
    a | b0 b1 b] a0 a1 a2 a3 ...
    """
    rows = list(vocabs((layout,), specs))
    columns: list[list[str]] = []
    for block in layout.blocks:
        runs = block.schedule(example, specs)
        cells = [["."] * len(rows) for _ in range(length(runs))]
        for run in runs:
            for step, label in zip(run.steps.tolist(), labels(run, block), strict=True):
                cells[step][rows.index(run.row)] = label
        columns += cells
    head = max(map(len, rows))
    lines = [f"{row:{head}} |" for row in rows]
    for column in columns:
        wide = max(map(len, column))
        dots = 0 if column is columns[-1] else len(" ...")
        if width is not None and len(lines[0]) + 1 + wide + dots > width:
            return "\n".join(line + " ..." for line in lines)
        lines = [f"{line} {cell:{wide}}" for line, cell in zip(lines, column, strict=True)]
    return "\n".join(line.rstrip() for line in lines)


def labels(run: Run, block: Block) -> list[str]:
    """What each cell of a run of this block is drawn as."""
    if run.ends and is_stream(run.block):
        return [f"{run.block}]"] * len(run.steps)
    if not is_stream(run.block):
        alone = len([name for name in block.holds()[run.row] if is_stream(name)]) == 1  # an end needs no name otherwise
        label = (f"{run.owner}]" if alone else "]") if run.block == END else run.block
        return [f"{label[1:]}]" if label[0] == "]" and len(label) > 1 else label] * len(run.steps)
    if run.owner is None:
        return [f"={symbol}" for symbol in np.broadcast_to(run.symbols, run.steps.shape)]
    between = ":" if run.block[-1].isdigit() else ""
    return [f"{run.block}{between}{item}" for item in run.items]
