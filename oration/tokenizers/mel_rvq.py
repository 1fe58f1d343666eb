"""A codec without a neural net: log-mel frames, quantised level by level with k-means, and Griffin-Lim on the way back.

It has the streams, rates and sizes of a neural codec (residual vector quantisation as in Zeghidour et al. 2021,
arXiv:2107.03312, section III-C) and stands in for one: fitted in minutes on a CPU, understood but not admired.

    mel (hop)    | | | | | | | |      stacked until an item lasts 1 / rate
    item         [     0     ][ ...   codec.0  the nearest of `size` codewords
                                      codec.1  the nearest to what codec.0 left over, and so on
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from oration.audio.griffin_lim import griffin_lim
from oration.audio.live import LiveVectors, at_rest
from oration.audio.mel import LogMel
from oration.core import BadInput, Example, Spec, Stream, Waveform
from oration.core.decoder import Decoder
from oration.nn.kmeans import residual
from oration.tokenizers.grouped import GroupedModel, MelFrames

RATES = (16_000, 24_000, 44_100, 22_050, 48_000)
"""Hz that sound may be brought to; the first in which an item has a whole number of samples is taken."""
HOP = 0.0135
"""Seconds from one log-mel to the next, at most."""


@dataclass(frozen=True, kw_only=True)
class MelRvq:
    """`levels` streams `codec.0`, `codec.1` ... of `size` symbols, `rate` a second each."""

    levels: int = 8
    size: int = 1024
    rate: float = 75.0
    """Items a second: 12.5, 25, 50, 75, or 44100 / 2048 (21.5) and other samplings of a whole number of samples."""
    bands: int = 80
    stream: str = "codec"
    prefix: str = ""
    """Before each name, such as `user.`"""
    hertz: int | None = None
    """Samples a second of the sound; None: the first of `RATES` that has a whole number of samples an item."""
    iterations: int = 32
    """Of Griffin-Lim."""

    def __post_init__(self) -> None:
        if self.levels < 1 or self.size < 2 or self.rate <= 0:
            raise BadInput(
                f"a codec needs levels >= 1, size >= 2, rate > 0; got {self.levels}, {self.size} and {self.rate}"
            )
        if Fraction(self.sampling, 1) % Fraction(self.rate):
            raise BadInput(
                f"an item of a codec has a whole number of samples, but {self.sampling} Hz / {self.rate} a second is "
                f"{self.sampling / self.rate:.3f}; give another rate, or hertz that it divides"
            )

    def tiny(self) -> MelRvq:
        """As many levels at the same rate, of few symbols."""
        return replace(self, size=min(self.size, 16), bands=min(self.bands, 20), iterations=2)

    @property
    def sampling(self) -> int:
        """Hz of the sound it takes and gives."""
        whole = (hertz for hertz in RATES if Fraction(hertz) % Fraction(self.rate) == 0)
        return self.hertz or next(whole, RATES[0])

    @property
    def stack(self) -> int:
        """Log-mels in an item."""
        span = int(self.sampling / Fraction(self.rate))
        fewest = math.ceil(span / (HOP * self.sampling))
        return next(n for n in range(fewest, span + 1) if span % n == 0)

    @property
    def mel(self) -> LogMel:
        """The transform, whose window is 2.5 hops, as usual."""
        hop = int(self.sampling / Fraction(self.rate)) // self.stack
        window = max(hop, 5 * hop // 2)
        return LogMel(rate=self.sampling, bands=self.bands, window=window, hop=hop, fft=2 ** (window - 1).bit_length())

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the levels, the coarsest first."""
        return tuple(f"{self.prefix}{self.stream}.{level}" for level in range(self.levels))

    def specs(self) -> dict[str, Spec]:
        return dict.fromkeys(self.streams, Spec(self.size, self.rate))

    needs = ("wave",)

    def vocoder(self) -> Decoder:
        """For `Recipe.vocoder`."""
        return Decoder(of=self.streams[0], needs=self.streams, rate=self.sampling)

    def build(self) -> MelRvqModel:
        return MelRvqModel(self)


