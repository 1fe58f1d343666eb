"""Two Transformers of the same weights that look at each other. Layers only; knows no speech, no dialogue.

Nguyen et al. 2022, arXiv:2203.16502, section 3.2; the order of norms as in fairseq's speech_dlm.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oration.nn.look import Cache, Look
from oration.nn.positions import rotate
from oration.nn.transformer import Block, Layer, TransformerStack, initialise, norm_of


class CrossAttention(nn.Module):
    """From each tower's steps to the other's: queries from one, keys and values from the other."""

    def __init__(self, dim: int, heads: int, kv_heads: int, *, bias: bool, out_bias: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.width, self.dropout = heads, kv_heads, dim // heads, dropout
        self.query = nn.Linear(dim, heads * self.width, bias=bias)
        self.key_value = nn.Linear(dim, 2 * kv_heads * self.width, bias=bias)
        self.out = nn.Linear(heads * self.width, dim, bias=out_bias)

    def forward(self, x: Tensor, other: Tensor, look: Look, number: int) -> Tensor:
        """float[B, S, D] and the other towers' vectors of the same steps -> float[B, S, D]."""
        q = self.query(x).unflatten(-1, (-1, self.width)).transpose(1, 2)
        k, v = self.key_value(other).unflatten(-1, (-1, self.width)).transpose(1, 2).chunk(2, 1)
        if look.turn is not None:
            q, k = rotate(q, look.turn), rotate(k, look.turn)
        return self.out(look.attend(q, k, v, number, self.dropout if self.training else 0.0))


class CrossBlock(nn.Module):
    """A block with attention to the other tower between its halves. The first half of the batch is the first tower."""

    def __init__(self, block: Block, cross: CrossAttention, norm: nn.Module, number: int) -> None:
        super().__init__()
        self.block, self.cross, self.cross_norm = block, cross, norm
        self.number = number
        """Of its keys and values in the cache, where those of all blocks come before."""

    def forward(self, x: Tensor, look: Look, number: int = 0) -> Tensor:
        """float[2 B, S, D] -> float[2 B, S, D]."""
        x = self.block.attend(x, look, number)
        other = torch.cat(x.chunk(2)[::-1])
        x = x + self.block.drop(self.cross(self.cross_norm(x), other, look, self.number))
        return self.block.think(x, look)


class TowerStack(TransformerStack):
    """A `TransformerStack` whose last `cross` layers look at the other tower too."""

    def __init__(
        self,
        *,
        dim: int,
        layers: int,
        cross: int,
        heads: int,
        ffn: int,
        dropout: float,
        bias: bool,
        layer: Layer,
        positions: str,
    ) -> None:
        super().__init__(
            dim=dim,
            layers=layers,
            heads=heads,
            ffn=ffn,
            dropout=dropout,
            bias=bias,
            layer=layer,
            positions=positions,  # type: ignore[arg-type]
        )
        self.crosses = cross
        for i in range(layers - cross, layers):
            attention = CrossAttention(dim, heads, self.kv_heads, bias=bias, out_bias=layer.out_bias, dropout=dropout)
            initialise(attention, layers)
            block: Block = self.blocks[i]  # type: ignore[assignment]
            self.blocks[i] = CrossBlock(block, attention, norm_of(dim, layer), cross + i)

    def cache(self, n: int, capacity: int) -> Cache:
        """An empty cache for `n` sequences of one tower each; a pair takes two."""
        like = next(self.parameters())
        layers = len(self.blocks) + self.crosses
        return Cache(layers, n, self.kv_heads, self.width, capacity, device=like.device, dtype=like.dtype)
