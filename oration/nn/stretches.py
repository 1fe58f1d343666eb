"""Layers that see every frame of a long stretch at once. Layers only; knows no speech."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.conv import Conv
from oration.nn.pieces import Pieces, State


class Stretches(Pieces):
    """A layer that sees all frames at once, on stretches of `frames` to 2 * `frames` - 1.

    What is shorter than two stretches is one, and the layer sees all of it. Longer inputs are cut, so that memory and
    time per frame stay what they are. A stretch comes when the one after it is there too, or at `flush`.
    """

    aligned = False

    def __init__(self, layer: nn.Module, frames: int) -> None:
        super().__init__()
        self.layer, self.frames = layer, frames

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        cut = max(0, x.shape[1] // self.frames - 1) * self.frames
        parts = [*x[:, :cut].split(self.frames, 1), x[:, cut:]] if cut else [x]
        return torch.cat([self.layer(part) for part in parts], 1)

    def start(self, batch: int, like: Tensor) -> State:
        return ()

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        held, known = (*state, x), sum(part.shape[1] for part in state) + x.shape[1]
        if known < 2 * self.frames:
            return x[:, :0], held
        together = torch.cat(held, 1)
        cut = (known // self.frames - 1) * self.frames
        ready = torch.cat([self.layer(part) for part in together[:, :cut].split(self.frames, 1)], 1)
        return ready, (together[:, cut:],)

    def flush(self, state: State) -> Tensor | None:
        if not any(part.shape[1] for part in state):
            return None
        y: Tensor = self.layer(torch.cat(state, 1))
        return y


class GroupNorm(nn.Module):
    """Mean and spread of a group of channels over all frames. Wu & He 2018, arXiv:1803.08494."""

    def __init__(self, dim: int, groups: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.groups, self.eps = groups, eps

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        return F.group_norm(x.mT, self.groups, self.weight, self.bias, self.eps).mT


class NormedConvs(nn.Module):
    """x + two convolutions of three frames behind norms and SiLU. Rombach et al. 2022, arXiv:2112.10752."""

    def __init__(self, dim: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(GroupNorm(dim, groups) for _ in range(2))
        self.convs = nn.ModuleList(Conv.same(dim, dim, 3) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        y = self.convs[0](F.silu(self.norms[0](x)))
        return x + self.convs[1](self.dropout(F.silu(self.norms[1](y))))


class NormedAttention(nn.Module):
    """x + attention of one head between all frames, without positions, behind a group norm. Same source."""

    def __init__(self, dim: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(dim, groups)
        self.inward, self.outward = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        query, key, value = self.inward(self.norm(x))[:, None].chunk(3, -1)
        return x + self.outward(F.scaled_dot_product_attention(query, key, value)[:, 0])
