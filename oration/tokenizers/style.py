"""Style: how something is said, one symbol a second, by clusters of what pitch and loudness do in that second.

SpiRit-LM (Nguyen et al. 2024, arXiv:2402.05755) has one of 100 clusters a second, of features from a net trained to
tell styles (speechprop). Here they are statistics with names: only the clusters are fitted, and less is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from oration.audio.f0 import f0
from oration.core import BadInput, Waveform
from oration.tokenizers.grouped import Encoder
from oration.tokenizers.units import Units

STATISTICS = ("loudness", "its spread", "its motion", "tilt", "voiced", "pitch", "its spread", "its motion")
FRAME = 160
"""Samples over which loudness is measured: 10 ms."""
REFERENCE, SPLIT = 150.0, 2000.0
"""Hz: the pitch that counts as 0 octaves, and where low frequencies end."""


@dataclass(frozen=True, kw_only=True)
class ProsodyStatistics:
    """float[F, 8] of windows of `seconds`, each described by itself: `STATISTICS`.

    Loudness (log of the root mean square), its standard deviation and its mean motion from frame to frame; power above
    2 kHz against below (log); share of voiced frames; F0 in octaves above 150 Hz, its standard deviation and motion.
    """

    seconds: float = 1.0
    floor: float = 60.0
    """Hz, of F0."""
    ceiling: float = 400.0
    """Hz, of F0."""

    def __post_init__(self) -> None:
        if self.seconds * 16_000 % FRAME or self.seconds < 0.1:
            raise BadInput(
                f"prosody is described in windows of whole frames of 10 ms, 0.1 s at least, but got {self.seconds} s"
            )

    def tiny(self) -> ProsodyStatistics:
        """Itself: there is nothing to shrink."""
        return self

    def build(self) -> ProsodyStatisticsModel:
        return ProsodyStatisticsModel(self)


class ProsodyStatisticsModel(nn.Module):
    """The encoder; it has no weights."""

    rate = 16_000
    dim = len(STATISTICS)

    def __init__(self, numbers: ProsodyStatistics) -> None:
        super().__init__()
        self.numbers = numbers
        self.hop = round(numbers.seconds * self.rate)

    def features(self, samples: Tensor) -> Tensor:
        """float[B, T] -> float[B, F, 8], F = ceil(T / hop). Zeros after a shorter recording change nothing."""
        padded = nn.functional.pad(samples, (0, -samples.shape[1] % self.hop))
        windows = padded.reshape(-1, self.hop).float().cpu().numpy()
        found = np.array([self.describe(window) for window in windows], np.float32).reshape(-1, self.dim)
        return torch.from_numpy(found).to(samples.device).unflatten(0, (samples.shape[0], -1))

    def describe(self, window: np.ndarray) -> Sequence[float]:
        """One window float32[hop] -> its `STATISTICS`."""
        power = np.square(window.reshape(-1, FRAME).astype(np.float64)).mean(1)
        loudness = 0.5 * np.log(power + 1e-8)
        spectrum = np.square(np.abs(np.fft.rfft(window.astype(np.float64)))) / len(window)
        split = round(SPLIT * len(window) / self.rate)
        tilt = np.log(spectrum[split:].mean() + 1e-6) - np.log(spectrum[:split].mean() + 1e-6)
        numbers = self.numbers
        track = f0(Waveform(window, self.rate), floor=numbers.floor, ceiling=numbers.ceiling)
        octaves = np.log2(track[track > 0] / REFERENCE)
        both = (track[1:] > 0) & (track[:-1] > 0)
        motion = np.abs(np.log2(track[1:][both] / track[:-1][both]))
        sound = (loudness.mean(), loudness.std(), np.abs(np.diff(loudness)).mean(), tilt)
        return (*sound, (track > 0).mean(), *(_mean(octaves), octaves.std() if len(octaves) else 0.0, _mean(motion)))

    def live(self) -> LiveStatistics:
        """The streaming form: a window is described when it is complete."""
        return LiveStatistics(self)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


class LiveStatistics:
    """One recording in pieces of any length."""

    def __init__(self, model: ProsodyStatisticsModel) -> None:
        self.model, self.held = model, torch.zeros(0)

    def push(self, samples: Tensor) -> Tensor:
        """float[T] -> float[f, 8]"""
        known = torch.cat([self.held.to(samples.device), samples])
        whole = len(known) // self.model.hop * self.model.hop
        self.held = known[whole:]
        return self.model.features(known[None, :whole])[0]

    def flush(self) -> Tensor:
        """The last window, filled up with silence: float[0 or 1, 8]. Then another recording may come."""
        rest = self.model.features(self.held[None])[0]
        self.held = torch.zeros(0)
        return rest


@dataclass(frozen=True, kw_only=True)
class Style(Units):
    """`clusters` styles, one a second. Fit with `KMeans(standardise=True)`, since the features differ in scale."""

    encoder: Encoder = field(default_factory=ProsodyStatistics)
    clusters: int = 100
    stream: str = "style"
    rate: float = 1.0
