"""Batches made while the one before is trained on, and moved to where training is."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import torch

from oration.core import Batch

THREADS = 8
"""That make batches for a GPU, at most, and at most as many as half the cores."""
AHEAD = 16
"""Batches that wait for a GPU."""


class Ahead:
    """The batches of steps `first`, `first` + 1, ... in order. Each is a function of its step, whoever makes it.

    For a GPU several are made ahead; for a CPU one, as training needs the cores.

    Args:
        parallel: whether several threads may make batches at once.
    """

    def __init__(
        self, batches: Callable[[int], Any], first: int, device: torch.device, *, parallel: bool = False
    ) -> None:
        self.batches, self.device, self.next = batches, device, first
        gpu = device.type == "cuda"
        threads = max(1, min(THREADS, (os.cpu_count() or 2) // 2)) if gpu and parallel else 1
        self.depth = AHEAD if gpu else 1
        self.pool = ThreadPoolExecutor(threads)
        self.coming: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        self._ask(self.depth)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def take(self) -> Any:
        """The next batch, on the device."""
        found = self.coming.popleft().result()
        self._ask(1)
        return to_device(found, self.device)

    def _ask(self, count: int) -> None:
        for _ in range(count):
            self.coming.append(self.pool.submit(self._make, self.next))
            self.next += 1

    def _make(self, step: int) -> Any:
        batch = self.batches(step)
        if self.device.type != "cuda" or isinstance(batch, Batch):
            return batch
        # from pinned memory a copy does not wait for what the GPU is at
        return {name: value.pin_memory() for name, value in batch.items()}


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch of a language model, or of named tensors, on the device."""
    if isinstance(batch, Batch):
        return batch.to(device)
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}
