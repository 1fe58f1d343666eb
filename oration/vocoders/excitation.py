"""A voice before the mouth: harmonics of the pitch and noise, both as spectra that a generator then shapes.

An inverse-STFT head must otherwise invent a phase that runs on evenly from frame to frame, which is what takes longest
to learn. Here it turns the phase of a steady harmonic signal and shapes noise. The idea is that of source-filter
vocoders (Wang et al. 2019, arXiv:1904.12088; Liu et al. 2020, "Neural homomorphic vocoder", section 2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from oration.nn.istft import InverseStft

NOISE_FRAMES = 397
"""The noise repeats after so many frames (a prime, near 4 s at 100 a second): live and whole decoding then agree."""


class Pitch(nn.Module):
    """Bins of log pitch -> Hz, and the phase of the fundamental, which runs on through a recording."""

    def __init__(self, size: int, low: float, high: float, frame_rate: float) -> None:
        """`size` symbols: bins that divide `low` to `high` Hz evenly on a log scale, and last "no voice"."""
        super().__init__()
        self.frame_rate = frame_rate
        centres = low * (high / low) ** ((torch.arange(size - 1, dtype=torch.float64) + 0.5) / (size - 1))
        self.hertz: Tensor
        self.register_buffer("hertz", torch.cat((centres, torch.zeros(1))).float(), persistent=False)

    def run(self, ids: Tensor, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """long[B, F] -> float[B, F, 2]: the phase of the fundamental, in turns from 0 to 1, and a frame number.

        The second result is what the frames after these need to run on, to be passed as `before`: double[B, 3].
        """
        hertz = self.hertz[ids.clamp_min(0)].double() * (ids >= 0)
        if before is None:
            before = hertz.new_tensor([[0.0, -1.0, 0.0]]).expand(len(ids), 3)
        past = torch.cat((before[:, 2:], hertz[:, :-1]), 1)
        # between two middles the phase advances by the mean of both; a voice that begins has no past
        advance = torch.where(past > 0, (past + hertz) / 2, hertz) * (hertz > 0) / self.frame_rate
        turns = (before[:, :1] + advance.cumsum(1)) % 1
        number = (before[:, 1:2] + torch.arange(1, ids.shape[1] + 1, device=ids.device)) % NOISE_FRAMES
        after = torch.stack((turns[:, -1], number[:, -1], hertz[:, -1]), 1)
        return torch.stack((turns, number), -1).float(), after


class ExcitedHead(nn.Module):
    """Hidden frames -> how loud harmonics and noise are in each bin, and how the harmonics are turned -> samples."""

    def __init__(self, dim: int, fft: int, hop: int, pitch: Pitch) -> None:
        super().__init__()
        self.pitch, self.fft = pitch, fft
        self.out = nn.Linear(dim, 3 * (fft // 2 + 1))
        self.inverse = InverseStft(fft, hop)
        nn.init.normal_(self.out.weight, std=0.02)
        with torch.no_grad():  # begin near the loudness of quiet speech
            self.out.bias.zero_()[: fft // 2 + 1] = -3.0
            self.out.bias[2 * (fft // 2 + 1) :] = -4.0
        self.noise: Tensor
        self.register_buffer("noise", self._noise(hop), persistent=False)

    def _noise(self, hop: int) -> Tensor:
        """complex[NOISE_FRAMES, bins]: spectra of white noise, of unit power, that goes round in a circle."""
        samples = torch.randn(NOISE_FRAMES * hop, generator=torch.Generator().manual_seed(0))
        around = torch.cat((samples, samples[: self.fft])).unfold(0, self.fft, hop)[:NOISE_FRAMES]
        window = torch.hann_window(self.fft)
        return torch.fft.rfft(around * window) / window.square().sum().sqrt()

    def forward(self, x: Tensor, ids: Tensor, phase: Tensor, valid: Tensor | None = None) -> Tensor:
        """float[B, F, D], long[B, F] and `Pitch`'s float[B, F, 2] -> float[B, F * hop]"""
        with torch.autocast(x.device.type, enabled=False):
            voice, angle, breath = self.out(x.float()).chunk(3, -1)
            shape, turn = self._harmonics(ids, phase)
            loud = (voice + shape).clamp(max=4.6).exp()
            angle = angle + turn
            harmonic = torch.complex(loud * angle.cos(), loud * angle.sin())
            noise = self.noise[phase[:, :, 1].round().long()] * breath.clamp(max=4.6).exp()
            return self.inverse(harmonic + noise, valid)

    def _harmonics(self, ids: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
        """Log magnitude and angle of the nearest harmonic in each bin, float[B, F, bins]; unvoiced frames are flat."""
        hertz = self.pitch.hertz[ids.clamp_min(0)][..., None]
        rate = self.pitch.frame_rate * self.inverse.hop
        bins = torch.arange(self.fft // 2 + 1, device=ids.device)
        order = bins * (rate / self.fft) / hertz.clamp_min(1.0)
        nearest = order.round().clamp_min(1.0)
        # the main lobe of a Hann window, two bins either side, is a squared cosine within 1 %
        away = (order - nearest) * hertz * (self.fft / rate)
        lobe = (away.clamp(-2, 2) * (math.pi / 4)).cos().square().clamp_min(0.01).log()
        voiced = hertz > 0
        turn = nearest * phase[:, :, :1] * (2 * math.pi) * voiced
        # a frame's middle, not its first sample, is where the phase counts: half a turn more for each bin
        return lobe * voiced, turn + (bins % 2) * math.pi
