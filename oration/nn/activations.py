"""Activations with parameters. Layers only; knows no speech."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Snake(nn.Module):
    """x + sin²(a x) / a, one frequency a per channel. Ziyin et al. 2020, arXiv:2006.08195, section 4."""

    def __init__(self, dim: int, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((dim,), alpha))

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        if torch.is_grad_enabled():
            return x + (self.alpha * x).sin().square() / (self.alpha + 1e-9)
        y = (x * self.alpha).sin_()
        return torch.addcmul(x, y.square_(), 1 / (self.alpha + 1e-9))
