"""Bodies: a sequence of vectors to a sequence of vectors, each from those before it. Know no rows, no symbols."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.look import Cache, rewind
from oration.nn.positions import Rope
from oration.nn.transformer import Layer, Positions, TransformerStack


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
    """How many steps back a step needs to be held; None: all."""
    causal: bool
    """Whether step s depends on steps <= s only. If not, `past` and `extend` are not to be called."""

    def __call__(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; step s from steps <= s of its own segment (long[B, S], -1 is padding).

        A body that is not causal takes all steps of the segment.
        """
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
class Fusion:
    """How what is heard joins what is said (LSLM, Ma et al. 2024, arXiv:2408.02622, section 3.3)."""

    rows: tuple[str, ...]
    """The rows that are heard, such as `user.listen`."""
    where: Literal["early", "middle", "late"] = "middle"
    """Summed at the input, added to the input of every layer, or added to the vector before the head."""


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """A Transformer, by default causal and as in LLaMA (Touvron et al. 2023, arXiv:2302.13971).

    Called with `condition` (float[B, S or 1, C]) it scales and shifts its norms; with `extra` (float[B, S, D]) it adds
    that to the input of every layer (the middle fusion of LSLM, Ma et al. 2024, arXiv:2408.02622).
    """

    layers: int
    dim: int
    heads: int
    ffn: int
    kv_heads: int | None = None
    """Heads of keys and values, shared by groups of query heads (Ainslie et al. 2023); None: as many as `heads`."""
    dropout: float = 0.0
    window: int | None = None
    """How many steps a step looks back, itself included; None: all."""
    rope_base: float | Rope = 10_000.0
    bias: bool = False
    """Biases in the query, key and value projections (Qwen)."""
    causal: bool = True
    """False: every step looks at all of its grid (SoundStorm, Voicebox), to be filled in rather than continued."""
    positions: Positions | int = "rotary"
    """Rotary (halves or neighbours turned together), sine, none; a number: so many learned positions."""
    layer: Layer = field(default_factory=Layer)
    """Norms, MLP, biases, width of a head."""

    def __post_init__(self) -> None:
        width = self.layer.head_width or self.dim / self.heads
        if width % 2 or self.heads % (self.kv_heads or self.heads):
            raise BadInput(
                f"a Transformer of dim={self.dim}, heads={self.heads}, kv_heads={self.kv_heads} does not divide; "
                "expected heads of an even width and a whole number of heads for each of kv_heads"
            )

    def tiny(self: Transformer | None = None) -> Transformer:
        """Small enough for tests, without dropout. Of a value: with its kinds and flags; of the class: the defaults."""
        if self is None:
            return Transformer(layers=2, dim=32, heads=4, kv_heads=2, ffn=48)
        layer = replace(
            self.layer, head_width=None if self.layer.head_width is None else 12, condition=min(self.layer.condition, 8)
        )
        return replace(self, layers=2, dim=32, heads=4, kv_heads=2, ffn=48, dropout=0.0, layer=layer)

    def build(self) -> TransformerModel:
        return TransformerModel(self)


class TransformerModel(nn.Module):
    """`Transformer`, built."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.dim, self.window, self.causal = config.dim, config.window, config.causal
        self.context = config.positions if isinstance(config.positions, int) else None
        """Most positions it knows; None: any number."""
        self.stack = TransformerStack(
            dim=config.dim,
            layers=config.layers,
            heads=config.heads,
            ffn=config.ffn,
            kv_heads=config.kv_heads,
            dropout=config.dropout,
            window=config.window,
            causal=config.causal,
            rope_base=config.rope_base,
            bias=config.bias,
            layer=config.layer,
            positions=config.positions,
        )

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        segment: Tensor,
        *,
        condition: Tensor | None = None,
        extra: Tensor | None = None,
    ) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; see `BodyModel` and `Transformer`."""
        # Padding stands on the right, where no real step of a causal body looks: one grid a line needs no mask but the
        # causal one, and torch's fast kernels want it absent.
        apart = bool(((segment > 0) if self.causal else (segment != 0)).any())
        return self.stack(x, position=position, segment=segment if apart else None, condition=condition, extra=extra)

    def past(self, n: int, capacity: int) -> Cache:
        """An empty cache. `capacity`: most steps ever held; with a window, the window and the longest push suffice."""
        return self.stack.cache(n, capacity)

    def extend(
        self,
        x: Tensor,
        past: Cache,
        padding: Tensor | None = None,
        *,
        condition: Tensor | None = None,
        extra: Tensor | None = None,
    ) -> Tensor:
        """float[n, S, D] after the past -> float[n, S, D]; see `BodyModel` and `Transformer`."""
        y = self.stack(x, cache=past, condition=condition, extra=extra)
        if padding is not None and bool(torch.any(padding > 0)):
            rewind(past, padding)
        return y
