"""Bodies whose past has a fixed size, however long it is: Mamba-2, and Griffin, which SpeechSSM is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.griffin import GriffinStack
from oration.nn.look import Cache, rewind
from oration.nn.statespace import Mamba2, Memory


@dataclass(frozen=True, kw_only=True)
class StateSpace:
    """Mamba-2 (Dao & Gu 2024, arXiv:2405.21060), by default of the size of state-spaces/mamba2-130m."""

    layers: int = 24
    dim: int = 768
    head_width: int = 64
    """There are `expand` * dim / head_width heads."""
    expand: int = 2
    state: int = 128
    groups: int = 1
    """Groups of heads that share their keys and queries."""
    taps: int = 4
    """Of the convolution before the scan."""
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.expand * self.dim % self.head_width or self.expand * self.dim // self.head_width % self.groups:
            raise BadInput(
                f"a StateSpace of dim={self.dim}, expand={self.expand}, head_width={self.head_width}, "
                f"groups={self.groups} does not divide; expected whole heads, and as many in each group"
            )

    def tiny(self: StateSpace | None = None) -> StateSpace:
        """Small enough for tests."""
        return replace(self or StateSpace(), layers=2, dim=32, head_width=16, state=8, groups=2)

    def build(self) -> StateSpaceModel:
        return StateSpaceModel(self)


class StatePast:
    """What the layers remember of `n` sequences."""

    def __init__(self, memories: tuple[Memory, ...], length: Tensor) -> None:
        self.memories, self.length = memories, length

    def select(self, index: Tensor) -> StatePast:
        """The same past for the sequences `index`."""
        return StatePast(tuple(memory.select(index) for memory in self.memories), self.length[index])


class StateSpaceModel(nn.Module):
    """`StateSpace`, built."""

    causal = True
    window: int | None = 1
    """It looks back without end, but holds no more than its state."""

    def __init__(self, config: StateSpace) -> None:
        super().__init__()
        self.dim = config.dim
        self.norms = nn.ModuleList(nn.RMSNorm(config.dim, eps=config.norm_eps) for _ in range(config.layers))
        self.mixers = nn.ModuleList(
            Mamba2(
                config.dim,
                heads=config.expand * config.dim // config.head_width,
                width=config.head_width,
                state=config.state,
                groups=config.groups,
                taps=config.taps,
                eps=config.norm_eps,
            )
            for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        for mixer in self.mixers:
            assert isinstance(mixer, Mamba2)
            nn.init.normal_(mixer.inward.weight, std=0.02)
            nn.init.normal_(mixer.out.weight, std=0.02 / config.layers**0.5)

    def forward(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; see `BodyModel`."""
        apart = segment if bool((segment > 0).any()) else None
        for norm, mixer in zip(self.norms, self.mixers, strict=True):
            x = x + mixer(norm(x), apart)
        return self.norm(x)

    def past(self, n: int, capacity: int) -> StatePast:
        """An empty past; it never grows, so `capacity` does not matter."""
        memories = tuple(mixer.memory(n) for mixer in self.mixers)  # type: ignore[operator]
        return StatePast(memories, torch.zeros(n, dtype=torch.long, device=self.norm.weight.device))

    def extend(self, x: Tensor, past: StatePast, padding: Tensor | None = None) -> Tensor:
        """float[n, S, D] after the past -> float[n, S, D]; see `BodyModel`."""
        true = None if padding is None else x.shape[1] - padding
        for norm, mixer, memory in zip(self.norms, self.mixers, past.memories, strict=True):
            x = x + mixer(norm(x), None, memory, true)
        past.length = past.length + (x.shape[1] if true is None else true)
        return self.norm(x)


@dataclass(frozen=True, kw_only=True)
class Griffin:
    """The body of SpeechSSM (Park et al. 2024, arXiv:2412.18603), which is RecurrentGemma's, by default that of 2 B.

    De et al. 2024, arXiv:2402.19427; sizes: Botev et al. 2024, arXiv:2404.07839, table 1.
    """

    layers: int = 26
    dim: int = 2560
    heads: int = 10
    kv_heads: int = 1
    ffn: int = 7680
    """Width of the gated MLP."""
    width: int | None = None
    """Of the recurrence; None: `dim`."""
    window: int = 2048
    """How many steps the attention looks back, itself included."""
    pattern: tuple[str, ...] = ("recurrent", "recurrent", "attention")

    def __post_init__(self) -> None:
        width = self.width or self.dim
        divides = self.dim % self.heads == width % self.heads == self.heads % self.kv_heads == 0
        if not divides or self.dim // self.heads % 4 or not set(self.pattern) <= {"recurrent", "attention"}:
            raise BadInput(
                f"a Griffin of dim={self.dim}, width={width}, heads={self.heads}, kv_heads={self.kv_heads}, "
                f"pattern={self.pattern} does not fit; expected whole heads of a width that 4 divides, and a pattern "
                "of 'recurrent' and 'attention'"
            )

    def tiny(self: Griffin | None = None) -> Griffin:
        """Small enough for tests, with its pattern."""
        body = self or Griffin()
        width = None if body.width is None else 24
        return replace(body, layers=3, dim=32, heads=4, kv_heads=1, ffn=48, width=width, window=min(body.window, 16))

    def build(self) -> GriffinModel:
        return GriffinModel(self)


class GriffinPast:
    """Keys and values of the near past, and the states of the recurrences."""

    def __init__(self, cache: Cache, memories: tuple[Memory, ...]) -> None:
        self.cache, self.memories = cache, memories

    @property
    def length(self) -> Tensor:
        """long[n]: steps seen so far."""
        return self.cache.length

    def select(self, index: Tensor) -> GriffinPast:
        """The same past for the sequences `index`."""
        return GriffinPast(self.cache.select(index), tuple(memory.select(index) for memory in self.memories))


class GriffinModel(nn.Module):
    """`Griffin`, built."""

    causal = True

    def __init__(self, config: Griffin) -> None:
        super().__init__()
        self.dim = config.dim
        self.window: int | None = config.window
        """Steps that have to be held; what came before is in the states."""
        self.stack = GriffinStack(
            dim=config.dim,
            layers=config.layers,
            heads=config.heads,
            kv_heads=config.kv_heads,
            ffn=config.ffn,
            width=config.width or config.dim,
            window=config.window,
            pattern=config.pattern,
        )

    def forward(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, D] -> float[B, S, D]; see `BodyModel`."""
        packed = bool((segment > 0).any())
        return self.stack(x, position=position, segment=segment if packed else None)

    def past(self, n: int, capacity: int) -> GriffinPast:
        """An empty past. `capacity`: the window and the longest push suffice."""
        return GriffinPast(*self.stack.empty(n, capacity))

    def extend(self, x: Tensor, past: GriffinPast, padding: Tensor | None = None) -> Tensor:
        """float[n, S, D] after the past -> float[n, S, D]; see `BodyModel`."""
        true = None if padding is None else x.shape[1] - padding
        y = self.stack(x, past=(past.cache, past.memories), true=true)
        if padding is not None and bool(torch.any(padding > 0)):
            rewind(past.cache, padding)
        return y
