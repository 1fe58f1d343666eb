"""Norms that see all frames at once, and what is cut behind them. Layers only; knows no speech."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.pieces import Pieces, State


class Held(Pieces):
    """A layer of which nothing can be said before the end: all that is pushed is held, and comes at `flush`."""

    aligned = False

    def start(self, batch: int, like: Tensor) -> State:
        return ((),)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        held = (*state[0], x)
        return x.new_zeros(len(x), 0, self.wide(x.shape[2])), (held,)

    def flush(self, state: State) -> Tensor | None:
        if not any(part.shape[1] for part in state[0]):
            return None
        y: Tensor = self(torch.cat(state[0], 1))
        return y if y.shape[1] else None

    def wide(self, width: int) -> int:
        """Channels that come out for `width` that go in."""
        return width


class TimeNorm(Held):
    """A group norm of one group: mean and spread over all frames and channels. Wu & He 2018, arXiv:1803.08494."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        return F.layer_norm(x, x.shape[1:], eps=self.eps) * self.weight + self.bias


class Cut(Held):
    """Without the first `left` and the last `right` frames."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T - left - right, C]"""
        return x[:, self.left : x.shape[1] - self.right]
