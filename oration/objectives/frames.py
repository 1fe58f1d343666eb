"""Cross-entropy of frames against labels known for each frame, as phones from a forced alignment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput, Loss, Spec


class FrameEncoder(Protocol):
    """What an objective asks of an encoder of sound; `CausalEncoderModel` has it."""

    rate: int
    hop: int

    @property
    def dim(self) -> int: ...

    def calibrate(self, samples: Tensor, seconds: Tensor) -> None: ...

    def mels(self, samples: Tensor) -> Tensor: ...

    def normal(self, mels: Tensor) -> Tensor: ...

    def latent(self, normal: Tensor) -> Tensor: ...

    def context(self, latent: Tensor) -> Tensor: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


def encoder_of(part: nn.Module) -> FrameEncoder:
    """The encoder that an objective trains: the part itself, or the one it holds (`Units`)."""
    return cast(FrameEncoder, getattr(part, "encoder", part))


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Mild changes of the sound that leave its phones alone. Chance comes from torch's global generator."""

    gain: float = 6.0
    """dB, louder or softer."""
    noise: tuple[float, float] = (10.0, 40.0)
    """Signal-to-noise ratio of added noise in dB, lowest and highest; its spectrum falls by 0 to 6 dB an octave."""
    noisy: float = 0.5
    """Share of recordings with noise."""
    warp: float = 0.08
    """Largest relative stretch of the mel axis, for vocal tracts of other lengths (Jaitly & Hinton 2013)."""
    tilt: float = 0.3
    """Nats by which the spectral balance may change, for other microphones."""
    time_masks: int = 2
    time_width: int = 10
    """Frames of 10 ms that a mask may hide (SpecAugment, Park et al. 2019, arXiv:1904.08779)."""
    band_masks: int = 2
    band_width: int = 10
    """Mel bands that a mask may hide."""

    def sound(self, samples: Tensor) -> Tensor:
        """float[B, T] -> float[B, T]: another level, and noise for some."""
        n, length = samples.shape
        device = samples.device
        gain, snr, slope, chance = torch.rand(4, n, 1, device=device)
        low, high = self.noise
        spectrum = torch.fft.rfft(torch.randn(n, length, device=device))
        falling = torch.arange(1, spectrum.shape[1] + 1, device=device).log() * -slope
        noise = torch.fft.irfft(spectrum * falling.exp(), length)
        wanted = _level(samples) * 10 ** (-(low + (high - low) * snr) / 20)
        noise = noise / _level(noise).clamp(min=1e-9) * wanted
        return (samples + noise * (chance < self.noisy)) * 10 ** ((gain * 2 - 1) * self.gain / 20)

    def bands(self, mels: Tensor) -> Tensor:
        """Natural log-mel float[B, M, bands] -> the same of another voice at another microphone."""
        n, _, bands = mels.shape
        at = torch.arange(bands, device=mels.device, dtype=mels.dtype)
        stretch = 1 + (torch.rand(n, 1, device=mels.device) * 2 - 1) * self.warp
        source = (at * stretch).clamp(max=bands - 1)
        weights = (1 - (source[:, :, None] - at).abs()).clamp(min=0)
        curves = torch.stack([torch.cos(math.pi * order * (at + 0.5) / bands) for order in (1, 2, 3)])
        height = (torch.rand(n, 3, 1, device=mels.device) * 2 - 1) * self.tilt
        with torch.autocast(mels.device.type, enabled=False):
            return mels @ weights.mT + (height * curves).sum(1, keepdim=True)

    def hide(self, normal: Tensor) -> Tensor:
        """Normalised log-mel float[B, M, bands], some frames and bands of it set to the mean."""
        for masks, width, dim in ((self.time_masks, self.time_width, 1), (self.band_masks, self.band_width, 2)):
            size = normal.shape[dim]
            at = torch.arange(size, device=normal.device)
            for _ in range(masks):
                long = torch.rand(len(normal), 1, device=normal.device) * width
                start = torch.rand(len(normal), 1, device=normal.device) * (size - long).clamp(min=0)
                hidden = (at >= start) & (at < start + long)
                normal = normal.masked_fill(hidden.unsqueeze(3 - dim), 0.0)
        return normal


def _level(samples: Tensor) -> Tensor:
    return samples.square().mean(1, keepdim=True).sqrt()


@dataclass(frozen=True, kw_only=True)
class FrameCrossEntropy:
    """Trains a `CausalEncoder` (or the one inside `Units`) to name the label of every frame.

    A linear head of its own; the label -1 is not scored. Nats per frame.
    """

    stream: str = "phones.frames"
    """Regular stream of labels, at the encoder's frame rate."""
    smoothing: float = 0.1
    """Share of the target spread over all labels (Szegedy et al. 2016, section 7)."""
    augment: Augment | None = field(default_factory=Augment)

    @classmethod
    def tiny(cls) -> FrameCrossEntropy:
        return cls()

    def build(self, part: nn.Module, specs: Mapping[str, Spec]) -> FrameCrossEntropyModel:
        """The head, for as many labels as `specs` gives the stream.

        Raises:
            BadInput: the data has no such stream.
        """
        if self.stream not in specs:
            raise BadInput(f"frame cross-entropy needs the stream {self.stream!r}, but the data gives {sorted(specs)}")
        return FrameCrossEntropyModel(self, encoder_of(part).dim, specs[self.stream].size)


class FrameCrossEntropyModel(nn.Module):
    """The head and the loss."""

    def __init__(self, numbers: FrameCrossEntropy, dim: int, labels: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.head = nn.Linear(dim, labels)

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """One optimizer for the encoder and the head."""
        return {"model": [*encoder_of(part).parameters(), *self.parameters()]}

    def logits(self, encoder: FrameEncoder, samples: Tensor, seconds: Tensor) -> Tensor:
        """float[B, T] at the encoder's rate -> float[B, F, labels]; augmented while training."""
        augment = self.numbers.augment if self.training else None
        if self.training:
            encoder.calibrate(samples, seconds)
        if augment is None:
            normal = encoder.normal(encoder.mels(samples))
        else:
            normal = augment.hide(encoder.normal(augment.bands(encoder.mels(augment.sound(samples)))))
        return self.head(encoder.context(encoder.latent(normal)))

    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """One loss a batch of crops: `wave`, `seconds` and the stream of labels, long[B, F] padded with -1."""
        logits = self.logits(encoder_of(part), batch["wave"], batch["seconds"])
        labels = batch[self.numbers.stream]
        frames = min(labels.shape[1], logits.shape[1])
        labels, logits = labels[:, :frames], logits[:, :frames].float()
        scored = labels >= 0
        chances = F.log_softmax(logits[scored], -1)
        truth = labels[scored]
        count = max(1, len(truth))
        nats = -chances.gather(1, truth[:, None]).sum() / count
        even = -chances.mean(1).sum() / count
        share = self.numbers.smoothing if self.training else 0.0
        right = (chances.argmax(1) == truth).sum() / count
        yield "model", Loss((1 - share) * nats + share * even, {"nats": nats.detach(), "accuracy": right})
