"""Floor 2: operations on streams, before a layout. Whatever drops, merges or aligns happens here; knows no grid."""

from oration.streams.dedup import Dedup, Expand
from oration.streams.spread import Frames, spread

__all__ = ["Dedup", "Expand", "Frames", "spread"]
