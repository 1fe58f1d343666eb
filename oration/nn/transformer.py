"""A pre-norm Transformer: norms, attention, MLP, positions, key-value cache. Layers only; knows no speech.

Every size and kind is a constructor argument; the defaults are those of LLaMA (Touvron et al. 2023, arXiv:2302.13971):
RMSNorm, rotary positions, SwiGLU, no biases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.look import Cache, Look, apart, following, visible
from oration.nn.positions import Learned, Rope, Rotary, Sine, rotate

Positions = Literal["rotary", "rotary_interleaved", "sine", "none"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What the layers of a Transformer are made of."""

    norm: Literal["rms", "layer"] = "rms"
    norm_eps: float = 1e-6
    norm_bias: bool = True
    """Of a layer norm; an RMS norm has none."""
    mlp: Literal["swiglu", "geglu", "gelu", "gelu_tanh", "relu"] = "swiglu"
    mlp_bias: bool = False
    out_bias: bool = False
    """In the projection behind the attention; the one before it is the Transformer's `bias`."""
    head_width: int | None = None
    """Width of a head; None: dim / heads."""
    condition: int = 0
    """Width of a vector that scales and shifts every norm (AdaLN: VALL-E's level, the time of a flow); 0: none."""
    skips: bool = False
    """The last layers also see what the first ones were given, the last the first's (Voicebox, as in a U-Net)."""
    scale: float = 0.0
    """What both halves of a block add is multiplied by learned factors, at first these (LayerScale: Touvron et al.
    2021, arXiv:2103.17239, section 2); 0: none."""
    final: bool = True
    """A norm behind the last block."""


class AdaptiveNorm(nn.Module):
    """A norm whose scale and shift come from a condition, at first none (Wang et al. 2023, arXiv:2301.02111, 4.2.2)."""

    def __init__(self, norm: nn.Module, dim: int, condition: int) -> None:
        super().__init__()
        self.norm, self.project = norm, nn.Linear(condition, 2 * dim)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """float[B, S, D] under float[B, S or 1, C]."""
        scale, shift = self.project(condition).chunk(2, -1)
        return self.norm(x) * (1 + scale) + shift


def norm_of(dim: int, layer: Layer) -> nn.Module:
    """The norm that `layer` asks for."""
    norm: nn.Module
    if layer.norm == "rms":
        norm = nn.RMSNorm(dim, eps=layer.norm_eps)
    else:
        norm = nn.LayerNorm(dim, eps=layer.norm_eps, bias=layer.norm_bias)
    return AdaptiveNorm(norm, dim, layer.condition) if layer.condition else norm


def _normed(norm: nn.Module, x: Tensor, condition: Tensor | None) -> Tensor:
    return norm(x) if condition is None or isinstance(norm, nn.Identity) else norm(x, condition)


