"""Activations with parameters. Layers only; knows no speech."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Wave(torch.autograd.Function):
    """x + scale * sin²(alpha x), which remembers its input alone; the plain expression keeps five of its size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(x, alpha, scale)
        return wave(x, alpha, scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        grad, (x, alpha, scale) = grads[0], ctx.saved_tensors
        angle = x * alpha
        slope = (2 * angle).sin_().mul_(grad)  # d sin² = sin(2 angle) d angle
        squared = sine(angle, over=True).square_().mul_(grad)
        axes = tuple(range(x.ndim - 1))
        by_alpha = (slope * x).sum(axes) * scale
        return torch.addcmul(grad, slope, alpha * scale), by_alpha, squared.sum(axes)


def _numpy_is_faster(x: Tensor) -> bool:
    """Its sine and exponential, of one thread, need less than half as long as torch's and are as exact."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and torch.get_num_threads() <= 2


def sine(x: Tensor, *, over: bool = False) -> Tensor:
    """Without gradients; `over`: in the place of x."""
    if x.device.type == "cpu" and x.dtype == torch.float32 and torch.get_num_threads() <= 2:
        # numpy's sine, of one thread, needs less than half as long as torch's and is as exact.
        y = x if over else torch.empty_like(x)
        with np.errstate(invalid="ignore"):
            np.sin(x.numpy(), out=y.numpy())
        return y
    return x.sin_() if over else x.sin()


def wave(x: Tensor, alpha: Tensor, scale: Tensor, *, over: bool = False) -> Tensor:
    """x + scale * sin²(alpha x) without gradients; `over`: in the place of x."""
    if x.dtype in (torch.bfloat16, torch.float16):  # an angle of 10 would be off by some hundredths
        return wave(x.float(), alpha.float(), scale.float(), over=True).to(x.dtype)
    y = sine(x * alpha, over=True).square_()
    return torch.addcmul(x, y, scale, out=x if over else y)


class Snake(nn.Module):
    """x + sin²(a x) / a, one frequency a per channel. Ziyin et al. 2020, arXiv:2006.08195, section 4."""

    def __init__(self, dim: int, alpha: float = 1.0, *, over: bool = False) -> None:
        """`over`: nobody else needs the input, so it is written over where no gradient is asked for."""
        super().__init__()
        self.alpha = nn.Parameter(torch.full((dim,), alpha))
        self.over = over

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        alpha, scale = self.alpha, 1 / (self.alpha + 1e-9)
        if torch.is_grad_enabled():
            found: Tensor = _Wave.apply(x, alpha, scale)
            return found
        return wave(x, alpha, scale, over=self.over)


class SnakeBeta(nn.Module):
    """x + sin²(a x) / b, both per channel and learnt as logarithms. Lee et al. 2023, arXiv:2206.04658, section 3.2."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        alpha, scale = self.alpha.exp(), 1 / (self.beta.exp() + 1e-9)
        if torch.is_grad_enabled():
            found: Tensor = _Wave.apply(x, alpha, scale)
            return found
        return wave(x, alpha, scale)


class Elu(nn.Module):
    """x where it is above 0, exp(x) - 1 elsewhere. Clevert et al. 2015, arXiv:1511.07289."""

    def __init__(self, *, over: bool = False) -> None:
        """`over`: nobody else needs the input, so it is written over where no gradient is asked for."""
        super().__init__()
        self.over = over

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        over = self.over and not torch.is_grad_enabled()
        if torch.is_grad_enabled() or x.numel() < 4096 or not _numpy_is_faster(x):
            return F.elu(x, inplace=over)
        y = x.clamp(max=0)
        flat = y.numpy()
        with np.errstate(invalid="ignore"):
            np.expm1(flat, out=flat)
        # exp(x) - 1 is never less than x, and 0 where x was above 0.
        return torch.maximum(x, y, out=x if over else y)
