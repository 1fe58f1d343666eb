"""Finite scalar quantisation: a few numbers, each rounded; nothing to be learnt, nothing to collapse. Knows no speech.

Mentzer et al. 2023, arXiv:2309.15505, section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from oration.core import BadInput
from oration.nn.quantize.projection import Pointwise
from oration.nn.quantize.quantized import Dropout, Quantized, Quantizer, marked


@dataclass(frozen=True, kw_only=True)
class Fsq:
    """A symbol for each combination of rounded numbers; (8, 5, 5, 5) gives 1000."""

    levels_per_dim: tuple[int, ...] = (8, 5, 5, 5)
    """How many values each number can have."""
    levels: int = 1
    """More than one: each says, on a finer grid, what rounding left over."""
    dropout: float = 0.0
    """Share of the rows that in training stop after a random number of levels."""

    def __post_init__(self) -> None:
        least = 2 if self.levels == 1 else 3  # of two values none is in the middle to be refined
        if not self.levels_per_dim or min(self.levels_per_dim) < least or self.levels < 1:
            raise BadInput(
                f"Fsq has levels_per_dim={self.levels_per_dim} and levels={self.levels}, expected at least 2 values of "
                "each number, 3 with more than one level, and at least 1 level"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        return (math.prod(self.levels_per_dim),) * self.levels

    @property
    def strides(self) -> tuple[int, ...]:
        return (1,) * self.levels

    def tiny(self) -> Fsq:
        return replace(self, levels_per_dim=self.levels_per_dim[:2])

    def build(self, dim: int) -> FsqLayer:
        return FsqLayer(self, dim)


class FsqLayer(Quantizer):
    """A projection to a few numbers, rounded, and one back; without either where the width is that of the numbers."""

    counts: Tensor
    bases: Tensor

    def __init__(self, numbers: Fsq, dim: int) -> None:
        super().__init__(numbers.sizes)
        counts = numbers.levels_per_dim
        projected = dim != len(counts)
        self.inward = Pointwise(dim, len(counts)) if projected else None
        self.outward = Pointwise(len(counts), dim) if projected else None
        self.dropout = Dropout(numbers.levels, numbers.dropout)
        bases = [math.prod(counts[:place]) for place in range(len(counts))]
        self.register_buffer("counts", torch.tensor(counts), persistent=False)
        self.register_buffer("bases", torch.tensor(bases), persistent=False)

    def forward(self, x: Tensor) -> Quantized:
        with torch.autocast(x.device.type, enabled=False):
            y = self._bounded(x.float())
            kept, codes = self.dropout(len(x)), list[Tensor]()
            total = first = torch.zeros_like(y)
            for level in range(len(self.sizes)):
                through = None if kept is None else kept[level]
                digits = self._digits((y - total).detach(), level)
                said = self._values(digits, level)
                total = total + (said if through is None else said * through[:, None, None])
                first = total if level == 0 else first
                codes.append(marked(self._codes(digits), through))
            if self.training:
                total, first = (y + (found - y).detach() for found in (total, first))
            return Quantized(self._out(total).to(x.dtype), codes, {}, self._out(first).to(x.dtype))

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            rest, codes = self._bounded(x.float()), list[Tensor]()
            for level in range(len(self.sizes[:levels])):
                digits = self._digits(rest, level)
                rest = rest - self._values(digits, level)
                codes.append(self._codes(digits))
            return codes

    def look_up(self, codes: Sequence[Tensor]) -> Tensor:
        digits = [row[..., None] // self.bases % self.counts - self.counts // 2 for row in codes]
        total = self._values(digits[0], 0)
        for level in range(1, len(digits)):
            total = total + self._values(digits[level], level)
        return self._out(total)

    def _bounded(self, x: Tensor) -> Tensor:
        """float[B, F, D] -> float[B, F, numbers], -1 to 1; 0 stays 0, also where the grid has as many values below."""
        if self.inward is not None:
            x = self.inward(x)
        half = (self.counts - 1) * (1.001 / 2)  # a little further than the last value, so that it can be reached
        offset = (1 - self.counts % 2) / 2
        return ((x + (offset / half).atanh()).tanh() * half - offset) / (self.counts // 2)

    def _out(self, y: Tensor) -> Tensor:
        return y if self.outward is None else self.outward(y.to(self.outward.weight.dtype))

    def _scale(self, level: int) -> Tensor:
        return self.counts // 2 * (self.counts - 1) ** level

    def _digits(self, rest: Tensor, level: int) -> Tensor:
        """float[..., numbers] -> long[..., numbers] around 0"""
        low = -(self.counts // 2)
        return (rest * self._scale(level)).round().long().clamp(low, low + self.counts - 1)

    def _values(self, digits: Tensor, level: int) -> Tensor:
        return digits / self._scale(level)

    def _codes(self, digits: Tensor) -> Tensor:
        return ((digits + self.counts // 2) * self.bases).sum(-1)
