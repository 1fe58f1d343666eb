"""What discriminators say of recordings and imitations, as losses for both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Verdict = Literal["hinge", "squares"]


@dataclass(frozen=True)
class Opinion:
    """Means over all the critics' parts, so that their number changes no weight."""

    critic: Tensor
    """For the critics: real above, fake below."""
    adversarial: Tensor
    """For the generator: fake above."""
    features: Tensor
    """L1 distance of activations, relative to those of the recording: Défossez et al. 2022, arXiv:2210.13438, 3.4."""


class Judges(nn.Module):
    """Critics that look at real and fake in one pass: both sides' losses come from the same scores.

    So the generator answers the critics as they were before this step's update of theirs, which saves a second look
    of theirs at both, and large batches are what small convolutions like.
    """

    def __init__(self, critics: tuple[nn.Module, ...], verdict: Verdict) -> None:
        super().__init__()
        self.critics, self.verdict = nn.ModuleList(critics), verdict

    def forward(self, real: Tensor, fake: Tensor) -> Opinion:
        """float[B, T] twice -> what each side has to minimise."""
        judged = [judgement for critic in self.critics for judgement in critic(torch.cat((real, fake)))]
        critic, adversarial = list[Tensor](), list[Tensor]()
        distances, sizes = list[Tensor](), list[Tensor]()
        for score, seen in judged:
            good, bad = score.float().chunk(2)
            critic.append(self._critic(good, bad))
            adversarial.append(-bad.mean() if self.verdict == "hinge" else (1 - bad).square().mean())
            for layer in seen:
                target, own = layer.chunk(2)
                target = target.detach()
                sizes.append(target.abs().mean(dtype=torch.float32))
                distances.append((own - target).abs().mean(dtype=torch.float32))
        features = (torch.stack(distances) / torch.stack(sizes).clamp_min(1e-3)).mean()
        return Opinion(torch.stack(critic).mean(), torch.stack(adversarial).mean(), features)

    def _critic(self, good: Tensor, bad: Tensor) -> Tensor:
        if self.verdict == "hinge":
            return F.relu(1 - good).mean() + F.relu(1 + bad).mean()
        return (1 - good).square().mean() + bad.square().mean()
