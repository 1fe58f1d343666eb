"""Mean and variance of a continuous stream, learned from a little data: nothing to differentiate, one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from oration.core import BadInput, Loss, Spec


class Scaled(Protocol):
    """What it reads and sets; `SpeechModel` has it."""

    rate: int
    hop: int
    mean: Tensor
    scale: Tensor

    def features(self, samples: Tensor) -> Tensor: ...

    def eval(self) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True)
class Standardise:
    """Sets `mean` and `scale` of `Speech` or `Segments`, so that each dimension has mean 0 and variance 1.

    The loss is the mean square of the standardised vectors: 1 once enough is seen. Constant dimensions stay small.
    """

    least: float = 1e-3
    """The smallest standard deviation that is divided by."""

    @classmethod
    def tiny(cls) -> Standardise:
        return cls()

    def build(self, part: nn.Module, specs: Mapping[str, Spec]) -> StandardiseModel:
        """What is remembered while fitting.

        Raises:
            BadInput: the part has no scale of its own.
        """
        mean = getattr(part, "mean", None)
        if not isinstance(mean, Tensor) or mean.ndim != 1 or hasattr(part, "centroids"):
            raise BadInput(
                f"Standardise sets the scale of vectors, but {type(part).__name__} gives none; train 'speech' with it"
            )
        return StandardiseModel(self, len(mean))


class StandardiseModel(nn.Module):
    """Sums over all vectors so far, as buffers, so that an interrupted fit resumes exactly."""

    def __init__(self, numbers: Standardise, dim: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.sums: Tensor
        self.count: Tensor
        self.register_buffer("sums", torch.zeros(2, dim, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """Nothing for an optimizer."""
        return {"model": []}

    @torch.no_grad()
    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """One loss a batch of crops: `wave` and `seconds`."""
        scaled = cast(Scaled, part)
        scaled.eval()
        with torch.autocast(batch["wave"].device.type, enabled=False):
            vectors = scaled.features(batch["wave"]).double()
        at = torch.arange(vectors.shape[1], device=vectors.device)
        vectors = vectors[at < (batch["seconds"] * scaled.rate / scaled.hop)[:, None]]
        if self.training and len(vectors):
            self.count += len(vectors)
            self.sums += torch.stack([vectors.sum(0), vectors.square().sum(0)])
            mean = self.sums[0] / self.count
            variance = (self.sums[1] / self.count - mean.square()).clamp(min=self.numbers.least**2)
            scaled.mean.copy_(mean)
            scaled.scale.copy_(variance.rsqrt())
        square = ((vectors - scaled.mean) * scaled.scale).square()
        yield "model", Loss(square.mean() if len(vectors) else square.sum(), {"vectors": float(self.count)})