class MelRvqModel(nn.Module):
    """Codebooks of a `MelRvq`. `objectives.KMeans` sets `mean`, `scale` and `centroids`; until then they are random."""

    needs = ("wave",)

    def __init__(self, numbers: MelRvq) -> None:
        super().__init__()
        self.numbers = numbers
        self.encoder = GroupedModel(MelFrames(numbers.mel), numbers.stack)
        self.mean: Tensor
        self.scale: Tensor
        self.centroids: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.full((self.encoder.dim,), -5.0))
        self.register_buffer("scale", torch.full((self.encoder.dim,), 0.5))
        # What a level leaves over is smaller than what it was given, also where nothing is fitted yet.
        shrink = 0.6 ** torch.arange(numbers.levels)[:, None, None]
        self.register_buffer("centroids", torch.randn(numbers.levels, numbers.size, self.encoder.dim) * shrink)
        self.register_buffer("spread", torch.ones(numbers.levels))

    @property
    def rate(self) -> int:
        """Hz of the sound."""
        return self.encoder.rate

    def specs(self) -> dict[str, Spec]:
        return self.numbers.specs()

    def normal(self, features: Tensor) -> Tensor:
        """Stacked log-mels float[..., D] in the scale that the codewords live in."""
        return (features.to(self.mean) - self.mean) * self.scale

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings at any rate -> ceil(seconds * rate) items each, one by one: a batch equals its members exactly."""
        live = LiveVectors(self.encoder)
        with at_rest(self):
            return [self.example(torch.cat([self.choose(v) for v in live.whole(wave)], 1)) for wave in waves]

    def choose(self, vectors: Tensor) -> Tensor:
        """Stacked log-mels float[F, D] -> long[levels, F]"""
        return residual(self.normal(vectors), self.centroids)[0]

    def example(self, ids: Tensor) -> Example:
        """long[levels, F] -> streams"""
        return {name: Stream(row) for name, row in zip(self.numbers.streams, ids.cpu().numpy(), strict=True)}

    def logmel(self, example: Example, *, levels: int | None = None) -> np.ndarray:
        """What the codewords stand for: float32[F, bands], `mel.frame_rate` a second, by the first `levels` levels.

        Raises:
            BadInput: the first level is missing, or an id is no codeword.
        """
        wanted = self.numbers.streams[:levels]
        names = [n for i, n in enumerate(wanted) if all(before in example for before in wanted[: i + 1])]
        if not names:
            raise BadInput(f"the codec decodes {wanted[0]!r} at least, but the example has {sorted(example)}")
        items = min(len(example[name]) for name in names)
        total = self.mean.new_zeros(items, self.encoder.dim)
        for level, name in enumerate(names):
            example[name].verify(name, Spec(self.numbers.size))
            total += self.centroids[level][torch.from_numpy(example[name].ids[:items]).to(total.device)]
        frames = (total / self.scale + self.mean).unflatten(1, (self.numbers.stack, -1)).flatten(0, 1)
        return frames.float().cpu().numpy()

    def decode(self, examples: Sequence[Example], *, levels: int | None = None) -> list[Waveform]:
        """Streams -> sound. An example may lack the last levels, or have them shorter: then less of it is said.

        Args:
            levels: use only so many.
        """
        mel, iterations = self.numbers.mel, self.numbers.iterations
        return [griffin_lim(self.logmel(example, levels=levels), mel, iterations) for example in examples]

    def live(self) -> LiveCodec:
        """The streaming form of `encode`, without delay beyond the item itself."""
        return LiveCodec(self)


class LiveCodec:
    """One recording to the items of all levels, in pieces of any length and at any one rate."""

    def __init__(self, model: MelRvqModel) -> None:
        self.model, self.vectors = model, LiveVectors(model.encoder)

    def push(self, wave: Waveform) -> list[Example]:
        """A piece -> the items that it completes, all levels together."""
        return self._example(self.vectors.push(wave))

    def flush(self) -> list[Example]:
        """The last item. Afterwards it is ready for another recording."""
        return self._example(self.vectors.flush())

    def _example(self, vectors: Tensor) -> list[Example]:
        with at_rest(self.model):
            return [self.model.example(self.model.choose(vectors))] if len(vectors) else []
