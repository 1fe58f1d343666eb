"""Heads that make vectors: regression (Spectron) and a flow for each item (Flow-Omni). Know no layout, no task.

Both draw symbols with another head: that a row goes on with an item of the stream, or ends, is a symbol like any other;
which vector the item has is drawn here, from the same hidden vector.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput, Vocab
from oration.lms.heads import Column, Rows, key


@dataclass(frozen=True, kw_only=True)
class Regress:
    """The vector itself, through an MLP: Spectron (Nachmani et al. 2023, arXiv:2305.15255, section 3.2).

    The loss of an item is the mean over its width of |error| + error^2, and the same of differences between neighbours
    in feature and in time (equations 3 to 5). Drawing gives the output itself: nothing is left to chance. As a density,
    the output is the mean of a Gaussian of variance 1, which the paper does not have; it makes scores comparable.
    """

    symbols: Any = field(default_factory=Rows)
    """The head of the symbols."""
    streams: tuple[str, ...] | None = None
    """The streams it makes and hears through the pre-net; None: all continuous ones. Others come in linearly."""
    prenet: tuple[int, ...] = (128, 128)
    """Widths of the MLP that hears the vectors; narrower than they are, it is a bottleneck. (): linear."""
    postnet: tuple[int, ...] = (512, 512)
    """Widths of the MLP that makes them. (): linear."""
    dropout: float = 0.0
    """In the pre-net, in training."""
    deltas: int = 1
    """Differences in time over 1 .. `deltas` items are in the loss; 0: none, in feature neither."""
    continuous: ClassVar[bool] = True

    def tiny(self) -> Regress:
        """The same structure, small enough for tests."""
        narrow = replace(self, symbols=self.symbols.tiny())
        return replace(narrow, prenet=(8,) * len(self.prenet), postnet=(16,) * len(self.postnet))

    def inlet(self, stream: str, width: int, dim: int) -> nn.Module:
        """The pre-net of the streams it makes, linear for others."""
        ours = self.streams is None or stream in self.streams
        return mlp(width, self.prenet if ours else (), dim, self.dropout)

    def build(
        self, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict, widths: Mapping[str, int]
    ) -> RegressModel:
        """`widths`: continuous stream -> W."""
        return RegressModel(self, dim, self.symbols.build(dim, vocabs, embeddings), chosen(self.streams, widths))


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A flow from noise to the vector, by an MLP that sees the hidden vector (Yuan et al. 2024, arXiv:2412.04917, 3.3).

    The MLP is a stack of residual layers whose norms the hidden vector and the time scale and shift, as in Li et al.
    2024 (arXiv:2406.11838, section 3.2). Trained by conditional flow matching on straight paths (Lipman et al. 2022,
    arXiv:2210.02747): the loss is the mean squared error of the velocity, not a likelihood. Drawing integrates from the
    given noise, so it depends on nothing else. The log density is that of the continuous flow, by the change of
    variables of Chen et al. 2018 (arXiv:1806.07366), integrated in the same steps: with the exact trace for vectors no
    wider than `probes`, with Hutchinson's estimate on that many fixed probes for others.
    """

    dim: int = 1024
    layers: int = 3
    symbols: Any = field(default_factory=Rows)
    """The head of the symbols."""
    streams: tuple[str, ...] | None = None
    """The streams it makes; None: all continuous ones."""
    mean: float = 0.0
    """Subtracted from the vectors' values, which are then divided by `std`: the flow goes from noise of 0 and 1."""
    std: float = 1.0
    """See `mean`; natural-log mels of speech have about -5.9 and 2.3."""
    steps: int = 10
    """Of the integration."""
    solver: Literal["euler", "midpoint"] = "midpoint"
    """`midpoint` asks the MLP twice a step."""
    repeats: int = 1
    """Times and noises drawn for an item in training."""
    probes: int = 8
    """Derivatives along the flow that a density costs; more come nearer to it."""
    continuous: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if min(self.steps, self.repeats, self.probes) < 1:
            raise BadInput(
                f"a Flow needs at least 1 step, 1 repeat and 1 probe, but got {self.steps}, {self.repeats} and "
                f"{self.probes}"
            )
        if self.std <= 0:
            raise BadInput(f"a Flow divides its vectors by std={self.std}, which has to be above 0; give their spread")

    def tiny(self) -> Flow:
        """The same structure, small enough for tests."""
        return replace(self, dim=16, layers=1, symbols=self.symbols.tiny(), steps=min(self.steps, 4))

    def build(
        self, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict, widths: Mapping[str, int]
    ) -> FlowModel:
        """`widths`: continuous stream -> W."""
        return FlowModel(self, dim, self.symbols.build(dim, vocabs, embeddings), chosen(self.streams, widths))


