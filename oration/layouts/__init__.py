"""Floor 2: streams on a grid and off again. Numpy only; knows no model, no sound and no training."""

from oration.layouts.alternate import Chunk, Ratio, Time
from oration.layouts.block import Block, Draw, Run, Walk
from oration.layouts.cursor import Cursor
from oration.layouts.inspect import Cell, Cells, cells
from oration.layouts.layout import Layout
from oration.layouts.line import Line, Say
from oration.layouts.pace import Pace, delay, fits, rate
from oration.layouts.picture import picture
from oration.layouts.rows import vocabs
from oration.layouts.stack import Stack
from oration.layouts.weave import Weave

__all__ = [
    "Block", "Cell", "Cells", "Chunk", "Cursor", "Draw", "Layout", "Line", "Pace", "Ratio", "Run", "Say", "Stack",
    "Time", "Walk", "Weave", "cells", "delay", "fits", "picture", "rate", "vocabs",
]  # fmt: skip
