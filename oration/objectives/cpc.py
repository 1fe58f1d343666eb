"""InfoNCE: tell the frame that follows in k steps from other frames (van den Oord et al. 2018, arXiv:1807.03748)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import Loss, Spec
from oration.objectives.frames import encoder_of


@dataclass(frozen=True, kw_only=True)
class Cpc:
    """Trains a `CausalEncoder` (or the one inside `Units`) without labels. Nats per prediction.

    The other frames are all those of the same crop: one speaker, one microphone, so that neither helps to tell them
    apart (Riviere et al. 2020, arXiv:2002.02848, section 2). Guessing costs ln(frames in a crop).
    """

    steps: int = 12
    """Predictions 1 to `steps` frames ahead (20 ms each)."""

    @classmethod
    def tiny(cls) -> Cpc:
        return cls(steps=3)

    def build(self, part: nn.Module, specs: Mapping[str, Spec]) -> CpcModel:
        """The predictors; no stream but the recording is needed."""
        return CpcModel(self, encoder_of(part).dim)


class CpcModel(nn.Module):
    """One linear predictor for each distance."""

    def __init__(self, numbers: Cpc, dim: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.predictors = nn.Linear(dim, numbers.steps * dim, bias=False)

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """One optimizer for the encoder and the predictors."""
        return {"model": [*encoder_of(part).parameters(), *self.parameters()]}

    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """One loss a batch of crops: `wave` and `seconds`."""
        encoder = encoder_of(part)
        if self.training:
            encoder.calibrate(batch["wave"], batch["seconds"])
        latent = encoder.latent(encoder.normal(encoder.mels(batch["wave"])))
        context = encoder.context(latent)
        latent = latent[:, : context.shape[1]]
        known = (
            torch.arange(latent.shape[1], device=latent.device)
            < (batch["seconds"] * encoder.rate / encoder.hop)[:, None]
        )
        predicted = self.predictors(context).unflatten(-1, (self.numbers.steps, -1))
        nats, right, count = latent.new_zeros(()).float(), latent.new_zeros(()).float(), 0
        for ahead in range(1, min(self.numbers.steps, latent.shape[1] - 1) + 1):
            scores = predicted[:, :-ahead, ahead - 1] @ latent.mT / math.sqrt(latent.shape[2])
            scores = scores.float().masked_fill(~known[:, None], -math.inf)
            truth = torch.arange(ahead, latent.shape[1], device=latent.device).expand(len(latent), -1)
            scores, truth = scores[known[:, ahead:]], truth[known[:, ahead:]]
            nats = nats + F.cross_entropy(scores, truth, reduction="sum")
            right = right + (scores.argmax(1) == truth).sum()
            count += len(truth)
        yield "model", Loss(nats / max(1, count), {"accuracy": right / max(1, count)})
