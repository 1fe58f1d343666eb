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

from oration.nn.positions import Learned, Rotary, Sine, rotate

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


class Cache:
    """Keys and values of past steps, for `n` sequences that each stand at their own position.

    It is a ring: with a window, `capacity` need only hold the window and one push, whatever the length of the input.
    """

    def __init__(
        self,
        layers: int,
        n: int,
        heads: int,
        width: int,
        capacity: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.keys = [torch.zeros(n, heads, capacity, width, device=device, dtype=dtype) for _ in range(layers)]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        self.held = torch.full((n, capacity), -1, dtype=torch.long, device=device)
        """long[n, capacity]: the position each slot holds; -1 is empty."""
        self.length = torch.zeros(n, dtype=torch.long, device=device)
        """long[n]: steps seen so far by each sequence."""

    @property
    def capacity(self) -> int:
        return self.held.shape[1]

    def used(self) -> int:
        """Slots that can hold anything yet (all sequences together)."""
        return min(self.capacity, int(self.length.max()))

    def select(self, index: Tensor) -> Cache:
        """The same past for the sequences `index` (long[m], repeats allowed): one prompt, many continuations."""
        new = object.__new__(Cache)
        new.keys = [keys[index] for keys in self.keys]
        new.values = [values[index] for values in self.values]
        new.held, new.length = self.held[index], self.length[index]
        return new


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
    return norm(x) if condition is None else norm(x, condition)


@dataclass(frozen=True, eq=False)
class Look:
    """Where the steps of one call stand and look."""

    turn: tuple[Tensor, Tensor] | None = None
    """Cosine and sine of rotary positions."""
    mask: Tensor | None = None
    """bool[B or 1, 1, S, T]; None: what `causal` says."""
    causal: bool = True
    condition: Tensor | None = None
    """float[B, S or 1, C] of the adaptive norms."""
    cache: Cache | None = None
    row: Tensor | None = None
    """long[B, 1] and long[B, S]: where in the cache the steps are written."""
    slot: Tensor | None = None
    at: int | None = None
    """The first slot to write to, where it is the same for all."""
    used: int = 0
    """Slots of the cache that can hold anything."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, number: int, dropout: float) -> Tensor:
        """float[B, H, S, width] and keys and values of as many heads or fewer -> float[B, S, H width].

        With a cache, the keys and values join those of its layer `number` first.
        """
        if self.cache is not None:
            keys, values = self.cache.keys[number], self.cache.values[number]
            if self.at is not None:
                keys[:, :, self.at : self.used], values[:, :, self.at : self.used] = k, v
            else:
                keys[self.row, :, self.slot] = k.transpose(1, 2).to(keys.dtype)
                values[self.row, :, self.slot] = v.transpose(1, 2).to(values.dtype)
            k, v = keys[:, :, : self.used].to(q.dtype), values[:, :, : self.used].to(q.dtype)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=self.mask,
            dropout_p=dropout,
            is_causal=self.causal and self.mask is None,
            enable_gqa=k.shape[1] != q.shape[1],
        )
        return y.transpose(1, 2).flatten(2)


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
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, look: Look, number: int = 0) -> Tensor:
        """float[B, S, D] -> float[B, S, D]."""
        return self.think(self.attend(x, look, number), look)

    def attend(self, x: Tensor, look: Look, number: int) -> Tensor:
        """The first half, what steps see of each other."""
        return x + self.drop(self.attention(_normed(self.attention_norm, x, look.condition), look, number))

    def think(self, x: Tensor, look: Look) -> Tensor:
        """The second half, each step for itself."""
        return x + self.drop(self.down(self._inner(_normed(self.mlp_norm, x, look.condition))))

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
        rope_base: float = 10_000.0,
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
        self.norm = norm_of(dim, layer)
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
            look = Look(mask=visible(x.shape[1], segment, self.window, self.causal, x.device), causal=self.causal)
        look = replace(look, turn=self.rotary(position) if self.rotary is not None else None, condition=condition)
        if self.places is not None:
            x = x + self.places(position).to(x.dtype)
        for number, block in enumerate(self.blocks):
            x = block(x if extra is None else x + extra, look, number)
        return _normed(self.norm, x, condition)


def visible(
    steps: int, segment: Tensor | None, window: int | None, causal: bool, device: torch.device
) -> Tensor | None:
    """bool[B or 1, 1, S, S], True where a step may look; None if plain causal attention (or all) is all there is."""
    if segment is None and (window is None or window >= steps):
        return None
    at = torch.arange(steps, device=device)
    mask = torch.ones(steps, steps, dtype=torch.bool, device=device)
    if causal:
        mask &= at[:, None] >= at[None]
    if window is not None:
        mask &= (at[:, None] - at[None]).abs() < window
    if segment is None:
        return mask[None, None]
    same = segment[:, :, None] == segment[:, None, :]
    # A padding step may look at itself: a row that may look nowhere gives NaN.
    return ((same & mask) | torch.eye(steps, dtype=torch.bool, device=device))[:, None]


def following(cache: Cache, steps: int, window: int | None) -> tuple[Tensor, Look]:
    """The positions, long[n, S], of steps that follow the cache, and where they look. The cache is told of them."""
    n, device = len(cache.length), cache.length.device
    least, most = (int(length) for length in cache.length.aminmax())
    position = cache.length[:, None] + torch.arange(steps, device=device)
    cache.length = cache.length + steps
    used = min(cache.capacity, most + steps)
    if least == most and most + steps <= cache.capacity:  # all stand at one place, and the ring has not come round
        cache.held[:, most:used] = position
        if (steps == 1 or not most) and (window is None or window >= used):
            return position, Look(causal=steps > 1, cache=cache, at=most, used=used)  # every slot is to be seen
        at, row, slot = most, None, None
    else:
        row, slot, at = torch.arange(n, device=device)[:, None], position % cache.capacity, None
        cache.held[row, slot] = position
    held = cache.held[:, None, :used]
    mask = (held >= 0) & (held <= position[:, :, None])
    if window is not None:
        mask &= held > position[:, :, None] - window
    return position, Look(mask=mask[:, None], cache=cache, row=row, slot=slot, at=at, used=used)


def initialise(stack: nn.Module, layers: int) -> None:
    """Random weights for a stack of `layers` blocks, or for a part of one."""
    for name, weight in stack.named_parameters():
        if name.endswith("bias") or "norm.project." in name:
            nn.init.zeros_(weight)  # an adaptive norm is at first as the plain one
        elif weight.ndim == 2:  # GPT-2's rule: what writes to the residual stream starts smaller with depth
            late = name.endswith(("out.weight", "down.weight"))
            nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5 if late else 0.02)


def rewind(cache: Cache, steps: Tensor) -> None:
    """Forget the last `steps` (long[n]) of each sequence: the padding of a prompt shorter than its neighbours."""
    cache.length = cache.length - steps
    cache.held[cache.held >= cache.length[:, None]] = -1
