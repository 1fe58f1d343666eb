"""Every cell of a grid and what it is: what a layout inspector draws. Knows no page and no terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from oration.core import ABSENT, GIVEN, PREDICT, TICKS, BadInput, Example, Specs, Vocab
from oration.layouts.block import Block, Run, is_stream
from oration.layouts.layout import Layout, length
from oration.layouts.picture import labels
from oration.layouts.rows import rows_of

Kind = Literal["item", "end", "switch", "fixed", "absent"]


@dataclass(frozen=True)
class Cell:
    """One cell."""

    row: str
    step: int
    label: str
    """As `picture` draws it: `a3`, `a]`, `]`, `@a`, `=7`, and `.` for nothing."""
    kind: Kind
    stream: str | None
    """The stream it is about; None for nothing, and for the end of a whole Weave."""
    item: int | None
    """Item of that stream; the end of n items is item n."""
    symbol: int
    """Within its vocabulary block; 0 for vectors and marks, -1 for nothing."""
    token: int
    role: int
    loss: bool
    delay: int
    """Steps by which a Stack puts it late."""
    seconds: float | None
    """When the item begins; None without time."""
    turn: int
    block: int


@dataclass(frozen=True, eq=False)
class Cells:
    """All cells of a grid of K rows and S steps. The arrays are [K, S] unless said otherwise; see `Cell`."""

    rows: tuple[str, ...]
    """K names."""
    streams: tuple[str, ...]
    """What `stream` counts: those of the layout, then those of fixed symbols."""
    label: np.ndarray
    """object (str)"""
    kind: np.ndarray
    """object (str)"""
    stream: np.ndarray
    """int16: place in `streams`; -1 for none."""
    item: np.ndarray
    """int64; -1 for none."""
    symbol: np.ndarray
    """int64; -1 for nothing."""
    token: np.ndarray
    """int64, as in the grid."""
    role: np.ndarray
    """int8: ABSENT, GIVEN or PREDICT."""
    delay: np.ndarray
    """int64, steps."""
    seconds: np.ndarray
    """float64; NaN without time."""
    turn: np.ndarray
    """int64[S]"""
    block: np.ndarray
    """int64[S]: place in `layout.blocks`."""

    @property
    def steps(self) -> int:
        return self.token.shape[1]

    @property
    def loss(self) -> np.ndarray:
        """bool[K, S]: whether the cell is in the loss."""
        return self.role == PREDICT

    def at(self, row: str | int, step: int) -> Cell:
        """One cell, by the name or the number of its row.

        Raises:
            BadInput: there is no such row or step.
        """
        k = self.rows.index(row) if row in self.rows else row
        if not isinstance(k, int) or not 0 <= k < len(self.rows) or not 0 <= step < self.steps:
            raise BadInput(f"no cell at row {row!r}, step {step}: there are the rows {self.rows}, {self.steps} steps")
        stream, item, seconds = int(self.stream[k, step]), int(self.item[k, step]), float(self.seconds[k, step])
        return Cell(
            self.rows[k],
            step,
            self.label[k, step],
            self.kind[k, step],
            None if stream < 0 else self.streams[stream],
            None if item < 0 else item,
            int(self.symbol[k, step]),
            int(self.token[k, step]),
            int(self.role[k, step]),
            bool(self.role[k, step] == PREDICT),
            int(self.delay[k, step]),
            None if np.isnan(seconds) else seconds,
            int(self.turn[step]),
            int(self.block[step]),
        )

    def where(self, stream: str) -> np.ndarray:
        """int64[N, 2]: (row, step) of each item of a stream, in order.

        Raises:
            BadInput: no such stream.
        """
        if stream not in self.streams:
            raise BadInput(f"the grid has no stream {stream!r}; it has {self.streams}")
        found = np.argwhere(((self.stream == self.streams.index(stream)) & (self.kind == "item")).T)
        return found[:, ::-1].astype(np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """Row -> how many of its cells are `given`, to `predict` and `absent`."""
        roles = {"given": GIVEN, "predict": PREDICT, "absent": ABSENT}
        return {
            row: {name: int((self.role[k] == role).sum()) for name, role in roles.items()}
            for k, row in enumerate(self.rows)
        }


def cells(
    layout: Layout,
    turns: Sequence[Example],
    specs: Specs,
    predict: Sequence[str] = (),
    known: Mapping[str, int] | None = None,
    vocabs: Mapping[str, Vocab] | None = None,
) -> Cells:
    """What each cell of `layout.place(turns, specs, predict, known, vocabs)` is.

    >>> from oration.core import Spec, Stream
    >>> from oration.layouts import Stack
    >>> layout = Layout((Stack(("a", "b"), delays=(0, 1)),))
    >>> specs, example = {"a": Spec(9, 10), "b": Spec(9, 10)}, {"a": Stream(np.arange(3)), "b": Stream(np.arange(3))}
    >>> found = cells(layout, [example], specs, predict=("b",))
    >>> cell = found.at("b", 2)
    >>> cell.label, cell.role, cell.loss, cell.delay, cell.seconds
    ('b1', 2, True, 1, 0.1)
    >>> found.counts()["b"]
    {'given': 0, 'predict': 4, 'absent': 1}

    Raises:
        BadInput: as `Layout.place`.
    """
    grid = layout.place(turns, specs, predict, known, vocabs)
    fixed = [name for b in layout.blocks for names in b.holds().values() for name in names if is_stream(name)]
    table = _Table(grid.tokens.shape, grid.rows, tuple(dict.fromkeys((*layout.streams, *fixed))))
    own = rows_of(layout, specs, vocabs)
    at = 0
    for turn, example in enumerate(turns):
        for number, block in enumerate(layout.blocks):
            runs = block.schedule(example, specs)
            for run in runs:
                table.write(run, block, example, specs, at)
            long = length(runs)
            table.turn[at : at + long], table.block[at : at + long] = turn, number
            at += long
    for k, row in enumerate(grid.rows):
        for first, past in (own[row].ranges[block] for block, _ in own[row].blocks):
            here = (grid.tokens[k] >= first) & (grid.tokens[k] < past) & (grid.role[k] != ABSENT)
            table.symbol[k, here] = grid.tokens[k, here] - first
    return Cells(
        grid.rows, table.streams, table.label, table.kind, table.stream, table.item, table.symbol, grid.tokens,
        grid.role, table.delay, table.seconds, table.turn, table.block,
    )  # fmt: skip


class _Table:
    """The arrays of `Cells` while they are written."""

    def __init__(self, shape: tuple[int, ...], rows: tuple[str, ...], streams: tuple[str, ...]) -> None:
        self.rows, self.streams = rows, streams
        self.label, self.kind = np.full(shape, ".", object), np.full(shape, "absent", object)
        self.stream, self.item = np.full(shape, -1, np.int16), np.full(shape, -1, np.int64)
        self.symbol, self.delay = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
        self.seconds = np.full(shape, np.nan)
        self.turn, self.block = np.zeros(shape[1], np.int64), np.zeros(shape[1], np.int64)

    def write(self, run: Run, block: Block, example: Example, specs: Specs, start: int) -> None:
        """The cells of one run of a block that begins at step `start`."""
        k, steps = self.rows.index(run.row), run.steps + start
        about, kind = _about(run, block)
        self.label[k, steps], self.kind[k, steps] = labels(run, block), kind
        self.delay[k, steps] = getattr(block, "late", {}).get(about, 0)
        self.stream[k, steps] = -1 if about is None else self.streams.index(about)
        if about is None or run.owner != about:
            return
        self.item[k, steps] = run.items
        begins = specs[about].onsets(len(example[about])) if specs[about].rate is not None else example[about].onsets
        if kind == "item" and begins is not None:
            self.seconds[k, steps] = begins[run.items] / TICKS


def _about(run: Run, block: Block) -> tuple[str | None, Kind]:
    """The stream that a run is about, and what its cells are."""
    if is_stream(run.block):
        return run.block, "fixed" if run.owner is None else "end" if run.ends else "item"
    if run.block.startswith("@"):
        return run.block[1:], "switch"
    if run.block.startswith("]"):
        return run.block[1:], "end"
    alone = sum(map(is_stream, block.holds()[run.row])) == 1
    return run.owner if alone else None, "end"
