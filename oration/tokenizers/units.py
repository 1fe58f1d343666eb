"""Units: the features of an encoder, each given the number of the nearest of K centroids (k-means).

The encoder may be signal processing (`LogMelFeatures`, `MfccFeatures`) or learned (`PhoneticEncoder`, `CpcEncoder`).
`objectives.KMeans` fits the centroids; Lakhotia et al. 2021 (arXiv:2102.01192) made a language of such units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from oration.audio.live import Features, LiveVectors, at_rest
from oration.core import BadInput, Example, Spec, Stream, Waveform
from oration.nn.kmeans import squared_distances
from oration.tokenizers.grouped import Encoder, smallest
from oration.tokenizers.phonetic import PhoneticEncoder


@dataclass(frozen=True, kw_only=True)
class Units:
    """K symbols, `rate` a second."""

    encoder: Encoder = field(default_factory=PhoneticEncoder)
    clusters: int = 512
    stickiness: float = 0.0
    """Stay with the unit before, unless another is nearer by this many mean squared distances: fewer, longer runs."""
    stream: str = "units"
    rate: float = 50.0
    """Units a second, as the encoder gives them."""
    needs = ("wave",)

    def __post_init__(self) -> None:
        if self.clusters < 2 or self.stickiness < 0:
            raise BadInput(f"units need clusters >= 2, stickiness >= 0; got {self.clusters} and {self.stickiness}")

    def tiny(self) -> Self:
        """The same with few clusters of a tiny encoder."""
        return replace(self, encoder=smallest(self.encoder), clusters=min(self.clusters, 20))

    def specs(self) -> dict[str, Spec]:
        return {self.stream: Spec(self.clusters, self.rate)}

    def build(self) -> UnitsModel:
        return UnitsModel(self)


class UnitsModel(nn.Module):
    """An encoder and its centroids. Objectives train `encoder` first, then fit `mean`, `scale` and `centroids`."""

    needs = ("wave",)

    def __init__(self, numbers: Units) -> None:
        super().__init__()
        self.numbers = numbers
        self.encoder = numbers.encoder.build()
        given = self.encoder.rate / self.encoder.hop
        if given != numbers.rate:
            raise BadInput(f"units have the rate {numbers.rate}, but their encoder gives {given} a second; set that")
        self.mean: Tensor
        self.scale: Tensor
        self.centroids: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(self.encoder.dim))
        self.register_buffer("scale", torch.ones(self.encoder.dim))
        self.register_buffer("centroids", torch.randn(numbers.clusters, self.encoder.dim))
        self.register_buffer("spread", torch.ones(()))

    @property
    def rate(self) -> int:
        """Hz of the samples it takes."""
        return int(self.encoder.rate)

    def specs(self) -> dict[str, Spec]:
        return self.numbers.specs()

    def normal(self, features: Tensor) -> Tensor:
        """The encoder's features float[..., D] in the scale that the centroids live in."""
        return (features.to(self.mean) - self.mean) * self.scale

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings at any rate -> ceil(seconds * 50) units each, one by one: a batch equals its members exactly."""
        live = LiveUnits(self)
        with at_rest(self):
            return [{self.numbers.stream: Stream(live.whole(wave))} for wave in waves]

    def features(self, waves: Sequence[Waveform]) -> list[Stream]:
        """What the centroids divide, as a continuous stream float32[F, D] a recording (for ABX)."""
        live = LiveVectors(cast(Features, self.encoder))
        with at_rest(self):
            return [Stream.dense(self.normal(torch.cat([*live.whole(wave)])).cpu().numpy()) for wave in waves]

    def live(self) -> LiveUnits:
        """The streaming form. Its units equal those of `encode` unless a frame lies exactly between two centroids."""
        return LiveUnits(self)


class LiveUnits:
    """One recording to units, in pieces. Each push gives an example with the units that are final, if there are any."""

    def __init__(self, model: UnitsModel) -> None:
        self.model = model
        self.vectors = LiveVectors(cast(Features, model.encoder))
        self.last: int | None = None

    def whole(self, wave: Waveform) -> np.ndarray:
        """All units of a recording, int64[F]."""
        units = np.concatenate([self._choose(vectors) for vectors in self.vectors.whole(wave)])
        self.last = None
        return units

    def push(self, wave: Waveform) -> list[Example]:
        """A piece at any rate, the same for all pieces of a recording."""
        with at_rest(self.model):
            return self._example(self._choose(self.vectors.push(wave)))

    def flush(self) -> list[Example]:
        """The units that wait for sound yet to come. Afterwards it is ready for another recording."""
        with at_rest(self.model):
            last = self._example(self._choose(self.vectors.flush()))
        self.last = None
        return last

    def _choose(self, vectors: Tensor) -> np.ndarray:
        """float[f, D] -> int64[f], going on from the unit before."""
        if not len(vectors):
            return np.zeros(0, np.int64)
        model = self.model
        distance = squared_distances(model.normal(vectors), model.centroids)
        units = distance.argmin(1).cpu().numpy()
        if not model.numbers.stickiness:
            return units
        distances = distance.cpu().numpy()
        limit = distances.min(1) + model.numbers.stickiness * float(model.spread)
        for frame in range(len(units)):
            if self.last is not None and distances[frame, self.last] <= limit[frame]:
                units[frame] = self.last
            self.last = int(units[frame])
        return units

    def _example(self, units: np.ndarray) -> list[Example]:
        return [{self.model.numbers.stream: Stream(units)}] if len(units) else []
