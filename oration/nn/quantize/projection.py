"""A linear layer with the weights of a convolution of one frame. Layers only; knows no speech."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from oration.nn.conv import Weighted
from oration.nn.pieces import State


class Pointwise(Weighted):
    """float[B, T, C] -> float[B, T, C'] frame by frame; weight [out, in, 1] as that of `Conv`, perhaps normed."""

    def __init__(self, width: int, dim: int, *, bias: bool = True, normed: bool = False) -> None:
        super().__init__((dim, width, 1), dim, width, bias=bias, normed=normed)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.kernel().to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))

    def start(self, batch: int, like: Tensor) -> State:
        return ()

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self(x), state

    def flush(self, state: State) -> Tensor | None:
        return None

    def _arranged(self, weight: Tensor) -> Tensor:
        return weight[:, :, 0]
