"""A layout drawn as text, and how late it makes each stream. For docstrings, tests and `oration show`."""

from __future__ import annotations

import numpy as np

from oration.core import Example, Specs
from oration.layouts.block import END, Run, is_stream
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
            alone = len([name for name in block.rows()[run.row] if is_stream(name)]) == 1
            for step, label in zip(run.steps.tolist(), _labels(run, alone), strict=True):
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


def _labels(run: Run, alone: bool) -> list[str]:
    """What each cell of a run is drawn as; `alone`: its block puts one stream on this row."""
    if not is_stream(run.block):
        label = (f"{run.owner}]" if alone else "]") if run.block == END else run.block
        return [f"{label[1:]}]" if label[0] == "]" and len(label) > 1 else label] * len(run.steps)
    if run.owner is None:
        return [f"={symbol}" for symbol in np.broadcast_to(run.symbols, run.steps.shape)]
    between = ":" if run.block[-1].isdigit() else ""
    return [f"{run.block}{between}{item}" for item in run.items]


def delay(layout: Layout, specs: Specs) -> dict[str, float | None]:
    """Stream -> seconds between an item and its place on the grid, by the layout alone; computing comes on top.

    A Line and a Weave by Time put an item where it is: 0. A Weave by Chunk places a whole chunk at a time: its length.
    A Weave by Ratio lets the first item of a slice wait for the last: (count - 1) / rate. A Stack: its delay in steps
    over the rate of its steps, None if none of its streams has a rate.

    >>> from oration.core import Spec
    >>> from oration.layouts import Stack
    >>> delay(Layout((Stack(("c.0", "c.1"), delays=(0, 1)),)), {"c.0": Spec(9, 12.5), "c.1": Spec(9, 12.5)})
    {'c.0': 0.0, 'c.1': 0.08}
    """
    return {stream: seconds for block in layout.blocks for stream, seconds in block.lag(specs).items()}
