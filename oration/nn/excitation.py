"""A voice before the mouth: harmonics of the pitch and noise, both as spectra that a generator then shapes.

An inverse-STFT head must otherwise invent a phase that runs on evenly from frame to frame, which is what takes longest
to learn. Here it turns the phase of a steady harmonic signal and shapes noise. The idea is that of source-filter
vocoders (Wang et al. 2019, arXiv:1904.12088; Liu et al. 2020, "Neural homomorphic vocoder", section 2).
`oration.nn.voiced` is the layer that also hears the pitch itself.
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
        phase, after = run_on(self.hertz[ids.clamp_min(0)].double() * (ids >= 0), self.frame_rate, before)
        return phase.float(), after


def run_on(hertz: Tensor, frame_rate: float, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """As `Pitch.run`, of Hz double[B, F], 0 where there is no voice -> double[B, F, 2] and double[B, 3]."""
    if before is None:
        before = hertz.new_tensor([[0.0, -1.0, 0.0]]).expand(len(hertz), 3)
    past = torch.cat((before[:, 2:], hertz), 1)[:, :-1]
    # between two middles the phase advances by the mean of both; a voice that begins has no past
    advance = torch.where(past > 0, (past + hertz) / 2, hertz) * (hertz > 0) / frame_rate
    turns = (before[:, :1] + advance.cumsum(1)) % 1
    number = (before[:, 1:2] + torch.arange(1, hertz.shape[1] + 1, device=hertz.device)) % NOISE_FRAMES
    after = torch.stack((turns, number, hertz), -1)[:, -1] if hertz.shape[1] else before
    return torch.stack((turns, number), -1), after


def harmonics(hertz: Tensor, turns: Tensor, fft: int, rate: float) -> tuple[Tensor, Tensor]:
    """Log magnitude and angle of the nearest harmonic in each bin, float[B, F, bins]; unvoiced frames are flat.

    Args:
        hertz: float[B, F], 0 where there is no voice.
        turns: phase of the fundamental in the middle of the frame, float[B, F].
    """
    hertz = hertz[..., None]
    bins = torch.arange(fft // 2 + 1, device=hertz.device)
    order = bins * (rate / fft) / hertz.clamp_min(1.0)
    nearest = order.round().clamp_min(1.0)
    # the main lobe of a Hann window, two bins either side, is a squared cosine within 1 %
    away = (order - nearest) * hertz * (fft / rate)
    lobe = (away.clamp(-2, 2) * (math.pi / 4)).cos().square().clamp_min(0.01).log()
    voiced = hertz > 0
    turn = nearest * turns[..., None] * (2 * math.pi) * voiced
    # a frame's middle, not its first sample, is where the phase counts: half a turn more for each bin
    return lobe * voiced, turn + (bins % 2) * math.pi


def white(fft: int, hop: int) -> Tensor:
    """complex[NOISE_FRAMES, bins]: spectra of white noise, of unit power, that goes round in a circle."""
    samples = torch.randn(NOISE_FRAMES * hop, generator=torch.Generator().manual_seed(0), device="cpu")
    around = torch.cat((samples, samples[:fft])).unfold(0, fft, hop)[:NOISE_FRAMES]
    window = torch.hann_window(fft, device="cpu")
    return torch.fft.rfft(around * window) / window.square().sum().sqrt()


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
        self.register_buffer("noise", white(fft, hop), persistent=False)

    def forward(self, x: Tensor, ids: Tensor, phase: Tensor, valid: Tensor | None = None) -> Tensor:
        """float[B, F, D], long[B, F] and `Pitch`'s float[B, F, 2] -> float[B, F * hop]"""
        with torch.autocast(x.device.type, enabled=False):
            voice, angle, breath = self.out(x.float()).chunk(3, -1)
            rate = self.pitch.frame_rate * self.inverse.hop
            shape, turn = harmonics(self.pitch.hertz[ids.clamp_min(0)], phase[:, :, 0], self.fft, rate)
            loud = (voice + shape).clamp(max=4.6).exp()
            angle = angle + turn
            harmonic = torch.complex(loud * angle.cos(), loud * angle.sin())
            noise = self.noise[phase[:, :, 1].round().long()] * breath.clamp(max=4.6).exp()
            return self.inverse(harmonic + noise, valid)
