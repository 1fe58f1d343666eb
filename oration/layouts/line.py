"""One stream, one item per step: GSLM, TWIST, SALMONN, the first level of VALL-E. And fixed symbols between lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from oration.core import BadInput, Example, Specs
from oration.layouts.block import END, Draw, Run, Walk, distinct


@dataclass(frozen=True)
class Line:
    """A stream from its first item to its end.

    >>> from oration.core import Spec, Stream
    >>> from oration.layouts import Layout, picture
    >>> example = {"user.u": Stream(np.arange(3)), "u": Stream(np.arange(2))}
    >>> print(picture(Layout((Line("user.u"), Line("u"))), example, {"user.u": Spec(9, 50), "u": Spec(9, 50)}))
    main | user.u0 user.u1 user.u2 user.u] u0 u1 u]
    """

    stream: str
    row: str = "main"

    def __post_init__(self) -> None:
        distinct((self.stream,), "a Line")

    def holds(self) -> dict[str, tuple[str, ...]]:
        return {self.row: (self.stream,)}

    def schedule(self, example: Example, specs: Specs) -> list[Run]:
        ids = example[self.stream].ids
        steps, end = np.arange(len(ids)), np.array([len(ids)])
        return [
            Run(self.row, self.stream, steps, ids, self.stream, steps),
            Run(self.row, END, end, 0, self.stream, end),
        ]

    def walk(self, specs: Specs) -> Walk:
        came = None
        while came != END:
            came = (yield {self.row: Draw((self.stream, END), (self.stream,))})[self.row]

    def lag(self, specs: Specs) -> dict[str, float | None]:
        return {self.stream: 0.0}


@dataclass(frozen=True)
class Say:
    """Fixed symbols of a stream, never predicted: a chat template, an instruction. They are no items when read back.

    >>> from oration.core import Spec, Stream
    >>> from oration.layouts import Layout, picture
    >>> layout = Layout((Say((5, 6)), Line("speech"), Say((7,)), Line("text")))
    >>> specs = {"text": Spec(9), "speech": Spec(3)}
    >>> print(picture(layout, {"speech": Stream(np.arange(2)), "text": Stream(np.arange(1))}, specs))
    main | =5 =6 speech0 speech1 speech] =7 text0 text]

    A stream that nothing gives, such as `task`, needs a size: `Say((2,), stream="task", size=8)`.
    """

    ids: tuple[int, ...]
    stream: str = "text"
    """Whose symbols they are."""
    row: str = "main"
    size: int | None = None
    """Symbols of a stream that nothing else gives."""
    fixed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        distinct((self.stream,), "a Say")
        if self.size is not None and max(self.ids, default=0) >= self.size:
            raise BadInput(f"Say{self.ids} writes symbols outside its size of {self.size}; make it larger")
        if not self.ids or min(self.ids) < 0:
            raise BadInput(f"Say({self.ids}) needs at least one symbol, and none below 0")

    def holds(self) -> dict[str, tuple[str, ...]]:
        return {self.row: (self.stream,)}

    def schedule(self, example: Example, specs: Specs) -> list[Run]:
        self._verify(specs)
        return [Run(self.row, self.stream, np.arange(len(self.ids)), np.array(self.ids))]

    def walk(self, specs: Specs) -> Walk:
        self._verify(specs)
        for symbol in self.ids:
            yield {self.row: Draw((self.stream,), symbol=symbol)}

    def lag(self, specs: Specs) -> dict[str, float | None]:
        return {}

    @property
    def sizes(self) -> dict[str, int]:
        """The streams that need no spec, and how many symbols they have."""
        return {} if self.size is None else {self.stream: self.size}

    def _verify(self, specs: Specs) -> None:
        if self.size is not None and self.stream not in specs:
            return
        spec = specs[self.stream]
        if spec.dim or max(self.ids) >= spec.size:
            raise BadInput(
                f"Say{self.ids} writes symbols of {self.stream!r}, which has {'vectors' if spec.dim else 'the ids'} "
                f"{'instead of ids' if spec.dim else f'0 to {spec.size - 1}'}; name another stream or other symbols"
            )
