"""Where a step stands: rotary, sinusoidal and learned positions. Layers only; knows no speech."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Rope:
    """Rotary positions of a model stretched to longer inputs: its slow turns are slowed further (Llama 3.1, CSM)."""

    base: float
    factor: float = 1.0
    """How much slower the slowest turn."""
    low: float = 1.0
    """Pairs that turn less often than this within `context` steps are slowed by the whole factor."""
    high: float = 4.0
    """Pairs that turn more often are left alone; those between are slowed in part."""
    context: int = 8192
    """Steps the model was trained on at first."""

    def slowed(self, frequency: Tensor) -> Tensor:
        """Radians a step, float64[width / 2] -> the same, stretched."""
        if self.factor == 1:
            return frequency
        turns = self.context * frequency / (2 * math.pi)
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return frequency * (kept + (1 - kept) / self.factor)


class Rotary(nn.Module):
    """Rotary positions (Su et al. 2021, arXiv:2104.09864): the angles by which `rotate` turns queries and keys."""

    def __init__(self, width: int, base: float | Rope = 10_000.0) -> None:
        super().__init__()
        # Angles are formed in float64: after two hours at 50 Hz a float32 angle is off by 0.02 rad.
        self.frequency: Tensor
        rope = base if isinstance(base, Rope) else Rope(base=base)
        # Numbers in a list: on the meta device `arange` alone takes seconds to import.
        frequency = torch.tensor([rope.base ** (-pair / width) for pair in range(0, width, 2)], dtype=torch.float64)
        self.register_buffer("frequency", rope.slowed(frequency), persistent=False)

    def forward(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """long[B, S] -> cosine and sine, float[B, 1, S, width / 2]."""
        angle = position[:, None, :, None].double() * self.frequency.double()
        return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, turn: tuple[Tensor, Tensor], interleaved: bool = False) -> Tensor:
    """Apply `Rotary`'s output to queries or keys, float[B, H, S, width].

    Pairs turned together are a half apart (LLaMA) or, interleaved, neighbours (the paper, Moshi). Where there are fewer
    angles than pairs, only the first part of a head is turned.
    """
    part = 2 * turn[0].shape[-1]
    if part < x.shape[-1]:
        return torch.cat((rotate(x[..., :part], turn, interleaved), x[..., part:]), -1)
    if interleaved and x.dtype == torch.float32:  # a pair is a complex number: one product instead of six operations
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2))) * torch.complex(*turn)
        return torch.view_as_real(pairs).flatten(-2)
    cosine, sine = (t.to(x.dtype) for t in turn)
    first, second = (x[..., ::2], x[..., 1::2]) if interleaved else x.chunk(2, -1)
    turned = (first * cosine - second * sine, second * cosine + first * sine)
    return torch.stack(turned, -1).flatten(-2) if interleaved else torch.cat(turned, -1)


class Sine(nn.Module):
    """Fixed waves, cosines before sines (Vaswani et al. 2017, arXiv:1706.03762, 3.5; laid as in MusicGen)."""

    def __init__(self, dim: int, base: float = 10_000.0) -> None:
        super().__init__()
        self.frequency: Tensor
        steps = torch.arange(dim // 2, dtype=torch.float64) / max(1, dim // 2 - 1)
        self.register_buffer("frequency", torch.exp(-math.log(base) * steps), persistent=False)

    def forward(self, position: Tensor) -> Tensor:
        """long[B, S] -> float[B, S, dim]."""
        angle = position[..., None].double() * self.frequency.double()
        return torch.cat((angle.cos(), angle.sin()), -1).float()


class Learned(nn.Module):
    """One vector for each of `most` positions."""

    def __init__(self, most: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(most, dim)

    def forward(self, position: Tensor) -> Tensor:
        """long[B, S] -> float[B, S, dim]."""
        return self.table(position)
