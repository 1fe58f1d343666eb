"""Hide a part of a grid and predict it: for models that fill in. Knows roles and rows, not layouts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput, Batch, Loss, Spec
from oration.lms.infill import InfillModel


@dataclass(frozen=True, kw_only=True)
class Masked:
    """SoundStorm's objective (Borsos et al. 2023, arXiv:2305.09636, 3.2): nats per hidden cell of one level.

    Of each grid a level is drawn. The levels above it on the grid, coarser ones, are seen, a share of it is hidden, and
    the levels below it are hidden whole. What stands before a random step is seen in any case: it plays the prompt. A
    level is a row with predicted cells.

    On held-out data every level is asked in turn, so that two measurements differ by the model alone.
    """

    schedule: Literal["cosine", "linear", "all"] = "cosine"
    """The share that is hidden: cos(pi / 2 u) or 1 - u for a random u, or everything."""
    levels: bool = True
    """False: all predicted rows are hidden by one share and asked at once (a single row has no levels anyway)."""
    prompt: float = 1.0
    """The random beginning ends anywhere within this part of the grid; 0: nothing is seen beforehand."""
    drop: float = 0.0
    """How often the given streams (or those of `Task.condition`) are left out, so that a generator may use guidance."""

    def __post_init__(self) -> None:
        if not (0 <= self.prompt <= 1 and 0 <= self.drop < 1 and self.schedule in ("cosine", "linear", "all")):
            raise BadInput(
                f"{self!r}: expected a prompt from 0 to 1, a drop from 0 to below 1 and a schedule that is cosine, "
                "linear or all"
            )

    @classmethod
    def tiny(cls) -> Masked:
        """Small enough for tests."""
        return cls()

    def build(self, part: Any, specs: Mapping[str, Spec]) -> MaskedModel:
        """`part`: the `InfillModel` to train.

        Raises:
            BadInput: a causal model, or one that predicts vectors.
        """
        return MaskedModel(self, part)


@dataclass(frozen=True, kw_only=True)
class NextLevel:
    """VALL-E's objective for all levels but the first (Wang et al. 2023, arXiv:2301.02111, 4.2.2): one level, whole.

    The level is drawn for each grid; the levels above it are seen, and so is the acoustic prompt at the beginning.
    """

    prompt: float = 0.3
    """The prompt ends anywhere within this part of the grid. The paper: 3 s of recordings cropped to 10 to 20 s."""
    drop: float = 0.0
    """How often the given streams are left out."""

    @classmethod
    def tiny(cls) -> NextLevel:
        """Small enough for tests."""
        return cls()

    def build(self, part: Any, specs: Mapping[str, Spec]) -> MaskedModel:
        """As `Masked.build`."""
        return MaskedModel(Masked(schedule="all", prompt=self.prompt, drop=self.drop), part)


@dataclass(frozen=True, eq=False)
class Masking:
    """Which cells of a batch are hidden, and which of them are asked."""

    hide: Tensor
    """bool[B, K, S]"""
    chosen: Tensor
    """bool[B, K, S]: the cells in the loss; all of them are hidden."""
    stage: Tensor
    """long[B, S]: the row asked in each step's grid, -1 for all."""
    drop: Tensor | None
    """bool[B, K, S]: given cells that are left out; None: none."""


class MaskedModel(nn.Module):
    """`Masked` or `NextLevel`, built. It has no weights of its own."""

    def __init__(self, config: Masked, part: Any) -> None:
        super().__init__()
        self.config = config
        if not isinstance(part, InfillModel):
            raise BadInput(
                f"masked prediction trains a model that looks both ways, but {part.config.name!r} is a "
                f"{type(part).__name__}; build its body with causal=False, or train it by CrossEntropy"
            )
        for name in part.predicted:
            if name in part.widths:
                raise BadInput(
                    f"masked prediction is for symbols, but {part.config.name!r} predicts the vectors of {name!r}; "
                    "give it the head Velocity and train it by MaskedFlow"
                )

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """One optimizer for everything."""
        return {"model": list(part.parameters())}

    def losses(self, part: InfillModel, batch: Batch, progress: float) -> Iterator[tuple[str, Loss]]:
        """One step of one optimizer."""
        yield "model", self(part, batch)

    def forward(self, part: InfillModel, batch: Batch) -> Loss:
        """The loss of one batch.

        Raises:
            BadInput: the batch has no cell to predict.
        """
        asked = part.asked(batch)
        if not bool(asked.any()):
            raise BadInput("a batch has no cell to predict; check the task's `predict` and the streams of its examples")
        plan = Plan(self.config, part, batch, asked)
        if self.training or not self.config.levels:
            return _loss(part, batch, [plan.masking(plan.drawn, training=self.training)])
        found = [k for k in range(len(part.rows)) if bool(asked[:, k].any())]
        return _loss(part, batch, [plan.masking(torch.full_like(plan.drawn, k)) for k in found])