class Attention(nn.Module):
    """Self-attention through torch's scaled_dot_product_attention; queries may share keys (`kv_heads` < `heads`)."""

    def __init__(
        self,
        dim: int,
        heads: int,
        kv_heads: int,
        *,
        bias: bool = False,
        out_bias: bool = False,
        dropout: float = 0.0,
        width: int | None = None,
        interleaved: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.width, self.dropout = heads, kv_heads, width or dim // heads, dropout
        self.interleaved = interleaved
        self.qkv = nn.Linear(dim, (heads + 2 * kv_heads) * self.width, bias=bias)
        self.out = nn.Linear(heads * self.width, dim, bias=out_bias)

    def forward(self, x: Tensor, look: Look, number: int = 0) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; `number`: of the layer, in the cache."""
        qk, v = (
            self.qkv(x)
            .unflatten(-1, (-1, self.width))
            .transpose(1, 2)
            .split([self.heads + self.kv_heads, self.kv_heads], 1)
        )
        if look.turn is not None:
            qk = rotate(qk, look.turn, self.interleaved)
        q, k = qk.split([self.heads, self.kv_heads], 1)
        return self.out(look.attend(q, k, v, number, self.dropout if self.training else 0.0))


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x); the MLP may be gated (SwiGLU, Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, dim: int, ffn: int, attention: nn.Module, layer: Layer, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.kind = layer.mlp
        self.attention_norm = norm_of(dim, layer)
        self.attention = attention
        self.mlp_norm = norm_of(dim, layer)
        if layer.mlp in ("swiglu", "geglu"):
            self.gate_up = nn.Linear(dim, 2 * ffn, bias=layer.mlp_bias)
        else:
            self.up = nn.Linear(dim, ffn, bias=layer.mlp_bias)
        self.down = nn.Linear(ffn, dim, bias=layer.mlp_bias)
        self.attention_scale = nn.Parameter(torch.full((dim,), layer.scale)) if layer.scale else None
        self.mlp_scale = nn.Parameter(torch.full((dim,), layer.scale)) if layer.scale else None
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, look: Look, number: int = 0) -> Tensor:
        """float[B, S, D] -> float[B, S, D]."""
        return self.think(self.attend(x, look, number), look)

    def attend(self, x: Tensor, look: Look, number: int) -> Tensor:
        """The first half, what steps see of each other."""
        y = self.drop(self.attention(_normed(self.attention_norm, x, look.condition), look, number))
        return x + y if self.attention_scale is None else torch.addcmul(x, y, self.attention_scale)

    def think(self, x: Tensor, look: Look) -> Tensor:
        """The second half, each step for itself."""
        y = self.drop(self.down(self._inner(_normed(self.mlp_norm, x, look.condition))))
        return x + y if self.mlp_scale is None else torch.addcmul(x, y, self.mlp_scale)

    def _inner(self, x: Tensor) -> Tensor:
        if self.kind in ("swiglu", "geglu"):
            gate, up = self.gate_up(x).chunk(2, -1)
            return (F.silu(gate) if self.kind == "swiglu" else F.gelu(gate, approximate="tanh")) * up
        x = self.up(x)
        if self.kind == "relu":
            return F.relu(x)
        return F.gelu(x, approximate="tanh" if self.kind == "gelu_tanh" else "none")


class TransformerStack(nn.Module):
    """`layers` blocks and a final norm, causal unless told otherwise. `window`: how many steps a step looks back."""

    def __init__(
        self,
        *,
        dim: int,
        layers: int,
        heads: int,
        ffn: int,
        kv_heads: int | None = None,
        dropout: float = 0.0,
        window: int | None = None,
        causal: bool = True,
        rope_base: float | Rope = 10_000.0,
        bias: bool = False,
        layer: Layer | None = None,
        positions: Positions | int = "rotary",
    ) -> None:
        """`positions`: their kind; a number: so many learned ones."""
        super().__init__()
        layer = layer or Layer()
        self.dim, self.heads, self.kv_heads = dim, heads, kv_heads or heads
        self.width = layer.head_width or dim // heads
        self.window, self.causal = window, causal
        self.rotary = Rotary(self.width, rope_base) if str(positions).startswith("rotary") else None
        self.places: nn.Module | None = Learned(positions, dim) if isinstance(positions, int) else None
        if positions == "sine":
            self.places = Sine(dim)
        self.blocks = nn.ModuleList(
            Block(
                dim,
                ffn,
                Attention(
                    dim,
                    heads,
                    self.kv_heads,
                    bias=bias,
                    out_bias=layer.out_bias,
                    dropout=dropout,
                    width=self.width,
                    interleaved=positions == "rotary_interleaved",
                ),
                layer,
                dropout=dropout,
            )
            for _ in range(layers)
        )
        if layer.skips and causal:
            raise BadInput("a causal Transformer has no skips from its first layers to its last; give it causal=False")
        self.joins = nn.ModuleList(nn.Linear(2 * dim, dim) for _ in range(layers // 2 if layer.skips else 0))
        self.norm = norm_of(dim, layer) if layer.final else nn.Identity()
        initialise(self, layers)

    def cache(self, n: int, capacity: int) -> Cache:
        """An empty cache for `n` sequences. `capacity`: most steps ever held, or window + the longest push."""
        like = next(self.parameters())
        return Cache(len(self.blocks), n, self.kv_heads, self.width, capacity, device=like.device, dtype=like.dtype)

    def forward(
        self,
        x: Tensor,
        *,
        position: Tensor | None = None,
        segment: Tensor | None = None,
        cache: Cache | None = None,
        condition: Tensor | None = None,
        extra: Tensor | None = None,
    ) -> Tensor:
        """float[B, S, D] -> float[B, S, D].

        Args:
            position: long[B, S], default 0 .. S-1.
            segment: long[B, S]; steps attend only within their own segment (packing), and -1 is padding.
            cache: the past; the S steps follow it, at positions `cache.length` and on. It is advanced by S; call
                `rewind` on padded rows.
            condition: float[B, S or 1, C] for the adaptive norms.
            extra: float[B, S, D], added to the input of every layer.
        """
        if cache is not None:
            position, look = following(cache, x.shape[1], self.window)
        else:
            if position is None:
                position = torch.arange(x.shape[1], device=x.device)[None].expand(x.shape[0], -1)
            spans = apart(segment, self.window)
            mask = None if spans else visible(x.shape[1], segment, self.window, self.causal, x.device)
            look = Look(mask=mask, causal=self.causal, spans=spans)
        look = replace(look, turn=self.rotary(position) if self.rotary is not None else None, condition=condition)
        if self.places is not None:
            x = x + self.places(position).to(x.dtype)
        given: list[Tensor] = []
        late = len(self.blocks) - len(self.joins)
        for number, block in enumerate(self.blocks):
            if number >= late:
                x = self.joins[number - late](torch.cat((x, given.pop()), -1))
            if number < len(self.joins):
                given.append(x)
            x = block(x if extra is None else x + extra, look, number)
        return _normed(self.norm, x, condition)


def initialise(stack: nn.Module, layers: int) -> None:
    """Random weights for a stack of `layers` blocks, or for a part of one."""
    for name, weight in stack.named_parameters():
        if weight.is_meta:
            continue  # it has no numbers, and drawing them takes torch seconds to import
        if name.endswith("bias") or "norm.project." in name:
            nn.init.zeros_(weight)  # an adaptive norm is at first as the plain one
        elif weight.ndim == 2:  # GPT-2's rule: what writes to the residual stream starts smaller with depth
            late = name.endswith(("out.weight", "down.weight"))
            nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5 if late else 0.02)