def chosen(streams: tuple[str, ...] | None, widths: Mapping[str, int]) -> dict[str, int]:
    """The widths of the streams that a head makes.

    Raises:
        BadInput: one of them is not a continuous stream of the model.
    """
    for name in streams or ():
        if name not in widths:
            raise BadInput(
                f"the head makes the stream {name!r}, but the model's continuous streams are {sorted(widths)}; "
                "name one of these, or none for all"
            )
    return {name: width for name, width in widths.items() if streams is None or name in streams}


def mlp(inward: int, widths: tuple[int, ...], outward: int, dropout: float = 0.0) -> nn.Module:
    """ReLU layers of these widths and a linear one; without widths, that one alone."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inward, width), nn.ReLU(), nn.Dropout(dropout)]
        inward = width
    last = nn.Linear(inward, outward)
    return nn.Sequential(*layers, last) if layers else last


class Symbols(nn.Module):
    """The symbols' half of a head that makes vectors: another head, passed on."""

    def __init__(self, symbols: Any) -> None:
        super().__init__()
        self.symbols = symbols
        self.makers = nn.ModuleDict()
        """Stream (as `key`) -> what makes its vectors."""
        self.rows, self.groups, self.continuous = symbols.rows, symbols.groups, True

    def maker(self, stream: str) -> Any:
        """What makes a stream's vectors.

        Raises:
            BadInput: nothing does.
        """
        if key(stream) not in self.makers:
            raise BadInput(
                f"the head does not make vectors of {stream!r}; name it in the head's `streams`, or do not predict it"
            )
        return self.makers[key(stream)]

    def weight(self, row: str) -> nn.Parameter:
        """float[V, D]: what the logits of a row are made with."""
        weight: nn.Parameter = self.symbols.weight(row)
        return weight

    def forward(self, hidden: Tensor, tokens: Tensor, rows: Collection[str] | None = None) -> dict[str, Tensor]:
        """float[..., D], long[..., K] -> row -> float[..., V]."""
        logits: dict[str, Tensor] = self.symbols(hidden, tokens, rows)
        return logits

    def begin(self, hidden: Tensor) -> Column:
        """float[n, D] -> the column of one step."""
        column: Column = self.symbols.begin(hidden)
        return column


class RegressModel(Symbols):
    """`Regress`, built."""

    def __init__(self, config: Regress, dim: int, symbols: Any, widths: Mapping[str, int]) -> None:
        super().__init__(symbols)
        self.config = config
        self.makers.update({key(name): mlp(dim, config.postnet, w) for name, w in widths.items()})

    def vector(self, hidden: Tensor, stream: str, chance: Tensor) -> Tensor:
        """float[n, D] -> float[n, W], the output; `chance` is not used."""
        vector: Tensor = self.maker(stream)(hidden)
        return vector

    def vector_losses(self, hidden: Tensor, stream: str, target: Tensor, before: Tensor | None = None) -> Tensor:
        """float[N, D], float[N, W] -> float[N]: see `Regress`. Differences in time need `before`, long[N]."""
        error = self.maker(stream)(hidden).float() - target.float()
        loss = _both(error)
        if self.config.deltas and error.shape[1] > 1:
            loss = loss + _both(error.diff(dim=1))
        if before is not None:
            earlier = before
            for _ in range(self.config.deltas):
                there = (earlier >= 0)[:, None]
                loss = loss + _both((error - error[earlier.clamp(min=0)]).where(there, error.new_zeros(())))
                earlier = torch.where(earlier >= 0, before[earlier.clamp(min=0)], earlier)
        return loss

    def vector_nats(self, hidden: Tensor, stream: str, target: Tensor) -> Tensor:
        """float[N, D], float[N, W] -> float[N]: log density of a Gaussian of variance 1 around the output."""
        return gaussian(target - self.maker(stream)(hidden))


def _both(error: Tensor) -> Tensor:
    return (error.abs() + error.square()).mean(1)


def gaussian(x: Tensor) -> Tensor:
    """float[N, W] -> float[N]: the log density of a standard normal vector, in nats."""
    x = x.double()
    return -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)


class Velocity(nn.Module):
    """Where a vector moves at a time of the flow: float[N, W], float[N], float[N, D] -> float[N, W]."""

    def __init__(self, width: int, inward: int, dim: int, layers: int) -> None:
        super().__init__()
        self.enter, self.condition = nn.Linear(width, dim), nn.Linear(inward, dim)
        self.time = nn.Sequential(nn.Linear(_WAVES, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(dim, elementwise_affine=False),
                    "modulate": nn.Linear(dim, 3 * dim),
                    "mlp": nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim)),
                }
            )
            for _ in range(layers)
        )
        self.norm, self.leave = nn.LayerNorm(dim, elementwise_affine=False), nn.Linear(dim, width)
        for layer in self.layers:  # at first every layer is the identity and the velocity is nought
            nn.init.zeros_(layer["modulate"].weight)  # type: ignore[index]
            nn.init.zeros_(layer["modulate"].bias)  # type: ignore[index]
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def see(self, hidden: Tensor) -> Tensor:
        """What does not change along the flow: float[N, D] -> float[N, dim]."""
        return self.condition(hidden)

    def forward(self, x: Tensor, time: Tensor, seen: Tensor) -> Tensor:
        angle = time[:, None] * _frequencies(x)
        y = F.silu(seen + self.time(torch.cat((angle.cos(), angle.sin()), 1)))
        x = self.enter(x)
        for layer in self.layers:
            shift, scale, gate = layer["modulate"](y).chunk(3, -1)  # type: ignore[index]
            x = x + gate * layer["mlp"](layer["norm"](x) * (1 + scale) + shift)  # type: ignore[index]
        return self.leave(self.norm(x))


