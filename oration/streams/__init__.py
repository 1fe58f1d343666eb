"""Floor 2: operations on streams, before a layout. Whatever drops, merges or aligns happens here; knows no grid.

An operation with `undo` can be taken back after generation. One with `learning` set is left out of a reply.
"""

from oration.streams.alternate import Alternate, InTurn, Scattered
from oration.streams.channels import Constant, Drop, Rename, Silence, Timed
from oration.streams.chunked import DedupInChunks
from oration.streams.dedup import Dedup, Expand
from oration.streams.edges import Edges
from oration.streams.excerpt import Excerpt
from oration.streams.group import Group, Pool
from oration.streams.logarithm import Logarithm
from oration.streams.monologue import SpreadWords
from oration.streams.prosody import RunF0
from oration.streams.spread import Frames, spread
from oration.streams.turns import SideBySide, TakeTurns, WhoSays

__all__ = [
    "Alternate", "Constant", "Dedup", "DedupInChunks", "Drop", "Edges", "Excerpt", "Expand", "Frames", "Group",
    "InTurn", "Logarithm", "Pool", "Rename", "RunF0", "Scattered", "SideBySide", "Silence", "SpreadWords",
    "TakeTurns", "Timed", "WhoSays", "spread",
]  # fmt: skip
