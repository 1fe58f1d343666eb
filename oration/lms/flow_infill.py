"""Vectors filled in by a flow: Voicebox (Le et al. 2023, arXiv:2306.15687).

The body that looks both ways is the field that carries noise to speech: it sees phones, the vectors that are known, the
noisy ones in place of those that are not, and the time of the flow. Knows roles and streams by name, not layouts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from oration.core import BadInput, Batch, Vocab
from oration.lms.heads import key
from oration.lms.infill import InfillModel

if TYPE_CHECKING:
    from oration.lms.lm import LM


@dataclass(frozen=True, kw_only=True)
class Velocity:
    """The head of a flow: from the body's vector at an item to the velocity of that item's vector."""

    mean: float = 0.0
    """Subtracted from the predicted streams' values, which are then divided by `std`: noise starts at 0 and 1."""
    std: float = 1.0
    """The paper, for natural-log mels: -5.884 and 2.261."""
    time: int = 256
    """Width of the sinusoids that tell the time."""
    sigma: float = 1e-5
    """What is left of the noise at the end of the flow."""
    probes: int = 1
    """Random vectors for the divergence when scoring (Hutchinson's estimate); always the same ones."""
    steps: int = 16
    """Steps of the flow when scoring, each of two evaluations."""
    continuous: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if (
            self.std <= 0
            or self.time < 2
            or self.time % 2
            or not 0 <= self.sigma < 1
            or min(self.probes, self.steps) < 1
        ):
            raise BadInput(
                f"{self!r}: expected std above 0, an even time, sigma from 0 to below 1, probes and steps of 1 or more"
            )

    def tiny(self: Velocity | None = None) -> Velocity:
        """Small enough for tests."""
        return Velocity(time=16, steps=4) if self is None else replace(self, time=16, steps=4)

    def build(
        self, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict, widths: Mapping[str, int]
    ) -> VelocityModel:
        """`widths`: continuous stream -> width of its vectors."""
        return VelocityModel(self, dim, widths)


