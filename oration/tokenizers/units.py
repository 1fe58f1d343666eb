"""Units: the features of an encoder, each given the number of the nearest of K centroids (k-means).

The encoder may be signal processing (`LogMelFeatures`, `MfccFeatures`) or learned (`PhoneticEncoder`, `CpcEncoder`).
`objectives.KMeans` fits the centroids; Lakhotia et al. 2021 (arXiv:2102.01192) made a language of such units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from oration.audio.resample import Resampler
from oration.core import BadInput, Example, Spec, Stream, Waveform
from oration.nn.kmeans import squared_distances
from oration.tokenizers.encoder import LiveFeatures, at_rest
from oration.tokenizers.features import MfccFeatures
from oration.tokenizers.phonetic import PhoneticEncoder

BLOCK = 20.0
"""Seconds that `encode` works on at once: memory does not grow with the recording."""


class Encoder(Protocol):
    """The configuration of an encoder. Its module has `rate`, `hop`, `dim`, `features` and `live`."""

    def build(self) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True)
class Units:
    """K symbols at 50 Hz."""

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

    @classmethod
    def tiny(cls) -> Units:
        """Small enough for tests."""
        return cls(encoder=MfccFeatures.tiny(), clusters=20, stickiness=0.2)

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
        rate, hop, dim = (int(getattr(self.encoder, name)) for name in ("rate", "hop", "dim"))
        if rate != numbers.rate * hop:
            raise BadInput(f"units have rate {numbers.rate}, but their encoder gives {rate / hop} a second; set that")
        self.mean: Tensor
        self.scale: Tensor
        self.centroids: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.register_buffer("centroids", torch.randn(numbers.clusters, dim))
        self.register_buffer("spread", torch.ones(()))

    def specs(self) -> dict[str, Spec]:
        return self.numbers.specs()

    def normal(self, features: Tensor) -> Tensor:
        """The encoder's features float[..., D] with the scale that the centroids live in."""
        return (features.float() - self.mean) * self.scale

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings at any rate -> ceil(seconds * 50) units each, one by one: a batch equals its members exactly."""
        return [{self.numbers.stream: Stream(np.concatenate(list(self._encode(wave))))} for wave in waves]

    def _encode(self, wave: Waveform) -> Iterator[np.ndarray]:
        live = LiveUnits(self)
        for piece in pieces(wave):
            yield live.choose(live.vectors.push(piece))
        yield live.choose(live.vectors.flush())

    def features(self, waves: Sequence[Waveform]) -> list[Stream]:
        """What the centroids divide, as a continuous stream float32[F, D] a recording (for ABX)."""
        found = []
        for wave in waves:
            live = LiveVectors(self)
            vectors = [*map(live.push, pieces(wave)), live.flush()]
            found.append(Stream.dense(torch.cat(vectors).cpu().numpy()))
        return found

    def live(self) -> LiveUnits:
        """The streaming form. Its units equal those of `encode` unless a frame lies exactly between two centroids."""
        return LiveUnits(self)


def pieces(wave: Waveform, seconds: float = BLOCK) -> Iterator[Waveform]:
    """A recording in blocks, each a view."""
    size = max(1, round(seconds * wave.rate))
    for start in range(0, len(wave), size):
        yield Waveform(wave.samples[start : start + size], wave.rate)


class LiveVectors:
    """One recording through the encoder of a `UnitsModel`, in pieces of any length and at any one rate."""

    def __init__(self, model: UnitsModel) -> None:
        self.model = model
        self._reset()

    def _reset(self) -> None:
        self.resampler: Resampler | None = None
        self.encoder: LiveFeatures = self.model.encoder.live()  # type: ignore[operator]

    def push(self, wave: Waveform) -> Tensor:
        """A piece -> float[f, D].

        Raises:
            BadInput: its rate differs from that of the piece before.
        """
        if self.resampler is None:
            self.resampler = Resampler(wave.rate, int(self.model.encoder.rate))  # type: ignore[arg-type]
        if wave.rate != self.resampler.from_rate:
            before = self.resampler.from_rate
            raise BadInput(f"a live piece has {wave.rate} Hz, expected {before} Hz as those before; flush first")
        return self._push(self.resampler.push(wave.samples))

    def _push(self, samples: np.ndarray) -> Tensor:
        with at_rest(self.model):
            samples_here = torch.from_numpy(np.array(samples)).to(self.model.mean.device)
            return self.model.normal(self.encoder.push(samples_here))

    def flush(self) -> Tensor:
        """The rest, float[f, D]. Afterwards it is ready for another recording."""
        last = [] if self.resampler is None else [self._push(self.resampler.flush())]
        with at_rest(self.model):
            last.append(self.model.normal(self.encoder.flush()))
        self._reset()
        return torch.cat(last)


class LiveUnits:
    """One recording to units, in pieces. Each push gives an example with the units that are final, if there are any."""

    def __init__(self, model: UnitsModel) -> None:
        self.model = model
        self.vectors = LiveVectors(model)
        self.last: int | None = None

    def choose(self, vectors: Tensor) -> np.ndarray:
        """float[f, D] -> int64[f], going on from the unit before."""
        if not len(vectors):
            return np.zeros(0, np.int64)
        model = self.model
        distance = squared_distances(vectors, model.centroids)
        best = distance.argmin(1)
        if not model.numbers.stickiness:
            return best.cpu().numpy()
        distances, units = distance.cpu().numpy(), best.cpu().numpy()
        limit = distances.min(1) + model.numbers.stickiness * float(model.spread)
        for frame in range(len(units)):
            if self.last is not None and distances[frame, self.last] <= limit[frame]:
                units[frame] = self.last
            self.last = int(units[frame])
        return units

    def push(self, wave: Waveform) -> list[Example]:
        """A piece at any rate, the same for all pieces of a recording."""
        return self._example(self.choose(self.vectors.push(wave)))

    def flush(self) -> list[Example]:
        """The units that wait for sound yet to come. Afterwards it is ready for another recording."""
        last = self._example(self.choose(self.vectors.flush()))
        self.last = None
        return last

    def _example(self, units: np.ndarray) -> list[Example]:
        return [{self.model.numbers.stream: Stream(units)}] if len(units) else []
