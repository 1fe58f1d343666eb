"""Floor 2: streams on a grid and off again. Numpy only; knows no model, no sound and no training."""

from oration.layouts.alternate import Chunk, Ratio, Time
from oration.layouts.block import Block, Draw, Run, Walk
from oration.layouts.cursor import Cursor
from oration.layouts.layout import Layout
from oration.layouts.line import Line, Say
from oration.layouts.picture import delay, picture
from oration.layouts.rows import vocabs
from oration.layouts.stack import Stack
from oration.layouts.weave import Weave

__all__ = [
    "Block", "Chunk", "Cursor", "Draw", "Layout", "Line", "Ratio", "Run", "Say", "Stack", "Time", "Walk", "Weave",
    "delay", "picture", "vocabs",
]  # fmt: skip
