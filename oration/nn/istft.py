"""The inverse short-time Fourier transform as a last layer. Siuzdak 2023, arXiv:2306.00814, section 3.3.

Knows no speech.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Frames float[B, F, size], each `hop` after the last -> their sum float[B, (F - 1) * hop + size or a little more].

    The end is filled with zeros to a whole number of hops.
    """
    steps, size = frames.shape[1:]
    parts = -(-size // hop)
    frames = F.pad(frames, (0, parts * hop - size)).unflatten(-1, (parts, hop))
    total = frames.new_zeros(frames.shape[0], steps + parts - 1, hop)
    for part in range(parts):
        total[:, part : part + steps] += frames[:, :, part]
    return total.flatten(1)


class InverseStft(nn.Module):
    """Frames of a spectrum -> samples; frame i is centred on samples i*hop to (i+1)*hop, so T is exactly frames * hop.

    Always in float32: half precision is audible here.
    """

    def __init__(self, fft: int, hop: int) -> None:
        super().__init__()
        self.fft, self.hop, self.trim = fft, hop, (fft - hop) // 2
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(fft), persistent=False)

    @property
    def reach(self) -> int:
        """How many frames on either side a frame's samples depend on."""
        return -(-self.trim // self.hop)

    def forward(self, spectrum: Tensor, valid: Tensor | None = None) -> Tensor:
        """complex[B, F, fft // 2 + 1] -> float[B, F * hop]; where `valid`, float[B, F, 1], is 0 there is no frame."""
        frames = torch.fft.irfft(spectrum, self.fft) * self.window
        if valid is None:
            envelope = self._add((self.window**2).expand(1, spectrum.shape[1], -1))
            return self._add(frames) / envelope.clamp_min(1e-8)
        total = self._add(frames * valid) / self._add(self.window**2 * valid).clamp_min(1e-8)
        return total * valid[:, :, 0].repeat_interleave(self.hop, 1)

    def _add(self, frames: Tensor) -> Tensor:
        """Overlapping frames float[B, F, fft] -> their sum float[B, F * hop]."""
        return overlap_add(frames, self.hop)[:, self.trim : self.trim + frames.shape[1] * self.hop]


class StftHead(nn.Module):
    """Hidden frames -> log magnitude and phase -> samples. Of the phase only sine and cosine count: it wraps."""

    def __init__(self, dim: int, fft: int, hop: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, fft + 2)
        self.inverse = InverseStft(fft, hop)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """float[B, F, D] -> float[B, F * hop]. Frames where `valid`, float[B, F, 1], is 0 give no sound."""
        with torch.autocast(x.device.type, enabled=False):
            size, angle = self.out(x.float()).chunk(2, -1)
            # exp of an untrained net could be anything: 100 is far above the spectrum of a full-scale sine's neighbours
            size = size.clamp(max=4.6).exp()
            return self.inverse(torch.complex(size * angle.cos(), size * angle.sin()), valid)
