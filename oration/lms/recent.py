"""A small Transformer that looks a few seconds back: the body of the LM that EnCodec's entropy coder asks.

Défossez et al. 2022, arXiv:2210.13438, section 3.3, and the released package (encodec 0.1.1): a norm before all, norms
behind each half of a layer instead of before it, none at the end, biases everywhere, and sinusoidal positions. Before
the first step there is one step more, of zeros, which in every layer is looked at as what its biases make of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.look import Cache, rewind
from oration.nn.positions import Sine


@dataclass(frozen=True, kw_only=True)
class RecentTransformer:
    """A causal body; the defaults are those at 75 frames a second."""

    layers: int = 5
    dim: int = 200
    heads: int = 8
    ffn: int = 800
    back: int = 262
    """Steps before its own that a step sees: 3.5 s."""
    shift: int = 0
    """In training, positions begin at a random one of so many, as if in the midst of something longer; 0: at 0."""

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.dim % 2:
            raise BadInput(f"a body of dim={self.dim} has heads={self.heads}, expected an even dim that they divide")

    def tiny(self: RecentTransformer | None = None) -> RecentTransformer:
        """Small enough for tests."""
        small = RecentTransformer() if self is None else self
        return replace(small, layers=2, dim=32, heads=4, ffn=48)

    def build(self) -> RecentModel:
        return RecentModel(self)


class RecentLayer(nn.Module):
    """norm(x + attention), then norm(x + mlp)."""

    def __init__(self, numbers: RecentTransformer) -> None:
        super().__init__()
        dim, self.heads = numbers.dim, numbers.heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, numbers.ffn), nn.Linear(numbers.ffn, dim)
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """float[B, S, D] -> queries, keys, values, float[B, H, S, D / H]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def forward(self, x: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """What a layer gives; bool[B, 1, S, 1 + K] `mask`, whose first column is the step before the first."""
        bias = self.qkv.bias.view(3, 1, self.heads, 1, -1)
        zero_k, zero_v = (b.expand(len(x), -1, -1, -1) for b in (bias[1], bias[2]))
        y = F.scaled_dot_product_attention(q, torch.cat((zero_k, k), 2), torch.cat((zero_v, v), 2), attn_mask=mask)
        x = self.attention_norm(x + self.out(y.transpose(1, 2).flatten(2)))
        normed: Tensor = self.mlp_norm(x + self.down(F.gelu(self.up(x))))
        return normed


class RecentModel(nn.Module):
    """`RecentTransformer`, built."""

    causal = True

    def __init__(self, numbers: RecentTransformer) -> None:
        super().__init__()
        self.numbers, self.dim, self.window = numbers, numbers.dim, numbers.back + 1
        self.norm, self.places = nn.LayerNorm(numbers.dim), Sine(numbers.dim)
        self.layers = nn.ModuleList(RecentLayer(numbers) for _ in range(numbers.layers))

    def forward(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; see `BodyModel`."""
        at = torch.arange(x.shape[1], device=x.device)
        back = at[:, None] - at
        seen = (back >= 0) & (back < self.window)
        same = segment[:, :, None] == segment[:, None, :]
        mask = torch.cat((self._begun(position), seen & same), -1)[:, None]
        if self.training and self.numbers.shift:
            position = position + torch.randint(self.numbers.shift, (len(x), 1), device=x.device)
        y = self._placed(x, position)
        for layer in self.layers:
            y = layer(y, *layer.split(y), mask)  # type: ignore[operator]
        return y

    def past(self, n: int, capacity: int) -> Cache:
        """An empty cache. `capacity`: most steps ever held; the window and the longest push suffice."""
        like, numbers = self.norm.weight, self.numbers
        width = numbers.dim // numbers.heads
        return Cache(numbers.layers, n, numbers.heads, width, capacity, device=like.device, dtype=like.dtype)

    def extend(self, x: Tensor, past: Cache, padding: Tensor | None = None) -> Tensor:
        """float[n, S, D] after the past -> float[n, S, D]; see `BodyModel`."""
        n, steps = x.shape[:2]
        position = past.length[:, None] + torch.arange(steps, device=x.device)
        row, slot = torch.arange(n, device=x.device)[:, None], position % past.capacity
        past.held[row, slot] = position
        past.length = past.length + steps
        used = past.used()
        held, now = past.held[:, None, :used], position[:, :, None]
        seen = (held >= 0) & (held <= now) & (held > now - self.window)
        mask = torch.cat((self._begun(position), seen), -1)[:, None]
        y = self._placed(x, position)
        for number, layer in enumerate(self.layers):
            q, k, v = layer.split(y)  # type: ignore[operator]
            keys, values = past.keys[number], past.values[number]
            keys[row, :, slot], values[row, :, slot] = k.transpose(1, 2), v.transpose(1, 2)
            y = layer(y, q, keys[:, :, :used], values[:, :, :used], mask)
        if padding is not None and bool(torch.any(padding > 0)):
            rewind(past, padding)
        return y

    def _begun(self, position: Tensor) -> Tensor:
        """bool[B, S, 1]: who still sees the step before the first."""
        return (position < self.numbers.back)[:, :, None]

    def _placed(self, x: Tensor, position: Tensor) -> Tensor:
        found: Tensor = self.norm(x)
        return found + self.places(position).to(found.dtype)
