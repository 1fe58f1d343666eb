"""What a language model expects of the next frame, in whole numbers, for an entropy coder (`core.container.expect`).

Défossez et al. 2022, arXiv:2210.13438, section 3.3. Who decodes must find the very numbers that the encoder had. So
both go frame by frame, one sequence at a time, on one thread of the processor, and in float64: then what rounding
leaves to chance is far below what the shares of symbols are rounded to (`benchmarks/orat_expected.py` counts).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput
from oration.core.container import shares
from oration.layouts import Stack
from oration.lms import LanguageModel
from oration.tasks import Task

MOST = 1 << 13
"""Steps of a block at most, for a body that has no window."""


class Expectations:
    """A language model as a coder of frames: an `Expecter`."""

    def __init__(self, model: LanguageModel, task: Task, version: str = "") -> None:
        """A copy of the model is made, in float64 on the processor.

        Raises:
            BadInput: the task does not lay all levels of a frame side by side, or the head draws them one by one.
        """
        self.name, self.version = model.config.name, version
        blocks = task.layout.blocks
        block = blocks[0] if len(blocks) == 1 else None
        if not isinstance(block, Stack) or any(block.late.values()) or tuple(block.row.values()) != model.rows:
            raise BadInput(
                f"the language model {self.name!r} cannot code frames by its task {task.name!r}: expected a layout of "
                "one Stack without delays, a row for each level; write without it (--no-entropy)"
            )
        if len(model.head.groups) != len(model.rows):
            raise BadInput(
                f"the language model {self.name!r} cannot code frames with a head that draws a level by those before "
                "it; expected Rows, or write without it (--no-entropy)"
            )
        self.streams = block.streams
        self.ranges = [model.vocabs[row].ranges[name] for name, row in block.row.items()]
        self.model = deepcopy(model).cpu().double().eval()

    def start(self) -> Frames:
        """At the beginning of a block."""
        return Frames(self)


class Frames:
    """Frame after frame of one block: an `Expecting`."""

    def __init__(self, of: Expectations) -> None:
        window = of.model.body.window
        most = MOST if of.model.context is None else of.model.context
        self.of, self.state = of, of.model.start(1, most if window is None else window)

    @torch.no_grad()
    def next(self, before: np.ndarray | None) -> Sequence[np.ndarray]:
        """int64[levels], the frame before (None: there is none) -> the shares of each level's symbols."""
        of, column = self.of, None
        if before is not None:
            column = torch.from_numpy(before + [first for first, _ in of.ranges])[None]
        with alone():
            logits = of.model.next(self.state, column)
            return [quantized(logits[row][0, a:b]) for row, (a, b) in zip(of.model.rows, of.ranges, strict=True)]


def quantized(logits: Tensor) -> np.ndarray:
    """float[..., size] -> int64[..., size], see `shares`."""
    return shares(logits.double().softmax(-1).numpy())


@contextmanager
def alone() -> Iterator[None]:
    """On one thread, so that their number does not count."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