class VelocityModel(nn.Module):
    """`Velocity`, built."""

    def __init__(self, config: Velocity, dim: int, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.continuous, self.groups = True, ()
        self.out = nn.ModuleDict({key(name): nn.Linear(dim, width) for name, width in widths.items()})

    def forward(self, hidden: Tensor, stream: str) -> Tensor:
        """float[N, D] -> float[N, W]."""
        return self.out[key(stream)](hidden)


class FlowInfillModel(InfillModel):
    """`LM` with the head `Velocity` and a body that is not causal; every predicted stream is continuous.

    Two differences from the paper. The time is added to every step, or scales the norms of a body with a condition,
    instead of standing in front of the sequence. Noisy vectors are seen at hidden items only, so that the flow is of
    what is hidden, and its likelihood exactly that of the hidden items given the known ones.
    """

    trained_by: ClassVar[str] = "MaskedFlow"

    def __init__(self, config: LM, vocabs: Mapping[str, Vocab], widths: Mapping[str, int]) -> None:
        super().__init__(config, vocabs, widths)
        head: Any = config.head
        self.numbers: Velocity = head
        for name in self.predicted:
            if name not in self.widths:
                raise BadInput(
                    f"{config.name!r} has the head Velocity, which makes vectors, but predicts {name!r}, which is "
                    "symbols; give those a language model of their own"
                )
        flowing = {name: self.widths[name] for name in self.predicted}
        self.noisy = nn.ModuleDict(
            {key(name): nn.Linear(width, self.dim, bias=False) for name, width in flowing.items()}
        )
        width = self.condition or self.dim
        self.time = nn.Sequential(nn.Linear(self.numbers.time, width), nn.SiLU(), nn.Linear(width, width))

    def scaled(self, name: str, values: Tensor) -> Tensor:
        """A stream's vectors as the flow knows them: predicted ones with mean 0 and deviation 1."""
        return (values - self.numbers.mean) / self.numbers.std if name in self.predicted else values

    def unscaled(self, values: Tensor) -> Tensor:
        """The inverse, for predicted streams."""
        return values * self.numbers.std + self.numbers.mean

    def velocity(
        self, batch: Batch, noisy: Mapping[str, Tensor], time: Tensor, hide: Tensor, drop: Tensor | None = None
    ) -> dict[str, Tensor]:
        """How the hidden vectors move.

        Args:
            noisy: predicted stream -> float[N, W], scaled vectors for each of its items in `batch.dense`; only those at
                hidden cells are looked at.
            time: float[B, S or 1] from 0, noise, to 1, speech.
            hide: bool[B, K, S], the cells to fill.
            drop: bool[B, K, S], cells that are left out (guidance).

        Returns:
            Predicted stream -> float[N, W].
        """
        x = self.filled(batch, hide, drop)
        for name, vectors in noisy.items():
            at = batch.dense[name]
            seen = hide[at.sequence, at.row, at.step]
            x = x.index_put((at.sequence, at.step), (self.noisy[key(name)](vectors) * seen[:, None]).to(x.dtype), True)
        half = torch.arange(self.numbers.time // 2, device=time.device) / (self.numbers.time // 2)
        angle = 1000 * time[..., None] * torch.exp(-math.log(10_000.0) * half)
        hidden = self.look(batch, x, self.time(torch.cat((angle.sin(), angle.cos()), -1)))
        found = {}
        for name in noisy:
            at = batch.dense[name]
            found[name] = self.head(hidden[at.sequence, at.step], name)
        return found

    def hidden_items(self, batch: Batch, hide: Tensor) -> dict[str, Tensor]:
        """Predicted stream of the batch -> bool[N]: which of its items are hidden."""
        return {name: hide[at.sequence, at.row, at.step] for name, at in batch.dense.items() if name in self.predicted}

    def cell_nats(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """float64[B, K, S] and bool[B, K, S]: log density of each hidden vector, in nats, and the cells that have one.

        By the change of variables (Chen et al. 2018, arXiv:1806.07366): the density of the noise that the flow, run
        backwards, makes of the vectors, less the divergence on the way, which is estimated with fixed random vectors
        (Grathwohl et al. 2019, arXiv:1810.01367). The sum over a grid is its log-likelihood; the share of one item in
        it depends on the others.
        """
        with torch.inference_mode(False), torch.enable_grad():
            return self._densities(_copied(batch))

    def _densities(self, batch: Batch) -> tuple[Tensor, Tensor]:
        hide = self.asked(batch)
        items = self.hidden_items(batch, hide)
        x = {name: self.scaled(name, batch.dense[name].values.float()) for name in items}
        probes = [
            {
                name: self._signs(batch, name, (number, k)).to(v) * items[name][:, None]
                for k, (name, v) in enumerate(x.items())
            }
            for number in range(self.numbers.probes)
        ]
        traces = {name: torch.zeros(len(v), dtype=torch.float64, device=v.device) for name, v in x.items()}
        size = 1 / self.numbers.steps
        for step in range(self.numbers.steps):
            now = 1 - step * size
            speed, _ = self._field(batch, x, now, hide, [])
            middle = {name: v - size / 2 * speed[name] for name, v in x.items()}
            speed, divergence = self._field(batch, middle, now - size / 2, hide, probes)
            x = {name: v - size * speed[name] for name, v in x.items()}
            traces = {name: traces[name] + size * divergence[name] for name in traces}
        nats = torch.zeros(hide.shape, dtype=torch.float64, device=hide.device)
        for name, hidden in items.items():
            at, width = batch.dense[name], x[name].shape[1]
            base = -0.5 * (x[name].double() ** 2).sum(1) - width * (
                0.5 * math.log(2 * math.pi) + math.log(self.numbers.std)
            )
            each = torch.where(hidden, base - traces[name], 0.0)
            nats = nats.index_put((at.sequence, at.row, at.step), each, True)
        return nats, hide

    def _signs(self, batch: Batch, name: str, seed: tuple[int, int]) -> Tensor:
        """float[N, W] of +1 and -1 that depend on an item's step alone: a batch is scored as single calls are."""
        at = batch.dense[name]
        step = batch.position[at.sequence, at.step].cpu()
        chance = torch.Generator().manual_seed(1000 * seed[0] + seed[1])
        most = int(step.max()) + 1 if len(step) else 0
        return (2 * torch.randint(0, 2, (most, self.widths[name]), generator=chance) - 1)[step]

    def _field(
        self, batch: Batch, x: Mapping[str, Tensor], now: float, hide: Tensor, probes: list[dict[str, Tensor]]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Velocities, and estimates of their divergence, float64[N], if there are probes."""
        leaves = {name: v.detach().requires_grad_() for name, v in x.items()}
        time = torch.full((1, 1), now, device=hide.device).expand(len(hide), 1)
        speed = self.velocity(batch, leaves, time, hide)
        found = {name: torch.zeros(len(v), dtype=torch.float64, device=v.device) for name, v in x.items()}
        for probe in probes:
            dot = torch.stack([(speed[name].float() * probe[name]).sum() for name in leaves]).sum()
            pulled = torch.autograd.grad(dot, list(leaves.values()), retain_graph=True)
            for name, back in zip(leaves, pulled, strict=True):
                found[name] = found[name] + (back.double() * probe[name]).sum(1) / len(probes)
        return {name: v.detach().float() for name, v in speed.items()}, found


def _copied(batch: Batch) -> Batch:
    """The same numbers in tensors that gradients may pass."""
    dense = {
        name: replace(d, sequence=d.sequence.clone(), row=d.row.clone(), step=d.step.clone(), values=d.values.clone())
        for name, d in batch.dense.items()
    }
    return replace(
        batch,
        tokens=batch.tokens.clone(),
        role=batch.role.clone(),
        segment=batch.segment.clone(),
        position=batch.position.clone(),
        dense=dense,
    )
