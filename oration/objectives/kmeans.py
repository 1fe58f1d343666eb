"""k-means as an objective of the common loop: nothing to differentiate, so the loop only feeds it batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from oration.core import BadInput, Loss, Spec
from oration.nn.kmeans import MiniBatchKMeans, nearest, residual


class Features(Protocol):
    """What k-means asks of an encoder."""

    rate: int
    hop: int

    def features(self, samples: Tensor) -> Tensor: ...


class Centroids(Protocol):
    """What k-means reads and sets: `UnitsModel` has it, and `MelRvqModel` with several levels."""

    encoder: Features
    mean: Tensor
    scale: Tensor
    centroids: Tensor
    """float[K, D], or float[levels, K, D]: each level then says what those before it left over."""
    spread: Tensor
    """The mean squared distance: float[] or float[levels]."""

    def normal(self, features: Tensor) -> Tensor: ...

    def eval(self) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True)
class KMeans:
    """Fits the centroids of `Units` or of a codec to its encoder's features, whose weights stay as they are.

    The loss is the mean squared distance of a frame to its centroid (to the sum of its codewords), in their own scale.
    """

    standardise: bool = False
    """Divide each dimension by its own standard deviation first, not all by one; noise then weighs as much."""
    start: int = 40
    """Frames per cluster collected for the k-means++ start."""
    memory: int = 400
    """Frames per cluster that a centroid's place rests on."""
    rare: float = 0.02
    """Clusters with less than this share of the mean number of frames begin anew."""
    settle: float = 0.8
    """Share of the budget after which no cluster begins anew."""

    @classmethod
    def tiny(cls) -> KMeans:
        """Small enough for a few seconds of sound."""
        return cls(start=2, memory=10)

    def build(self, part: nn.Module, specs: Mapping[str, Spec]) -> KMeansModel:
        """What is remembered while fitting a part with `centroids`.

        Raises:
            BadInput: the part has no centroids.
        """
        centroids = getattr(part, "centroids", None)
        if not isinstance(centroids, Tensor):
            raise BadInput(f"k-means fits centroids, but {type(part).__name__} has none; train 'units' with it")
        return KMeansModel(self, *_levels(centroids).shape)


class KMeansModel(nn.Module):
    """What is remembered while fitting."""

    def __init__(self, numbers: KMeans, levels: int, clusters: int, dim: int) -> None:
        super().__init__()
        self.numbers = numbers

        def fit(start: int) -> MiniBatchKMeans:
            return MiniBatchKMeans(clusters, dim, start=start, memory=numbers.memory, rare=numbers.rare)

        self.fit = fit(numbers.start)
        self.deeper = nn.ModuleList(fit(0) for _ in range(levels - 1))  # they start from the pool of the first

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """Nothing for an optimizer."""
        return {"model": []}

    @torch.no_grad()
    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """One loss a batch of crops: `wave` and `seconds`."""
        units = cast(Centroids, part)
        units.eval()
        frames = _frames(units.encoder, batch)
        if self.training and self.fit.started:
            distance = self._update(units, units.normal(frames), reseed=progress < self.numbers.settle)
        else:
            if self.training:
                self._collect(units, frames, progress)
            distance = residual(units.normal(frames), _levels(units.centroids))[1].mean(1)
        named = {f"level {level}": value for level, value in enumerate(distance)} if len(distance) > 1 else {}
        yield "model", Loss(distance[-1], {"perplexity": self._perplexity(), **named})

    def _update(self, units: Centroids, x: Tensor, *, reseed: bool) -> Tensor:
        """Move the centroids of every level by float[N, D]; their mean squared distances before, float[levels]."""
        distances = []
        for fit, centroids in zip(self._fits(), _levels(units.centroids), strict=True):
            distances.append(fit.update(x, centroids, reseed=reseed).mean())
            x = x - centroids[nearest(x, centroids)[1]]
        distance = torch.stack(distances)
        units.spread.lerp_(distance.view_as(units.spread), 0.02)
        return distance

    def _fits(self) -> list[MiniBatchKMeans]:
        return [self.fit, *cast(Iterable[MiniBatchKMeans], self.deeper)]

    def _perplexity(self) -> float:
        """exp of the entropy of the clusters' shares: how many are used in effect; 0 before the start."""
        share = self.fit.mass / self.fit.mass.sum().clamp(min=1e-9)
        return float(torch.special.entr(share).sum().exp()) if self.fit.started else 0.0

    def _collect(self, units: Centroids, frames: Tensor, progress: float) -> None:
        full = self.fit.collect(frames)
        seen = int(self.fit.filled)
        if not full and (progress < 0.2 or seen < self.fit.clusters):
            if progress >= 0.9:
                raise BadInput(
                    f"k-means saw {seen} frames for {self.fit.clusters} clusters when its budget was nearly spent, "
                    "expected one a cluster at the very least; give it more steps or larger batches"
                )
            return
        pool = self.fit.collected()
        deviation = pool.std(0) if self.numbers.standardise else pool.var(0).mean().sqrt().expand(pool.shape[1])
        units.mean.copy_(pool.mean(0))
        units.scale.copy_(1 / deviation.clamp(min=1e-4))
        x, spreads = units.normal(pool), []
        for fit, centroids in zip(self._fits(), _levels(units.centroids), strict=True):
            found, spread = fit.start(x)
            centroids.copy_(found)
            spreads.append(spread)
            x = x - centroids[nearest(x, centroids)[1]]
        units.spread.copy_(torch.stack(spreads).view_as(units.spread))


def _levels(centroids: Tensor) -> Tensor:
    """float[K, D] or float[L, K, D] -> a view float[L, K, D], L = 1 for the former."""
    return centroids.view(-1, *centroids.shape[-2:])


def _frames(encoder: Features, batch: Mapping[str, Tensor]) -> Tensor:
    """float[N, D]: the features of all crops, those of padding left out; in float32, as units are encoded."""
    with torch.autocast(batch["wave"].device.type, enabled=False):
        features = encoder.features(batch["wave"]).float()
    at = torch.arange(features.shape[1], device=features.device)
    return features[at < (batch["seconds"] * encoder.rate / encoder.hop)[:, None]]
