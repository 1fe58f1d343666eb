"""A pre-norm Transformer: RMSNorm, rotary positions, gated MLP, key-value cache. Layers only; knows no speech.

Every size is a constructor argument; the defaults are those of LLaMA (Touvron et al. 2023, arXiv:2302.13971).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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


class Rotary(nn.Module):
    """Rotary positions (Su et al. 2021, arXiv:2104.09864), halves rotated against each other as in LLaMA."""

    def __init__(self, width: int, base: float = 10_000.0) -> None:
        super().__init__()
        # Angles are formed in float64: after two hours at 50 Hz a float32 angle is off by 0.02 rad.
        self.frequency: Tensor
        frequency = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        self.register_buffer("frequency", frequency, persistent=False)

    def forward(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """long[B, S] -> cosine and sine, float[B, 1, S, width]."""
        angle = position[:, None, :, None].double() * self.frequency.double()
        angle = torch.cat((angle, angle), -1)
        return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Apply `Rotary`'s output to queries or keys, float[B, H, S, width]."""
    cosine, sine = (t.to(x.dtype) for t in turn)
    first, second = x.chunk(2, -1)
    return x * cosine + torch.cat((-second, first), -1) * sine


class Attention(nn.Module):
    """Self-attention through torch's scaled_dot_product_attention; queries may share keys (`kv_heads` < `heads`)."""

    def __init__(self, dim: int, heads: int, kv_heads: int, *, bias: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.width, self.dropout = heads, kv_heads, dim // heads, dropout
        self.qkv = nn.Linear(dim, (heads + 2 * kv_heads) * self.width, bias=bias)
        self.out = nn.Linear(heads * self.width, dim, bias=False)

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor],
        mask: Tensor | None,
        causal: bool,
        past: tuple[Cache, int, Tensor, Tensor] | None = None,
    ) -> Tensor:
        """float[B, S, D] -> float[B, S, D]. `past`: cache, layer, rows long[B, 1] and slots long[B, S] to write to."""
        sizes = [self.heads, self.kv_heads, self.kv_heads]
        q, k, v = self.qkv(x).unflatten(-1, (-1, self.width)).transpose(1, 2).split(sizes, 1)
        q, k = rotate(q, turn), rotate(k, turn)
        if past is not None:
            cache, layer, row, slot = past
            cache.keys[layer][row, :, slot] = k.transpose(1, 2).to(cache.keys[layer].dtype)
            cache.values[layer][row, :, slot] = v.transpose(1, 2).to(cache.values[layer].dtype)
            used = cache.used()
            k, v = cache.keys[layer][:, :, :used].to(q.dtype), cache.values[layer][:, :, :used].to(q.dtype)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal and mask is None,
            enable_gqa=self.kv_heads != self.heads,
        )
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x), the MLP gated by SiLU (SwiGLU, Shazeer 2020, arXiv:2002.05202)."""

    def __init__(
        self, dim: int, heads: int, kv_heads: int, ffn: int, *, bias: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(dim, eps=1e-6)
        self.attention = Attention(dim, heads, kv_heads, bias=bias, dropout=dropout)
        self.mlp_norm = nn.RMSNorm(dim, eps=1e-6)
        self.gate_up = nn.Linear(dim, 2 * ffn, bias=False)
        self.down = nn.Linear(ffn, dim, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor],
        mask: Tensor | None,
        causal: bool,
        past: tuple[Cache, int, Tensor, Tensor] | None = None,
    ) -> Tensor:
        x = x + self.drop(self.attention(self.attention_norm(x), turn, mask, causal, past))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, -1)
        return x + self.drop(self.down(F.silu(gate) * up))


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
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.kv_heads = dim, heads, kv_heads or heads
        self.window, self.causal = window, causal
        self.rotary = Rotary(dim // heads, rope_base)
        self.blocks = nn.ModuleList(
            Block(dim, heads, self.kv_heads, ffn, bias=bias, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.RMSNorm(dim, eps=1e-6)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:  # GPT-2's rule: what writes to the residual stream starts smaller with depth
                late = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5 if late else 0.02)

    def cache(self, n: int, capacity: int) -> Cache:
        """An empty cache for `n` sequences. `capacity`: most steps ever held, or window + the longest push."""
        like = self.norm.weight
        return Cache(
            len(self.blocks),
            n,
            self.kv_heads,
            self.dim // self.heads,
            capacity,
            device=like.device,
            dtype=like.dtype,
        )

    def forward(
        self, x: Tensor, *, position: Tensor | None = None, segment: Tensor | None = None, cache: Cache | None = None
    ) -> Tensor:
        """float[B, S, D] -> float[B, S, D].

        Args:
            position: long[B, S], default 0 .. S-1.
            segment: long[B, S]; steps attend only within their own segment (packing), and -1 is padding.
            cache: the past; the S steps follow it, at positions `cache.length` and on. It is advanced by S; call
                `rewind` on padded rows.
        """
        if cache is not None:
            return self._continue(x, cache)
        if position is None:
            position = torch.arange(x.shape[1], device=x.device)[None].expand(x.shape[0], -1)
        turn, mask = self.rotary(position), self._mask(x.shape[1], segment, x.device)
        for block in self.blocks:
            x = block(x, turn, mask, self.causal)
        return self.norm(x)

    def _mask(self, steps: int, segment: Tensor | None, device: torch.device) -> Tensor | None:
        """bool[B or 1, 1, S, S], True where a step may look; None if plain causal attention is all there is."""
        if segment is None and (self.window is None or self.window >= steps):
            return None
        at = torch.arange(steps, device=device)
        mask = torch.ones(steps, steps, dtype=torch.bool, device=device)
        if self.causal:
            mask &= at[:, None] >= at[None]
        if self.window is not None:
            mask &= (at[:, None] - at[None]).abs() < self.window
        if segment is None:
            return mask[None, None]
        same = segment[:, :, None] == segment[:, None, :]
        # A padding step may look at itself: a row that may look nowhere gives NaN.
        return ((same & mask) | torch.eye(steps, dtype=torch.bool, device=device))[:, None]

    def _continue(self, x: Tensor, cache: Cache) -> Tensor:
        steps = x.shape[1]
        position = cache.length[:, None] + torch.arange(steps, device=x.device)
        row = torch.arange(x.shape[0], device=x.device)[:, None]
        slot = position % cache.capacity
        cache.held[row, slot] = position
        cache.length = cache.length + steps
        held = cache.held[:, None, : cache.used()]
        mask = (held >= 0) & (held <= position[:, :, None])
        if self.window is not None:
            mask &= held > position[:, :, None] - self.window
        turn = self.rotary(position)
        for layer, block in enumerate(self.blocks):
            x = block(x, turn, mask[:, None], True, (cache, layer, row, slot))
        return self.norm(x)


def rewind(cache: Cache, steps: Tensor) -> None:
    """Forget the last `steps` (long[n]) of each sequence: the padding of a prompt shorter than its neighbours."""
    cache.length = cache.length - steps
    cache.held[cache.held >= cache.length[:, None]] = -1
