"""The nearest codeword, and what to remember of a codebook to find it fast. Layers only; knows no speech."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ROOM = {"cpu": 1 << 19, "cuda": 1 << 28}
"""Distances computed at once: as many as stay in a processor's cache, or a fraction of a GPU's memory."""


def nearest_codeword(x: Tensor, codebook: Tensor, norms: Tensor) -> Tensor:
    """float[N, D], float[K, D] and its squared lengths float[K] -> long[N]; of equally near ones the first.

    What is the same for all codewords, the squared length of x, is left out of the distance.
    """
    rows = max(16, ROOM.get(x.device.type, 1 << 24) // len(codebook))
    parts = [torch.addmm(norms, part, codebook.mT, alpha=-2).argmin(1) for part in x.detach().split(rows)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class Remembered:
    """A value made of tensors, made anew when one of them has changed."""

    def __init__(self) -> None:
        self._mark: Any = None
        self._sources: tuple[Tensor, ...] = ()
        self._value: Any = None

    def __call__(self, make: Callable[..., Any], *sources: Tensor) -> Any:
        """`make(*sources)`, without gradient"""
        if any(source.is_inference() for source in sources):
            return make(*sources)
        mark = tuple((source.data_ptr(), source._version, source.device, source.dtype) for source in sources)
        if mark != self._mark:
            # The sources are held, so that nothing else can come to lie where they lie.
            self._sources = tuple(source.detach() for source in sources)
            self._mark, self._value = mark, make(*self._sources)
        return self._value

    def __deepcopy__(self, memo: dict[int, Any]) -> Remembered:
        return Remembered()

    def __reduce__(self) -> tuple[type[Remembered], tuple[()]]:
        return Remembered, ()
