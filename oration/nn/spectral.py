"""Sound to spectra and back as layers that run whole or in pieces. Layers only; knows no speech.

Both transforms are computed in float32 at least, also under autocast: half precision is audible here.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.istft import overlap_add
from oration.nn.pieces import Pieces, State


class _Windowed(Pieces):
    """`fft` samples under a Hann window, every `hop` samples."""

    window: Tensor

    def __init__(self, fft: int, hop: int) -> None:
        super().__init__()
        if not 0 < hop <= fft // 2 or fft % 2:
            raise BadInput(f"a spectrum of {fft} samples every {hop} does not overlap; give an even fft >= 2 * hop")
        self.fft, self.hop, self.bins = fft, hop, fft // 2 + 1
        self.register_buffer("window", torch.hann_window(fft), persistent=False)

    def _hann(self, like: Tensor) -> Tensor:
        if self.window.dtype in (torch.float32, torch.float64):
            return self.window.to(like.dtype)
        return torch.hann_window(self.fft, dtype=like.dtype, device=like.device)  # the net was cast to half precision


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


class Spectrum(_Windowed):
    """Sound -> real parts, then imaginary parts, of |X|^power and X's phase; `hop` samples a frame.

    Causal and aligned: the window of frame t ends with sample (t + 1) * hop, zeros before the start. The end is filled
    up with zeros to a whole hop. Noise of variance 1 has |X| = 1 on average (root mean square).
    """

    def __init__(self, fft: int, hop: int, power: float = 0.3, floor: float = 1e-7) -> None:
        """`floor`: added to |X|², below which all is quiet and compressed no further."""
        super().__init__(fft, hop)
        self.power, self.floor = power, floor
        self.down, self.dim = hop, 2 * self.bins

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, 1] -> float[B, ceil(T / hop), 2 * (fft // 2 + 1)]"""
        return self._frames(F.pad(x[:, :, 0], (self.fft - self.hop, -x.shape[1] % self.hop)), x)

    def start(self, batch: int, like: Tensor) -> State:
        return (like.new_zeros(batch, self.fft - self.hop),)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        known = torch.cat((state[0], x[:, :, 0]), 1)
        ready = (known.shape[1] - self.fft + self.hop) // self.hop * self.hop
        return self._frames(known, x), (known[:, ready:],)

    def flush(self, state: State) -> Tensor | None:
        known = state[0]
        missing = -(known.shape[1] - self.fft + self.hop) % self.hop
        return self._frames(F.pad(known, (0, missing)), known) if missing else None

    def _frames(self, known: Tensor, like: Tensor) -> Tensor:
        """float[B, T], padded -> float[B, (T - fft) // hop + 1, 2 * bins]"""
        if known.shape[1] < self.fft:
            return like.new_zeros(len(known), 0, self.dim)
        with torch.autocast(known.device.type, enabled=False):
            window = self._hann(_wide(known))
            window = window / window.square().sum().sqrt()
            spectrum = torch.fft.rfft(_wide(known).unfold(1, self.fft, self.hop) * window)
            parts = torch.cat((spectrum.real, spectrum.imag), 2)
            power = spectrum.real.square() + spectrum.imag.square() + self.floor
            return (parts * power.pow((self.power - 1) / 2).repeat(1, 1, 2)).to(like.dtype)


class InverseSpectrum(_Windowed):
    """Hidden frames -> log magnitude and phase -> sound, `hop` samples a frame. After Siuzdak 2023, arXiv:2306.00814.

    The window of frame t covers the samples from t * hop - back on. With `back` = 0 a sample depends on no frame after
    its own: causal and aligned. With (fft - hop) / 2 frames are centred, as in the paper, and with fft - hop a window
    ends with its own hop, like those of `Spectrum`: sound then comes `back` samples late in a live session.

        back = 0             |  hop t  |########   fft samples   ########|
        back = fft - hop     |########   fft samples   ########|  hop t  |
    """

    def __init__(
        self, dim: int, fft: int, hop: int, back: int = 0, *, floor: float = 0.1, top: float | None = None
    ) -> None:
        """
        Args:
            floor: the smallest sum of squared windows that is divided by; only the very ends have less.
            top: the largest magnitude; None is `fft`, four times that of a full-scale sine.
        """
        super().__init__(fft, hop)
        if not 0 <= back <= fft - hop:
            raise BadInput(f"windows begin {back} samples before their hop; give 0 to fft - hop = {fft - hop}")
        self.back, self.floor, self.top = back, floor, float(top or fft)
        self.up, self.aligned, self.cut, self.looks = hop, back == 0, back, back / hop
        self.out = nn.Linear(dim, fft + 2)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, F, D] -> float[B, F * hop, 1]"""
        sound, envelope = self._spread(x)
        span = slice(self.back, self.back + x.shape[1] * self.hop)
        return self._divided(sound[:, span], envelope[:, span], x)

    def start(self, batch: int, like: Tensor) -> State:
        late = _wide(like).new_zeros(batch, 2, (-(-self.fft // self.hop) - 1) * self.hop)
        return (late,) if self.aligned else (late, self.back)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not x.shape[1]:
            return x.new_zeros(len(x), 0, 1), state
        both = torch.stack([t.expand(len(x), -1) for t in self._spread(x)], 1)
        late, ready = state[0], x.shape[1] * self.hop
        both[:, :, : late.shape[2]] += late
        after, skip = both[:, :, ready:], 0 if self.aligned else min(state[1], ready)
        y = self._divided(both[:, 0, skip:ready], both[:, 1, skip:ready], x)
        return y, ((after,) if self.aligned else (after, state[1] - skip))

    def flush(self, state: State) -> Tensor | None:
        if self.aligned:
            return None
        late = state[0][:, :, state[1] : self.back]
        return self._divided(late[:, 0], late[:, 1], late) if late.shape[2] and bool(late[:, 1].any()) else None

    def _spread(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """float[B, F, D] -> sound float[B, F * hop + overlap] before the division, and its divisor float[1, ...]"""
        with torch.autocast(x.device.type, enabled=False):
            x = _wide(x)
            out: Any = self.out
            if type(out) is nn.Linear and out.weight.dtype != x.dtype:  # the net was cast to half precision
                size, angle = F.linear(x, out.weight.to(x), out.bias.to(x)).chunk(2, -1)
            else:
                size, angle = out(x).chunk(2, -1)
            # exp of an untrained net could be anything
            size = size.clamp(max=math.log(self.top)).exp()
            window = self._hann(x)
            frames = torch.fft.irfft(torch.complex(size * angle.cos(), size * angle.sin()), self.fft) * window
            envelope = overlap_add(window.square().expand(1, x.shape[1], -1), self.hop)
            return overlap_add(frames, self.hop), envelope

    def _divided(self, sound: Tensor, envelope: Tensor, like: Tensor) -> Tensor:
        return (sound / envelope.clamp_min(self.floor))[:, :, None].to(like.dtype)
