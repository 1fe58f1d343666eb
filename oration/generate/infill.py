"""Fill grids of symbols in: by confidence (SoundStorm) or level by level (VALL-E). Knows no layout and no vocoder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from oration.core import BadInput
from oration.generate.canvas import Canvas, Filler
from oration.generate.sampler import Sampler


@dataclass(frozen=True, kw_only=True)
class Confidence(Filler):
    """SoundStorm's decoding (Borsos et al. 2023, arXiv:2305.09636, 3.3), level by level.

    In each pass every hidden cell of the level is drawn, and the ones that the model is surest of are kept; how many
    stay hidden follows a cosine (Chang et al. 2022, arXiv:2202.04200). A level of one pass takes the likeliest symbols.
    """

    steps: tuple[int, ...] = (16, 1)
    """Passes for each predicted level; levels beyond take the last."""
    noise: float = 1.0
    """Gumbel noise on the log-probability by which cells are kept, fading to none with the last pass (ours)."""
    guidance: float = 1.0
    """Logits are moved away from those without the given streams (or those of `Task.condition`), by this factor; 1: as
    the sampler says. A model that was not trained with a `drop` knows nothing of it."""

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 1 or self.noise < 0:
            raise BadInput(f"{self!r}: expected at least one level, 1 pass or more for each, and noise of 0 or more")

    def fill(self, canvas: Canvas, sampler: Sampler | None) -> Iterator[int]:
        for number, k in enumerate(canvas.levels):
            passes = self.steps[min(number, len(self.steps) - 1)]
            fill_level(canvas, k, passes, (sampler or Sampler()) if passes > 1 else Sampler.greedy(), self)
            yield k


@dataclass(frozen=True, kw_only=True)
class Levels(Filler):
    """VALL-E's decoding of all levels but the first (Wang et al. 2023, arXiv:2301.02111, 4.2.2): one pass a level."""

    sample: bool = False
    """Draw by the sampler; by default the likeliest symbol is taken, as in the paper."""
    guidance: float = 1.0
    """As in `Confidence`."""

    def fill(self, canvas: Canvas, sampler: Sampler | None) -> Iterator[int]:
        how = Confidence(steps=(1,), guidance=self.guidance)
        for k in canvas.levels:
            fill_level(canvas, k, 1, (sampler or Sampler()) if self.sample else Sampler.greedy(), how)
            yield k


def fill_level(canvas: Canvas, k: int, passes: int, sampler: Sampler, how: Confidence) -> None:
    """Fill row k in so many passes, with the rows above it seen and those below it hidden."""
    lm, left = canvas.lm, canvas.asked[:, k].clone()
    total = left.sum(1)
    for number in range(passes):
        if not bool(left.any()):
            return
        sequence, step = left.nonzero(as_tuple=True)
        hide = canvas.asked.clone()
        hide[:, :k], hide[:, k] = False, left
        logits = lm.level(canvas.batch, k, hide)
        guidance = how.guidance if how.guidance != 1 else sampler.of(lm.rows[k]).guidance
        if guidance != 1:
            without = lm.level(canvas.batch, k, hide, canvas.condition)
            logits = without + guidance * (logits - without)
        chance = _chances(canvas, left)
        allowed = canvas.allowed(k, canvas.batch.tokens[sequence, k, step])
        logits = logits.float().cpu()
        tokens = sampler.of(lm.rows[k]).pick(logits, allowed, chance[0])
        canvas.write(k, sequence, step, tokens.to(sequence.device))
        if number + 1 == passes:
            return
        done = (number + 1) / passes
        logp = logits.double().masked_fill(~allowed, -torch.inf).log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
        sure = logp - how.noise * (1 - done) * torch.log(-torch.log(chance[1].clamp(1e-12, 1 - 1e-12)))
        remain = (total.cpu() * math.cos(math.pi / 2 * done)).long().minimum(left.sum(1).cpu() - 1).clamp(min=0)
        left = _least_sure(left, sure, remain)


def _chances(canvas: Canvas, left: Tensor) -> Tensor:
    """float64[2, n]: two numbers for each hidden cell, from its own sequence's chance."""
    counts = left.sum(1).tolist()
    drawn = [
        torch.rand(2, count, dtype=torch.float64, generator=chance)
        for chance, count in zip(canvas.chance, counts, strict=True)
        if count
    ]
    return torch.cat(drawn, 1)


def _least_sure(left: Tensor, sure: Tensor, remain: Tensor) -> Tensor:
    """bool[B, S]: of the hidden cells of each sequence the `remain`, long[B], that the model is least sure of."""
    scores = torch.full(left.shape, torch.inf, dtype=torch.float64)
    scores[left.cpu()] = sure
    rank = scores.argsort(stable=True, dim=1).argsort(dim=1)
    return left & (rank < remain[:, None]).to(left.device)
