"""Log-mel spectrograms that are causal, so that a live stream gives exactly what a file gives; MFCC; plain STFT.

Frame `i` sees the `window` samples that end at `(i + 1) * hop`, zeros before the start:

    samples   0 . . . . hop . . . . 2 hop . . . . 3 hop
    frame 0 ------------]
    frame 1 ----------------------]
    frame 2     ------------------------------]

Filters: Slaney's mel scale (linear below 1 kHz) with area normalisation, on magnitudes, as in HiFi-GAN and Vocos. The
HTK scale would leave some of 80 bands without any bin of a 512-point FFT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from oration.core import BadInput


def _hertz_to_mel(hertz: Tensor) -> Tensor:
    """Slaney's scale (Auditory Toolbox, 1998): 3 mel per 200 Hz up to 1 kHz, then 27 mel per factor of 6.4."""
    linear = hertz * 3 / 200
    return torch.where(hertz < 1000, linear, 15 + 27 * torch.log(hertz.clamp(min=1000) / 1000) / math.log(6.4))


def _mel_to_hertz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))


@lru_cache(maxsize=32)
def mel_filters(rate: int, bands: int, fft: int) -> Tensor:
    """float[fft // 2 + 1, bands]: triangles from 0 Hz to half of `rate`, each of area 1 (in Hz)."""
    top = _hertz_to_mel(torch.tensor(rate / 2, dtype=torch.float64, device="cpu"))
    edges = _mel_to_hertz(torch.linspace(0, float(top), bands + 2, dtype=torch.float64, device="cpu"))
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    hertz = torch.linspace(0, rate / 2, fft // 2 + 1, dtype=torch.float64, device="cpu")[:, None]
    triangles = torch.minimum((hertz - low) / (peak - low), (high - hertz) / (high - peak)).clamp(min=0)
    return (triangles * 2 / (high - low)).float()


@lru_cache(maxsize=32)
def hann(size: int) -> Tensor:
    """Periodic Hann window, float[size]."""
    return torch.hann_window(size, periodic=True, device="cpu")


@dataclass(frozen=True)
class LogMel:
    """Samples -> natural log of mel magnitudes, at `rate / hop` frames a second (100 by default)."""

    rate: int = 16000
    """Hz of the samples it takes."""
    bands: int = 80
    window: int = 400
    """Samples a frame sees (Hann)."""
    hop: int = 160
    """Samples from frame to frame."""
    fft: int = 512
    floor: float = 1e-5
    """Smallest magnitude, so that silence is log(floor), not minus infinity."""

    def __post_init__(self) -> None:
        if not 0 < self.hop <= self.window <= self.fft:
            raise BadInput(
                f"a mel needs 0 < hop <= window <= fft, but got {self.hop}, {self.window}, {self.fft} samples"
            )
        if (mel_filters(self.rate, self.bands, self.fft).sum(0) == 0).any():
            raise BadInput(f"{self.bands} mel bands are too many for an FFT of {self.fft} at {self.rate} Hz; raise fft")

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.rate / self.hop

    def frames(self, samples: int) -> int:
        """How many frames that many samples give."""
        return -(-samples // self.hop)

    def __call__(self, samples: Tensor) -> Tensor:
        """float[..., T] -> float[..., F, bands], F = ceil(T / hop); zeros fill the last hop. Differentiable."""
        length = samples.shape[-1]
        right = self.frames(length) * self.hop - length
        return self._frames(F.pad(samples.float(), (self.window - self.hop, right)))

    def _frames(self, padded: Tensor) -> Tensor:
        """float[..., window - hop + F * hop] -> float[..., F, bands]."""
        if padded.shape[-1] < self.window:
            return padded.new_zeros(*padded.shape[:-1], 0, self.bands)
        # bf16 autocast would round the filters' sums to 8 bits.
        with torch.autocast(padded.device.type, enabled=False):
            frames = padded.unfold(-1, self.window, self.hop) * hann(self.window).to(padded.device)
            magnitude = torch.fft.rfft(frames, self.fft).abs()
            mel = magnitude @ mel_filters(self.rate, self.bands, self.fft).to(padded.device)
            return mel.clamp(min=self.floor).log()

    def live(self) -> LiveLogMel:
        """The streaming form."""
        return LiveLogMel(self)


class LiveLogMel:
    """Pieces of a recording -> its frames, as soon as they are complete. Delay: none beyond the hop itself."""

    def __init__(self, mel: LogMel) -> None:
        self.mel = mel
        self._reset()

    def _reset(self) -> None:
        self.kept = torch.zeros(self.mel.window - self.mel.hop)

    def push(self, samples: Tensor) -> Tensor:
        """float[T] -> float[f, bands], the frames that this piece completes (f may be 0)."""
        known = torch.cat([self.kept.to(samples.device), samples.float()])
        history = self.mel.window - self.mel.hop
        whole = (len(known) - history) // self.mel.hop * self.mel.hop
        self.kept = known[whole:]
        return self.mel._frames(known[: history + whole])

    def flush(self) -> Tensor:
        """The last, incomplete frame, filled with zeros: float[0 or 1, bands]. Then another recording may come."""
        missing = -(len(self.kept) - (self.mel.window - self.mel.hop)) % self.mel.hop
        last = self.push(self.kept.new_zeros(missing))
        self._reset()
        return last


@lru_cache(maxsize=32)
def _dct(bands: int, n: int) -> Tensor:
    """Orthonormal DCT-II, float[bands, n]."""
    at = torch.arange(bands, dtype=torch.float64)[:, None]
    order = torch.arange(n, dtype=torch.float64)
    basis = torch.cos(math.pi / bands * (at + 0.5) * order) * math.sqrt(2 / bands)
    basis[:, 0] /= math.sqrt(2)
    return basis.float()


def mfcc(logmel: Tensor, n: int = 13) -> Tensor:
    """Mel-frequency cepstral coefficients of a log-mel, float[..., F, bands] -> float[..., F, n]; no liftering."""
    with torch.autocast(logmel.device.type, enabled=False):
        return logmel.float() @ _dct(logmel.shape[-1], n).to(logmel.device)


def deltas(features: Tensor, width: int = 4) -> Tensor:
    """Slope per frame of a line fitted to the last `width + 1` frames, float[..., F, D] -> the same shape.

    Looks only back (the usual deltas look `width / 2` frames ahead); the first frame stands for what was before it.
    """
    if not features.shape[-2]:
        return features
    weights = torch.arange(width + 1, dtype=features.dtype, device=features.device) - width / 2
    before = features[..., :1, :].expand(*features.shape[:-2], width, features.shape[-1])
    spans = torch.cat([before, features], -2).unfold(-2, width + 1, 1)
    return (spans * weights).sum(-1) / weights.square().sum()


def spectrogram(samples: Tensor, fft: int, hop: int) -> Tensor:
    """Magnitudes of a centred STFT (Hann of `fft` samples), float[..., T] -> float[..., 1 + T // hop, fft // 2 + 1].

    For losses and pictures: frame `i` is centred on sample `i * hop`, so it sees half a window of the future.
    """
    padded = F.pad(samples.float(), (fft // 2, fft // 2))
    frames = padded.unfold(-1, fft, hop) * hann(fft).to(samples.device)
    return torch.fft.rfft(frames).abs()
