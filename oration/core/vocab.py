"""The symbols of one row of a grid, as named blocks laid end to end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from oration.core.errors import BadInput


@dataclass(frozen=True)
class Vocab:
    """Always derived from specs, never written by hand; saved with a checkpoint and compared when it loads.

    The first stream keeps offset 0, so a text LM's embeddings copy as a slice.

    >>> v = Vocab((("units", 100), ("pad", 1), ("end", 1)))
    >>> v.size, v.offset("end"), v.name(42), v.name(100)
    (102, 101, ('units', 42), ('pad', 0))
    """

    blocks: tuple[tuple[str, int], ...]
    shared: tuple[tuple[str, str], ...] = ()
    """(stream, the block whose symbols it uses too): the user's words are the agent's words. Only its place in the
    layout tells such a symbol's stream."""

    @cached_property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Block -> (first token, one past the last)."""
        ranges, at = {}, 0
        for block, size in self.blocks:
            ranges[block] = (at, at + size)
            at += size
        return ranges | {name: ranges[block] for name, block in self.shared}

    @property
    def size(self) -> int:
        return sum(size for _, size in self.blocks)

    def offset(self, block: str) -> int:
        """The first token of a block."""
        try:
            return self.ranges[block][0]
        except KeyError:
            raise BadInput(f"this row has no {block!r}; it has {[name for name, _ in self.blocks]}") from None

    def name(self, token: int) -> tuple[str, int]:
        """Token -> (block, symbol within the block)."""
        for block, _ in self.blocks:
            first, last = self.ranges[block]
            if first <= token < last:
                return block, token - first
        raise BadInput(f"token {token} is outside this row's vocabulary of {self.size}; it has {self.blocks}")
