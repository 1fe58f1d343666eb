"""Convolution and attention over frames that look only back, offline and piece by piece with the same result.

Layers only; knows no speech.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.transformer import TransformerStack


class CausalConv(nn.Module):
    """A strided convolution whose output `i` sees the `kernel` frames that end with frame `(i + 1) * stride - 1`.

    Windows are gathered and multiplied as one matrix product: for the few frames of a live push that is several times
    faster than a convolution kernel, and a whole clip loses nothing by it at these widths.
    """

    def __init__(self, width: int, dim: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        if not 0 < stride <= kernel:
            raise ValueError(f"a causal convolution needs 0 < stride <= kernel, but got {stride} and {kernel}")
        self.width, self.kernel, self.stride = width, kernel, stride
        self.weight = nn.Linear(kernel * width, dim)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, width] -> float[B, ceil(T / stride), dim], zeros before the start and after the end."""
        return self._windows(F.pad(x, (0, 0, self.kernel - self.stride, -x.shape[1] % self.stride)))

    def _windows(self, padded: Tensor) -> Tensor:
        if padded.shape[1] < self.kernel:
            return padded.new_zeros(padded.shape[0], 0, self.weight.out_features)
        return self.weight(padded.unfold(1, self.kernel, self.stride).flatten(2))

    def start(self, n: int) -> Tensor:
        """What is remembered before the first push of `n` sequences, float[n, kernel - stride, width]."""
        return self.weight.weight.new_zeros(n, self.kernel - self.stride, self.width)

    def push(self, x: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """float[B, T, width] and what was remembered -> the outputs that are complete, and what to remember."""
        known = torch.cat([kept.to(x.dtype), x], 1)
        done = (known.shape[1] - self.kernel + self.stride) // self.stride * self.stride
        return self._windows(known[:, : self.kernel - self.stride + done]), known[:, done:]


def shallow(stack: TransformerStack, layers: int) -> TransformerStack:
    """The first `layers` blocks of a stack and its final norm, the weights shared."""
    if layers == len(stack.blocks):
        return stack
    part = copy.copy(stack)
    part.__dict__["_modules"] = {**stack._modules, "blocks": stack.blocks[:layers]}
    return part
