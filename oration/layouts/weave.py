"""Several streams alternating in one row: SpiRit-LM, SyncLLM, OmniFlatten, GLM-4-Voice, the flat levels of AudioLM.

How they alternate is the Weave's `by`: see `alternate.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oration.core import Example, Specs
from oration.layouts.alternate import Alternation, Slices
from oration.layouts.block import END, Run, Walk, close, distinct, switch


@dataclass(frozen=True)
class Weave:
    """Slices of several streams, one after another.

    >>> from oration.core import Spec, Stream, ticks
    >>> from oration.layouts import Chunk, Layout, Ratio, Time, picture
    >>> words = Stream(np.arange(2), onsets=np.array([ticks(0.1), ticks(0.5)]))
    >>> example, specs = {"t": words, "a": Stream(np.arange(5))}, {"t": Spec(9), "a": Spec(9, 10)}
    >>> print(picture(Layout((Weave(("t", "a"), by=Time()),)), example, specs))
    main | @a a0 @t t0 @a a1 a2 a3 a4 @t t1 ]
    >>> print(picture(Layout((Weave(("a", "t"), by=Chunk(0.2)),)), example, specs))
    main | @a a0 a1 @t t0 @a a2 a3 @t @a a4 @t t1 ]
    >>> print(picture(Layout((Weave(("t", "a"), by=Ratio((1, 2))),)), example, specs))
    main | t0 a0 a1 t1 a2 a3 t] a4 a]
    """

    arms: tuple[str, ...]
    by: Alternation
    marks: bool | None = None
    """Whether a mark `@s` opens each slice. None: as `by` needs it, so that the model can choose where slices end
    (Chunk, Time) or not at all where counting does (Ratio)."""
    row: str = "main"

    def __post_init__(self) -> None:
        distinct(self.arms, "a Weave")
        self.by.verify(self.arms, self.marked)

    @property
    def marked(self) -> bool:
        """Whether slices have marks."""
        return self.by.marked if self.marks is None else self.marks

    def holds(self) -> dict[str, tuple[str, ...]]:
        switches = tuple(map(switch, self.arms)) if self.marked else ()
        return {self.row: (*self.arms, *switches, *(map(close, self.arms) if self.by.closes else ()))}

    def schedule(self, example: Example, specs: Specs) -> list[Run]:
        slices = self.by.cut(self.arms, example, specs)
        opens = np.cumsum(slices.sizes + self.marked) - slices.sizes  # the step of each slice's first item
        runs = []
        for k, arm in enumerate(self.arms):
            n, own = len(example[arm]), slices.arm == k
            sizes = slices.sizes[own]
            steps = np.repeat(opens[own] - slices.start[own], sizes) + np.arange(n + self.by.closes)
            items = np.arange(n)
            runs.append(Run(self.row, arm, steps[:n], example[arm].ids, arm, items))
            if self.by.closes:
                runs.append(Run(self.row, close(arm), steps[n:], 0, arm, np.array([n])))
        if self.marked:
            runs += self._switches(slices, opens - 1)
        return runs + self._ends(slices, example)

    def _switches(self, slices: Slices, steps: np.ndarray) -> list[Run]:
        """The marks, one run for each pair of an arm and the owner of the choice to go there."""
        runs = []
        pair = slices.arm * (len(self.arms) + 1) + slices.owner + 1
        for code in np.unique(pair):
            arm, owner = divmod(int(code), len(self.arms) + 1)
            here = pair == code
            whose = self.arms[owner - 1] if owner else None
            runs.append(Run(self.row, switch(self.arms[arm]), steps[here], 0, whose, slices.item[here]))
        return runs

    def _ends(self, slices: Slices, example: Example) -> list[Run]:
        """The end of the whole weave, once for each arm that has a say in it (they share the cell)."""
        step = np.array([int(slices.sizes.sum()) + self.marked * len(slices.arm)])
        whose = self.by.enders(self.arms, len(slices.arm))
        return [Run(self.row, END, step, 0, arm, np.array([len(example[arm])])) for arm in whose]

    def walk(self, specs: Specs) -> Walk:
        steps, came = self.by.walk(self.arms, self.marked, specs), None
        while True:
            try:
                draw = next(steps) if came is None else steps.send(came)
            except StopIteration:
                return
            came = (yield {self.row: draw})[self.row]

    def lag(self, specs: Specs) -> dict[str, float | None]:
        return self.by.lag(self.arms, specs)
