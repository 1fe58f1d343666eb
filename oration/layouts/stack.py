"""Several streams side by side, one row each, some of them later: Moshi, Mini-Omni, pGSLM, NTPP, CSM, MusicGen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from oration.core import BadInput, Example, Specs
from oration.layouts.block import END, PAD, Draw, Run, Walk, distinct


@dataclass(frozen=True)
class Stack:
    """Item t of a stream sits at step t + its delay. A row is named after its stream, unless `rows` says otherwise.

    Delays let a level see the one above it: Copet et al. 2023 (MusicGen), arXiv:2306.05284, section 2.2.

    >>> from oration.core import Spec, Stream
    >>> from oration.layouts import Layout, picture
    >>> example = {"t": Stream(np.arange(2)), "c.0": Stream(np.arange(1, 4)), "c.1": Stream(np.arange(3))}
    >>> specs = {"t": Spec(9), "c.0": Spec(9, 12.5), "c.1": Spec(9, 12.5)}
    >>> print(picture(Layout((Stack(("t", "c.0", "c.1"), delays=(0, 1, 2)),)), example, specs))
    t   | t0 t1    t]    .     .     .
    c.0 | .  c.0:0 c.0:1 c.0:2 c.0]  .
    c.1 | .  .     c.1:0 c.1:1 c.1:2 c.1]
    >>> print(picture(Layout((Stack(("t", "c.0"), (0, 1), end="never"),)), example, specs))
    t   | t0 t1    .     .
    c.0 | .  c.0:0 c.0:1 c.0:2
    >>> print(picture(Layout((Stack(("c.0", "c.1"), end="zeros", rows=("x", "y")),)), example, specs))
    x | c.0:0 c.0:1 c.0:2 c.0]
    y | c.1:0 c.1:1 c.1:2 c.1]
    """

    streams: tuple[str, ...]
    delays: tuple[int, ...] | None = None
    """Steps, one per stream; None: no delays."""
    end: Literal["each", "never", "zeros"] = "each"
    """How it ends. `each`: every row by a mark of its own. `never`: not at all, so that it is the last block of a
    layout and a limit stops generation; a row whose stream is over stays absent (Moshi, Défossez et al. 2024,
    arXiv:2410.00037; full-duplex dialogue). `zeros`: all rows at once, by one column of symbol 0 after the last item
    (CSM, Sesame 2025, whose training labels end so); such a column may then not come earlier."""
    rows: tuple[str, ...] | None = None
    """Names of the rows, one per stream, where streams of several blocks share a row (Kimi-Audio, arXiv:2504.18425)."""

    def __post_init__(self) -> None:
        distinct(self.streams, "a Stack")
        many = len(self.streams)
        if self.delays is not None and len(self.delays) != many:
            raise BadInput(f"a Stack of {many} streams got {len(self.delays)} delays, {self.delays}; give one each")
        if self.delays is not None and min(self.delays) < 0:
            raise BadInput(f"a Stack got the delays {self.delays}; a delay is 0 steps or more, so add to all of them")
        if self.rows is not None and (len(set(self.rows)) != many or len(self.rows) != many or "" in self.rows):
            raise BadInput(f"a Stack of {many} streams got the rows {self.rows}; give each stream a row of its own")
        if self.end not in ("each", "never", "zeros"):
            raise BadInput(f"a Stack ends each, never or zeros, but got end={self.end!r}; choose one of them")
        if self.end == "zeros" and any(self.late.values()):
            raise BadInput(
                f"a Stack that ends with zeros ends all rows at once, so it has no delays, got {self.delays}"
            )

    @property
    def late(self) -> dict[str, int]:
        """Stream -> delay in steps."""
        return dict(zip(self.streams, self.delays or (0,) * len(self.streams), strict=True))

    @property
    def row(self) -> dict[str, str]:
        """Stream -> its row."""
        return dict(zip(self.streams, self.rows or self.streams, strict=True))

    @property
    def endless(self) -> bool:
        """Whether nothing ends it."""
        return self.end == "never"

    def holds(self) -> dict[str, tuple[str, ...]]:
        return {row: (stream,) for stream, row in self.row.items()}

    def schedule(self, example: Example, specs: Specs) -> list[Run]:
        if self.end == "zeros":
            self._verify(example, specs)
        runs, row = [], self.row
        for stream, delay in self.late.items():
            ids = example[stream].ids
            items, end = np.arange(len(ids)), np.array([len(ids)])
            runs.append(Run(row[stream], stream, items + delay, ids, stream, items))
            if self.end != "never":
                block = END if self.end == "each" else stream
                runs.append(Run(row[stream], block, end + delay, 0, stream, end, ends=True))
        return runs

    def walk(self, specs: Specs) -> Walk:
        if self.end == "zeros":
            self._symbols(specs)
        late, row, step = self.late, self.row, 0
        blocks = {s: (s, END) if self.end == "each" else (s,) for s in self.streams}
        stop = 0 if self.end == "zeros" else None
        present = {s: Draw(blocks[s], (s,), stop=stop, lapses=self.endless) for s in self.streams}
        going = set(self.streams)
        while going or self.endless:
            came = yield {row[s]: present[s] for s in self.streams if s in going and step >= late[s]}
            going -= {s for s in going if came.get(row[s]) in (END, PAD)}
            step += 1

    def lag(self, specs: Specs) -> dict[str, float | None]:
        rates = [specs[s].rate for s in self.streams if specs[s].rate is not None]
        rate = rates[0] if rates else None
        return {s: 0.0 if not delay else float(delay / rate) if rate else None for s, delay in self.late.items()}

    def _verify(self, example: Example, specs: Specs) -> None:
        """Check that nothing but its end looks like an end."""
        self._symbols(specs)
        lengths = {len(example[stream]) for stream in self.streams}
        if len(lengths) > 1:
            raise BadInput(
                f"a Stack that ends with zeros ends all rows in one column, but its streams {self.streams} have "
                f"{[len(example[s]) for s in self.streams]} items; cut them to the shortest"
            )
        low = np.flatnonzero(~np.any([example[stream].ids for stream in self.streams], axis=0))
        if len(low):
            raise BadInput(
                f"item {int(low[0])} is symbol 0 in all of {self.streams}, which would end this Stack there (it ends "
                "with zeros); leave that item out, or end the Stack with end='each'"
            )

    def _symbols(self, specs: Specs) -> None:
        for stream in self.streams:
            if specs[stream].dim:
                raise BadInput(
                    f"a Stack that ends with zeros holds symbols, but {stream!r} has vectors; let it end='each'"
                )
