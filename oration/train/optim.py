"""Optimizers, schedules and budgets as values. Knows no model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled decay (Loshchilov & Hutter 2019, arXiv:1711.05101). Vectors (norms, biases) do not decay."""

    lr: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.98)
    decay: float = 0.01
    eps: float = 1e-8
    clip: float = 1.0
    """Largest gradient norm of a group; 0 switches clipping off."""

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.AdamW:
        wanted = [p for p in parameters if p.requires_grad]
        matrices = [p for p in wanted if p.ndim >= 2]
        vectors = [p for p in wanted if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": self.decay}, {"params": vectors, "weight_decay": 0.0}]
        # One pass over the weights instead of ten, where torch has it.
        fused = bool(wanted) and all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in wanted)
        return torch.optim.AdamW(
            [g for g in groups if g["params"]], lr=self.lr, betas=self.betas, eps=self.eps, fused=fused
        )


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The learning rate after `warmup` steps stays as it is."""

    warmup: int = 0

    def scale(self, step: int, steps: int) -> float:
        return min(1.0, (step + 1) / max(1, self.warmup))


@dataclass(frozen=True, kw_only=True)
class InverseSqrt:
    """Linear warm-up, then 1 / sqrt(step) (Vaswani et al. 2017, section 5.3)."""

    warmup: int = 4000

    def scale(self, step: int, steps: int) -> float:
        return min((step + 1) / self.warmup, (self.warmup / (step + 1)) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Linear warm-up, then half a cosine down to `final` of the peak at the end of the budget."""

    warmup: int = 100
    final: float = 0.05

    def scale(self, step: int, steps: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, steps - self.warmup)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Linear warm-up, then a straight line down to `final` of the peak at the end of the budget."""

    warmup: int = 100
    final: float = 0.0

    def scale(self, step: int, steps: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        return 1 - (1 - self.final) * min(1.0, (step - self.warmup) / max(1, steps - self.warmup))


@dataclass(frozen=True)
class Steps:
    """How long a stage runs: updates, not epochs, so that it does not depend on the data."""

    steps: int
