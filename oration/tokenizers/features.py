"""Encoders without weights, for units by signal processing alone: log-mel and MFCC, two frames of 10 ms side by side.

Their scale is left to `Units`, which takes mean and variance of each dimension from the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.audio.mel import LogMel, deltas, mfcc


@dataclass(frozen=True, kw_only=True)
class LogMelFeatures:
    """80 bands of log-mel, float[F, 160] at 50 Hz."""

    bands: int = 80

    @classmethod
    def tiny(cls) -> LogMelFeatures:
        return cls(bands=20)

    def build(self) -> PairedFrames:
        return PairedFrames(self.bands)


@dataclass(frozen=True, kw_only=True)
class MfccFeatures:
    """13 cepstral coefficients and their first and second slopes over the last 50 and 90 ms, float[F, 78] at 50 Hz."""

    bands: int = 80
    coefficients: int = 13

    @classmethod
    def tiny(cls) -> MfccFeatures:
        return cls(bands=20, coefficients=5)

    def build(self) -> PairedFrames:
        return PairedFrames(self.bands, self.coefficients)


class PairedFrames(nn.Module):
    """Log-mel, or cepstra with slopes if `coefficients` is given; two frames of 10 ms make one of 20 ms."""

    rate = 16000
    hop = 320
    HISTORY = 8
    """Frames of 10 ms that a second slope looks back."""

    def __init__(self, bands: int, coefficients: int = 0) -> None:
        super().__init__()
        self.mel, self.coefficients = LogMel(rate=self.rate, bands=bands), coefficients
        self.dim = 2 * (3 * coefficients or bands)

    def features(self, samples: Tensor) -> Tensor:
        """float[B, T] -> float[B, F, dim], F = ceil(T / 320). Zeros after a shorter recording change nothing."""
        return self.pair(self.shape(self.mel(F.pad(samples, (0, -samples.shape[1] % self.hop)))))

    def shape(self, mels: Tensor) -> Tensor:
        """float[..., M, bands] -> float[..., M, dim / 2]"""
        if not self.coefficients:
            return mels
        cepstra = mfcc(mels, self.coefficients)
        slope = deltas(cepstra)
        return torch.cat([cepstra, slope, deltas(slope)], -1)

    def pair(self, frames: Tensor) -> Tensor:
        """float[..., 2 F, dim / 2] -> float[..., F, dim]"""
        return frames.unflatten(-2, (-1, 2)).flatten(-2)

    def live(self) -> LivePairs:
        """The streaming form, without delay."""
        return LivePairs(self)


class LivePairs:
    """One recording through `PairedFrames`, in pieces of any length."""

    def __init__(self, model: PairedFrames) -> None:
        self.model = model
        self._reset()

    def _reset(self) -> None:
        self.mel = self.model.mel.live()
        self.taken = 0
        self.past: Tensor | None = None
        self.waiting: Tensor | None = None

    def push(self, samples: Tensor) -> Tensor:
        """float[T] -> float[f, dim]"""
        self.taken += len(samples)
        mels = self.mel.push(samples)
        if not len(mels):
            return mels.new_zeros(0, self.model.dim)
        if self.past is None:  # the first frame stands for what was before it
            self.past = mels[:1].expand(self.model.HISTORY, -1)
        known = torch.cat([self.past, mels])
        self.past = known[-self.model.HISTORY :]
        frames = self.model.shape(known)[self.model.HISTORY :]
        if self.waiting is not None:
            frames = torch.cat([self.waiting, frames])
        whole = len(frames) // 2 * 2
        self.waiting = frames[whole:]
        return self.model.pair(frames[:whole])

    def flush(self) -> Tensor:
        """The last frame, filled up with silence: float[0 or 1, dim]. Afterwards it is ready for another recording."""
        rest = self.push(torch.zeros(-self.taken % self.model.hop))
        self._reset()
        return rest
