"""Sound made worse, for a codec that is to give back the clean one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Noisy:
    """Noise, or another recording of the batch, on top of some recordings. Chance is torch's global generator's."""

    share: float = 0.5
    """Of the recordings that are made worse."""
    voices: float = 0.3
    """Share of those that get another recording of the batch instead of noise."""
    snr: tuple[float, float] = (0.0, 30.0)
    """dB from the noise up to the recording, lowest and highest."""
    slope: float = 1.0
    """Noise loses 0 to `slope` times 6 dB an octave."""

    @classmethod
    def tiny(cls) -> Noisy:
        return cls()

    def __call__(self, wave: Tensor) -> Tensor:
        """float[B, T] -> the same size, where the wave is."""
        batch, length = wave.shape
        wave, device = wave.float(), wave.device
        worse, voice, snr, slope = torch.rand(4, batch, 1, device=device)
        spectrum = torch.fft.rfft(torch.randn(batch, length, device=device))
        octaves = torch.arange(1, spectrum.shape[1] + 1, device=device).log()
        noise = torch.fft.irfft(spectrum * (-self.slope * slope * octaves).exp(), length)
        other = wave.roll(1, 0) if batch > 1 else noise
        added = torch.where(voice < self.voices, other, noise)
        low, high = self.snr
        level = _level(wave) * 10 ** (-(low + (high - low) * snr) / 20)
        added = added * (level / _level(added).clamp_min(1e-5))
        return torch.where(worse < self.share, wave + added, wave)


def _level(wave: Tensor) -> Tensor:
    return wave.square().mean(1, keepdim=True).sqrt()
