"""What every block of a layout promises: a schedule of cells for a known example, and a walk through an unknown one.

Both describe one grid. The schedule is arrays, for training; the walk goes step by step, for generation. A test holds
them against each other for every layout.

In a row's vocabulary a stream is a block under its own name. Besides, there are `pad` (nothing here), `end` (the stream
of a `Line` or `Stack`, or a whole `Weave`, is over), `@s` (a `Weave` goes on with stream s) and `]s` (stream s of a
`Weave` is over, the others go on).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from oration.core import BadInput, Example, Specs

PAD, END = "pad", "end"


def switch(stream: str) -> str:
    """The mark that goes on with `stream`."""
    return "@" + stream


def close(stream: str) -> str:
    """The mark that ends `stream` within a block that goes on."""
    return "]" + stream


def is_stream(name: str) -> bool:
    """Whether a vocabulary block belongs to a stream, and is no mark."""
    return name not in (PAD, END, "") and name[0] not in "@]"


NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Run:
    """Cells of one row that hold symbols of one vocabulary block, in order."""

    row: str
    block: str
    """Name in the row's vocabulary: a stream, `end`, `@s` or `]s`."""
    steps: np.ndarray
    """int64[N], rising: steps since the block began."""
    symbols: np.ndarray | int = 0
    """int64[N], or one for all: symbols within the vocabulary block."""
    owner: str | None = None
    """The stream whose prediction these cells are. None: they follow from the layout, so they are always given."""
    items: np.ndarray = field(default_factory=lambda: NOTHING)
    """int64[N], rising: item of the owner; a stream of n items ends with item n. Not read without an owner."""
    ends: bool = False
    """Whether these cells are the owner's end, even if they are written with a symbol of its own."""


class Draw(NamedTuple):
    """What one row may hold at the next step."""

    blocks: tuple[str, ...]
    """Names in the row's vocabulary."""
    owners: tuple[str, ...] = ()
    """The streams whose prediction it is; none: it follows from the layout."""
    symbol: int | None = None
    """The only symbol, where the layout fixes it."""
    until: int | None = None
    """The tick at which the owner's turn is over, where the layout counts time."""
    since: int | None = None
    """The tick at which it began."""
    stop: int | None = None
    """The symbol that ends the block once every row holds it in one column. The walk is then sent `end` for each."""
    lapses: bool = False
    """Whether the row may stay absent, here and from here on, where its stream is over. A model never draws that."""


Walk = Generator[dict[str, Draw], dict[str, str], None]
"""Yields row -> what it may hold next (absent rows left out); is sent row -> the vocabulary block that came."""


@runtime_checkable
class Block(Protocol):
    """A frozen dataclass with these four methods. Nothing is registered; a layout takes whatever keeps the promise."""

    def holds(self) -> dict[str, tuple[str, ...]]:
        """Row -> the streams it holds, then the marks beyond `pad` and `end` that this block writes there."""
        ...

    def schedule(self, example: Example, specs: Specs) -> list[Run]:
        """The cells of a known example."""
        ...

    def walk(self, specs: Specs) -> Walk:
        """The cells of an example that is still to come."""
        ...

    def lag(self, specs: Specs) -> dict[str, float | None]:
        """Stream -> seconds between an item and its place on the grid, by the layout alone; None where unknown."""
        ...


def endless(block: Block) -> bool:
    """Whether a block never ends by itself."""
    return bool(getattr(block, "endless", False))


def streams_of(block: Block) -> tuple[str, ...]:
    """The streams that a block carries, fixed symbols left out."""
    if getattr(block, "fixed", False):
        return ()
    return tuple(name for names in block.holds().values() for name in names if is_stream(name))


def distinct(names: tuple[str, ...], where: str) -> None:
    """Check the streams of a block or a layout.

    Raises:
        BadInput: no stream, one that comes twice, or a name that marks are written with.
    """
    if not names:
        raise BadInput(f"{where} has no streams; give it at least one")
    for name in names:
        if not is_stream(name):
            raise BadInput(
                f"{where} has a stream {name!r}, but 'pad', 'end' and names with @ or ] are marks; rename it"
            )
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise BadInput(f"{where} has two streams {twice[0]!r}; give each a name of its own, such as 'user.{twice[0]}'")
