"""Bodies: a sequence of vectors to a sequence of vectors, each from those before it. Know no rows, no symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.transformer import Cache, TransformerStack, rewind


class Past(Protocol):
    """What a body remembers of `n` sequences, each at its own position."""

    length: Tensor
    """long[n]: steps seen so far."""

    def select(self, index: Tensor) -> Past:
        """The same past for the sequences `index` (long[m], repeats allowed)."""
        ...


@runtime_checkable
class BodyModel(Protocol):
    """The promise of a built body (an `nn.Module`)."""

    dim: int
    window: int | None
    """How many steps a step looks back; None: all."""

    def __call__(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; step s from steps <= s of its own segment (long[B, S], -1 is padding)."""
        ...

    def past(self, n: int, capacity: int) -> Any:
        """An empty `Past` for `n` sequences of at most `capacity` steps."""
        ...

    def extend(self, x: Tensor, past: Any, padding: Tensor | None = None) -> Tensor:
        """float[n, S, D] after the past -> float[n, S, D]; of each row the last `padding`, long[n], are forgotten."""
        ...


class Body(Protocol):
    """The configuration half of a body."""

    def build(self) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """A causal Transformer as in LLaMA (Touvron et al. 2023, arXiv:2302.13971): RMSNorm, rotary positions, SwiGLU."""

    layers: int
    dim: int
    heads: int
    ffn: int
    kv_heads: int | None = None
    """Heads of keys and values, shared by groups of query heads (Ainslie et al. 2023); None: as many as `heads`."""
    dropout: float = 0.0
    window: int | None = None
    """How many steps a step looks back, itself included; None: all."""
    rope_base: float = 10_000.0
    bias: bool = False
    """Biases in the query, key and value projections (Qwen)."""

    def __post_init__(self) -> None:
        if self.dim % self.heads or (self.dim // self.heads) % 2 or self.heads % (self.kv_heads or self.heads):
            raise BadInput(
                f"a Transformer of dim={self.dim}, heads={self.heads}, kv_heads={self.kv_heads} does not divide; "
                "expected heads of an even width and a whole number of heads for each of kv_heads"
            )

    @classmethod
    def tiny(cls) -> Transformer:
        """Small enough for tests."""
        return cls(layers=2, dim=32, heads=4, kv_heads=2, ffn=48)

    def build(self) -> TransformerModel:
        return TransformerModel(self)


class TransformerModel(nn.Module):
    """`Transformer`, built."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.dim, self.window = config.dim, config.window
        self.stack = TransformerStack(
            dim=config.dim,
            layers=config.layers,
            heads=config.heads,
            ffn=config.ffn,
            kv_heads=config.kv_heads,
            dropout=config.dropout,
            window=config.window,
            rope_base=config.rope_base,
            bias=config.bias,
        )

    def forward(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; see `BodyModel`."""
        # Padding stands on the right, where no real step looks: one grid a line needs no mask but the causal one,
        # and torch's fast kernels want it absent.
        packed = bool((segment > 0).any())
        return self.stack(x, position=position, segment=segment if packed else None)

    def past(self, n: int, capacity: int) -> Cache:
        """An empty cache. `capacity`: most steps ever held; with a window, the window and the longest push suffice."""
        return self.stack.cache(n, capacity)

    def extend(self, x: Tensor, past: Cache, padding: Tensor | None = None) -> Tensor:
        """float[n, S, D] after the past -> float[n, S, D]; see `BodyModel`."""
        y = self.stack(x, cache=past)
        if padding is not None and bool(torch.any(padding > 0)):
            rewind(past, padding)
        return y