_WAVES = 64
"""Numbers that stand for a time."""


def _frequencies(like: Tensor) -> Tensor:
    return 1000 * torch.exp(-math.log(10_000) * torch.arange(_WAVES // 2, device=like.device) / (_WAVES // 2))


class FlowModel(Symbols):
    """`Flow`, built."""

    def __init__(self, config: Flow, dim: int, symbols: Any, widths: Mapping[str, int]) -> None:
        super().__init__(symbols)
        self.config = config
        self.makers.update({key(name): Velocity(w, dim, config.dim, config.layers) for name, w in widths.items()})

    def vector_losses(self, hidden: Tensor, stream: str, target: Tensor, before: Tensor | None = None) -> Tensor:
        """float[N, D], float[N, W] -> float[N]: squared error of the velocity, a mean over the width."""
        flow = self.maker(stream)
        hidden = hidden.repeat_interleave(self.config.repeats, 0)
        target = self._scaled(target.float()).repeat_interleave(self.config.repeats, 0)
        # On the CPU, so that a seed means the same on every device.
        noise, time = torch.randn(target.shape).to(target), torch.rand(len(target)).to(target)
        between = torch.lerp(noise, target, time[:, None])
        error = flow(between, time, flow.see(hidden)).float() - (target - noise)
        return error.square().mean(1).unflatten(0, (-1, self.config.repeats)).mean(1)

    def vector(self, hidden: Tensor, stream: str, chance: Tensor) -> Tensor:
        """float[n, D] and the noise to begin with, float[n, W] -> float[n, W]."""
        flow = self.maker(stream)
        seen, x, size = flow.see(hidden), chance, 1 / self.config.steps
        for step in range(self.config.steps):
            x = x + size * self._between(lambda at, t: flow(at, t, seen), x, step * size, size)
        return x * self.config.std + self.config.mean

    def vector_nats(self, hidden: Tensor, stream: str, target: Tensor) -> Tensor:
        """float[N, D], float[N, W] -> float[N]: see `Flow`."""
        flow = self.maker(stream)
        with torch.inference_mode(False), torch.no_grad():  # derivatives need tensors that were not made for inference
            seen, x = flow.see(hidden.clone()), self._scaled(target.clone())
            probes, size = self._probes(x), 1 / self.config.steps
            grown = x.new_zeros(len(x), dtype=torch.float64)

            def turned(at: Tensor, time: Tensor) -> Tensor:
                velocity, spread = _divergence(lambda y: flow(y, time, seen), at, probes)
                return torch.cat((velocity, spread[:, None]), 1)

            for step in range(self.config.steps):
                both = self._between(lambda at, t: turned(at[:, :-1], t), F.pad(x, (0, 1)), 1 - step * size, -size)
                x, grown = x - size * both[:, :-1], grown + size * both[:, -1].double()
            return gaussian(x) - grown - target.shape[1] * math.log(self.config.std)

    def _scaled(self, vectors: Tensor) -> Tensor:
        """float[N, W] as the flow has them."""
        return (vectors - self.config.mean) / self.config.std

    def _between(self, move: Any, x: Tensor, time: float, size: float) -> Tensor:
        """The velocity with which one step of the solver goes, float[n, W]."""
        velocity: Tensor = move(x, x.new_full((len(x),), time))
        if self.config.solver == "midpoint":
            velocity = move(x + size / 2 * velocity, x.new_full((len(x),), time + size / 2))
        return velocity

    def _probes(self, x: Tensor) -> Tensor:
        """float[P, W]: vectors whose outer products are the unit matrix on average, or exactly."""
        width = x.shape[1]
        if width <= self.config.probes:
            return torch.eye(width).to(x) * math.sqrt(width)
        signs = torch.randint(0, 2, (self.config.probes, width), generator=torch.Generator().manual_seed(0))
        return (2.0 * signs - 1).to(x)


def _divergence(move: Any, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
    """The velocity at x, float[N, W], and its divergence, float[N], from v . J v over the probes."""

    def along(probe: Tensor) -> Any:
        return torch.func.jvp(move, (x,), (probe.expand_as(x),))

    velocity, turned = torch.func.vmap(along)(probes)
    return velocity[0], (turned * probes[:, None]).sum((0, 2)) / len(probes)
