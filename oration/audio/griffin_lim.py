"""A recording from a log-mel without any model: the baseline every vocoder has to beat."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oration.audio.mel import LogMel, hann, mel_filters
from oration.core import BadInput, Waveform


def griffin_lim(logmel: np.ndarray | Tensor, mel: LogMel, iterations: int = 32, seed: int = 0) -> Waveform:
    """float[F, bands] -> F * hop samples. Griffin & Lim 1984, with the momentum of Perraudin et al. 2013 (0.99).

    Raises:
        BadInput: a spectrogram of another number of bands, or fewer than one iteration.
    """
    spectrum = torch.as_tensor(logmel, dtype=torch.float32).detach()
    if spectrum.ndim != 2 or spectrum.shape[1] != mel.bands:
        raise BadInput(
            f"Griffin-Lim expects a log-mel float[F, {mel.bands}], but got {list(spectrum.shape)}; check the mel"
        )
    if iterations < 1:
        raise BadInput(f"Griffin-Lim needs at least 1 iteration, but got {iterations}; 32 is usual")
    if not len(spectrum):
        return Waveform(np.zeros(0, np.float32), mel.rate)
    magnitude = linear(spectrum, mel)
    generator = torch.Generator().manual_seed(seed)
    phase = torch.rand(magnitude.shape, generator=generator) * 2 * torch.pi
    guess = torch.polar(magnitude, phase)
    before = torch.zeros_like(guess)
    for _ in range(iterations):
        consistent = _analyse(_overlap_add(guess, mel), mel)
        ahead = consistent + 0.99 * (consistent - before)
        before = consistent
        guess = magnitude * ahead / ahead.abs().clamp(min=1e-12)
    return Waveform(_overlap_add(guess, mel)[mel.window - mel.hop :].numpy(), mel.rate)


def linear(logmel: Tensor, mel: LogMel, iterations: int = 60) -> Tensor:
    """Log-mel float[..., F, bands] -> magnitudes float[..., F, fft // 2 + 1] whose mel it is, none below zero.

    Multiplicative updates of Lee & Seung 2001 (section 4): unlike a pseudo-inverse they cannot go below zero.
    """
    filters = mel_filters(mel.rate, mel.bands, mel.fft)
    bands = logmel.float().exp()
    target, gram = bands @ filters.T, filters @ filters.T
    magnitude = bands @ (filters / filters.sum(0).square()).T
    for _ in range(iterations):
        magnitude = magnitude * target / (magnitude @ gram).clamp(min=1e-12)
    return magnitude


def _analyse(padded: Tensor, mel: LogMel) -> Tensor:
    """float[window - hop + F * hop] -> complex[F, fft // 2 + 1], framed as `LogMel` frames."""
    return torch.fft.rfft(padded.unfold(-1, mel.window, mel.hop) * hann(mel.window), mel.fft)


def _overlap_add(frames: Tensor, mel: LogMel) -> Tensor:
    """The least-squares inverse of `_analyse`. Where hardly any window reaches (the ends), the sound fades."""
    size = mel.window - mel.hop + len(frames) * mel.hop
    window = hann(mel.window)
    parts = torch.fft.irfft(frames, mel.fft)[:, : mel.window] * window
    weights = window.square()[:, None].expand(-1, len(frames))
    both = torch.stack([parts.T, weights])
    folded = F.fold(both, (1, size), (1, mel.window), stride=(1, mel.hop))[:, 0, 0]
    return folded[0] / folded[1].clamp(min=0.05)
