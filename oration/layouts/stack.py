"""Several streams side by side, one row each, some of them later: Moshi, Mini-Omni, pGSLM, NTPP, MusicGen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oration.core import BadInput, Example, Specs
from oration.layouts.block import END, Draw, Run, Walk, distinct


@dataclass(frozen=True)
class Stack:
    """Item t of a stream sits at step t + its delay; every row ends by itself. A row is named after its stream.

    Delays let a level see the one above it: Copet et al. 2023 (MusicGen), arXiv:2306.05284, section 2.2.

    >>> from oration.core import Spec, Stream
    >>> from oration.layouts import Layout, picture
    >>> example = {"t": Stream(np.arange(2)), "c.0": Stream(np.arange(3)), "c.1": Stream(np.arange(3))}
    >>> specs = {"t": Spec(9), "c.0": Spec(9, 12.5), "c.1": Spec(9, 12.5)}
    >>> print(picture(Layout((Stack(("t", "c.0", "c.1"), delays=(0, 1, 2)),)), example, specs))
    t   | t0 t1    t]    .     .     .
    c.0 | .  c.0:0 c.0:1 c.0:2 c.0]  .
    c.1 | .  .     c.1:0 c.1:1 c.1:2 c.1]
    """

    streams: tuple[str, ...]
    delays: tuple[int, ...] | None = None
    """Steps, one per stream; None: no delays."""

    def __post_init__(self) -> None:
        distinct(self.streams, "a Stack")
        if self.delays is not None and len(self.delays) != len(self.streams):
            raise BadInput(
                f"a Stack of {len(self.streams)} streams got {len(self.delays)} delays, {self.delays}; give one each"
            )
        if self.delays is not None and min(self.delays) < 0:
            raise BadInput(f"a Stack got the delays {self.delays}; a delay is 0 steps or more, so add to all of them")

    @property
    def late(self) -> dict[str, int]:
        """Stream -> delay in steps."""
        return dict(zip(self.streams, self.delays or (0,) * len(self.streams), strict=True))

    def rows(self) -> dict[str, tuple[str, ...]]:
        return {stream: (stream,) for stream in self.streams}

    def schedule(self, example: Example, specs: Specs) -> list[Run]:
        runs = []
        for stream, delay in self.late.items():
            ids = example[stream].ids
            items, end = np.arange(len(ids)), np.array([len(ids)])
            runs += [
                Run(stream, stream, items + delay, ids, stream, items),
                Run(stream, END, end + delay, 0, stream, end),
            ]
        return runs

    def walk(self, specs: Specs) -> Walk:
        late, going, step = self.late, set(self.streams), 0
        present = {s: Draw((s, END), (s,)) for s in self.streams}
        while going:
            came = yield {s: present[s] for s in self.streams if s in going and step >= late[s]}
            going -= {s for s, name in came.items() if name == END}
            step += 1

    def lag(self, specs: Specs) -> dict[str, float | None]:
        rates = [specs[s].rate for s in self.streams if specs[s].rate is not None]
        rate = rates[0] if rates else None
        return {s: 0.0 if not delay else float(delay / rate) if rate else None for s, delay in self.late.items()}
