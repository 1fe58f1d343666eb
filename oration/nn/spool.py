"""Frames of a long recording in a temporary file: what is held until the end takes no memory. Layers only.

Plain reads and writes, not a mapped file, whose pages would count for the process. The file has no name and is gone
with the spool; it lies where temporary files do (`TMPDIR`), and an `OSError` says that there is no room for it.
"""

from __future__ import annotations

import ctypes
import math
import os
import tempfile

import torch
from torch import Tensor


class Spool:
    """float[B, T, C] of one kind, put and got a few frames at a time, in any order."""

    def __init__(self, like: Tensor) -> None:
        """`like`: float[B, _, C], on whose device frames come back."""
        self.batch, self.width, self.dtype, self.device = len(like), like.shape[2], like.dtype, like.device
        self.size = self.batch * self.width * like.element_size()
        self.file = tempfile.TemporaryFile(prefix="oration-")  # noqa: SIM115

    def put(self, at: int, x: Tensor) -> None:
        """Frames float[B, T, C] to the place of frame `at`."""
        plain = x.detach().to("cpu", self.dtype).transpose(0, 1).contiguous()
        left, offset = plain.flatten().view(torch.uint8).numpy().data, at * self.size
        while len(left):
            wrote = os.pwrite(self.file.fileno(), left, offset)
            left, offset = left[wrote:], offset + wrote

    def get(self, at: int, stop: int) -> Tensor:
        """Frames `at` to `stop`, float[B, T, C]"""
        shape = (max(0, stop - at), self.batch, self.width)
        found = torch.empty(shape, dtype=self.dtype)
        left, offset = found.flatten().view(torch.uint8).numpy().data, at * self.size
        while len(left):
            read = os.preadv(self.file.fileno(), [left], offset)
            if not read:
                raise EOFError(f"frame {at + math.prod(shape)} was never put into the spool")
            left, offset = left[read:], offset + read
        return found.transpose(0, 1).contiguous().to(self.device)


def tidy() -> None:
    """Give memory that is free back to the system, where the C library can (glibc): another kind of work follows."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(ctypes.c_size_t(0))