def _loss(part: InfillModel, batch: Batch, maskings: list[Masking]) -> Loss:
    """Each masking is one pass of the model; passes count alike."""
    totals, sums = [], dict[str, list[float]]()
    for masking in maskings:
        hidden = part.hidden(batch, masking.hide, masking.stage, masking.drop)
        nats = []
        for k, vocab in enumerate(part.vocabs.values()):
            sequence, step = masking.chosen[:, k].nonzero(as_tuple=True)
            if not len(step):
                continue
            tokens = batch.tokens[sequence, :, step]
            logits = part.row_logits(hidden[sequence, step], tokens, k)
            nats.append(F.cross_entropy(logits.float(), tokens[:, k], reduction="none"))
            for name in filter(vocab.ranges.__contains__, part.streams):
                first, past = vocab.ranges[name]
                inside = nats[-1].detach()[(tokens[:, k] >= first) & (tokens[:, k] < past)]
                if len(inside):
                    before = sums.setdefault(name, [0.0, 0.0])
                    sums[name] = [before[0] + float(inside.sum()), before[1] + len(inside)]
        totals.append(torch.cat(nats).mean())
    return Loss(torch.stack(totals).mean(), {name: total / count for name, (total, count) in sums.items()})


class Plan:
    """The chances of one batch, from torch's global generator: a level, a beginning and a share for each grid."""

    def __init__(self, config: Masked, part: InfillModel, batch: Batch, asked: Tensor) -> None:
        self.config, self.part, self.batch, self.asked = config, part, batch, asked
        device, most = asked.device, int(batch.segment.max()) + 1
        line = torch.arange(len(asked), device=device)[:, None]
        self.grid = line * most + batch.segment.clamp(min=0)
        """long[B, S]: the number of each step's grid in the batch."""
        self.grids = len(asked) * most
        chance = torch.rand(self.grids, len(part.rows) + 3).to(device)
        self.begin, self.share, self.empty = chance[:, 0], chance[:, 1], chance[:, 2]
        self.cell = torch.rand(asked.shape).to(device)
        """float[B, K, S]: the cells with the lowest chances are hidden first."""
        has = torch.zeros(self.grids, asked.shape[1], device=device)
        has.index_add_(0, self.grid.flatten(), asked.transpose(1, 2).flatten(0, 1).float())
        self.drawn = chance[:, 3:].masked_fill(has == 0, -1.0).argmax(1)
        """long[G]: one of the levels that a grid has."""

    def masking(self, level: Tensor, *, training: bool = False) -> Masking:
        """With this level, long[G], asked of each grid."""
        rows = torch.arange(self.asked.shape[1], device=self.asked.device)[None, :, None]
        at = level[self.grid][:, None] if self.config.levels else torch.full_like(rows, -1)
        mine = self.asked & (rows == at) if self.config.levels else self.asked
        late = self._late(mine.any(1))[:, None]
        mine = mine & late
        # Of every grid at least one cell is hidden: the one with the lowest chance.
        cell = self.cell.masked_fill(~mine, 2.0)
        lowest = torch.full((self.grids,), 2.0, device=cell.device)
        lowest = lowest.scatter_reduce(0, self.grid.flatten(), cell.amin(1).flatten(), "amin")
        chosen = mine & ((cell < self._shares()[self.grid][:, None]) | (cell == lowest[self.grid][:, None]))
        hide = chosen | (self.asked & late & (rows > at)) if self.config.levels else chosen
        stage = level[self.grid] if self.config.levels else torch.full_like(self.grid, -1)
        drop = None
        if training and self.config.drop:
            drop = self.part.condition_of(self.batch) & (self.empty < self.config.drop)[self.grid][:, None]
        return Masking(hide, chosen, stage, drop)

    def _shares(self) -> Tensor:
        """float[G]: which share of the asked level is hidden."""
        if self.config.schedule == "all":
            return torch.full_like(self.share, 2.0)
        return torch.cos(self.share * math.pi / 2) if self.config.schedule == "cosine" else 1 - self.share

    def _late(self, mine: Tensor) -> Tensor:
        """bool[B, S]: the steps behind the random beginning of their grid; `mine`, bool[B, S]: where it has cells."""
        at = self.grid[mine]
        where = self.batch.position[mine]
        first = torch.full((self.grids,), 2**40, device=mine.device).scatter_reduce(0, at, where, "amin")
        last = torch.full((self.grids,), -1, device=mine.device).scatter_reduce(0, at, where, "amax")
        begin = first + (self.begin * self.config.prompt * (last - first + 1)).long()
        return self.batch.position >= begin.minimum(last)[self.grid]
