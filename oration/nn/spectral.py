"""Sound to spectra and back as layers that run whole or in pieces. Layers only; knows no speech.

Both transforms are computed in float32 at least, also under autocast: half precision is audible here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

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

    def hann(self, like: Tensor) -> Tensor:
        """The window, in the type of `like`."""
        if self.window.dtype in (torch.float32, torch.float64):
            return self.window.to(like.dtype)
        return torch.hann_window(self.fft, dtype=like.dtype, device=like.device)  # the net was cast to half precision


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


class _Looking(Pieces):
    """Something of the spectra of windows that all end with their hop; causal and aligned, zeros before the start."""

    dim: int

    def __init__(self, ffts: tuple[int, ...], hop: int) -> None:
        super().__init__()
        self.windows = nn.ModuleList(_Windowed(fft, hop) for fft in ffts)
        self.hop, self.longest, self.down = hop, max(ffts), hop

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, 1] -> float[B, ceil(T / hop), dim]"""
        return self._frames(F.pad(x[:, :, 0], (self.longest - self.hop, -x.shape[1] % self.hop)), x)

    def start(self, batch: int, like: Tensor) -> State:
        return (like.new_zeros(batch, self.longest - self.hop),)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        known = torch.cat((state[0], x[:, :, 0]), 1)
        ready = (known.shape[1] - self.longest + self.hop) // self.hop * self.hop
        return self._frames(known, x), (known[:, ready:],)

    def flush(self, state: State) -> Tensor | None:
        known = state[0]
        missing = -(known.shape[1] - self.longest + self.hop) % self.hop
        return self._frames(F.pad(known, (0, missing)), known) if missing else None

    def seen(self, spectra: list[Tensor]) -> Tensor:
        """complex[B, F, fft // 2 + 1] of each window -> float[B, F, dim]"""
        raise NotImplementedError

    def _frames(self, known: Tensor, like: Tensor) -> Tensor:
        """float[B, T], padded -> float[B, (T - longest) // hop + 1, dim]"""
        if known.shape[1] < self.longest:
            return like.new_zeros(len(known), 0, self.dim)
        with torch.autocast(known.device.type, enabled=False):
            known, spectra = _wide(known), list[Tensor]()
            for one in cast("Sequence[_Windowed]", self.windows):
                window = one.hann(known)
                window = window / window.square().sum().sqrt()
                frames = known[:, self.longest - one.fft :].unfold(1, one.fft, self.hop)
                spectra.append(torch.fft.rfft(frames * window))
            return self.seen(spectra).to(like.dtype)


class Spectrum(_Looking):
    """Sound -> real parts, then imaginary parts, of |X|^power and X's phase; `hop` samples a frame.

    Causal and aligned: the window of frame t ends with sample (t + 1) * hop, zeros before the start. The end is filled
    up with zeros to a whole hop. Noise of variance 1 has |X| = 1 on average (root mean square).
    """

    def __init__(self, fft: int, hop: int, power: float = 0.3, floor: float = 1e-7) -> None:
        """`floor`: added to |X|², below which all is quiet and compressed no further."""
        super().__init__((fft,), hop)
        self.power, self.floor = power, floor
        self.dim = 2 * (fft // 2 + 1)

    def seen(self, spectra: list[Tensor]) -> Tensor:
        (spectrum,) = spectra
        parts = torch.cat((spectrum.real, spectrum.imag), 2)
        power = spectrum.real.square() + spectrum.imag.square() + self.floor
        return parts * power.pow((self.power - 1) / 2).repeat(1, 1, 2)


class LogSpectra(_Looking):
    """Sound -> log magnitudes of spectra with windows of several lengths, side by side; `hop` samples a frame.

    Without phases, which few bits cannot say and a linear layer cannot see past. Windows as those of `Spectrum`. Noise
    of variance 1 gives about 1, a quarter more for every factor e.
    """

    def __init__(self, ffts: tuple[int, ...], hop: int, *, filters: Tensor | None = None, floor: float = 1e-7) -> None:
        """
        Args:
            filters: float[sum of fft // 2 + 1, N], into which magnitudes are put together before the logarithm.
            floor: added to |X|², so that silence has an end.
        """
        super().__init__(ffts, hop)
        self.floor = floor
        self.filters: Tensor | None
        self.register_buffer("filters", filters, persistent=False)
        self.dim = sum(fft // 2 + 1 for fft in ffts) if filters is None else filters.shape[1]

    def seen(self, spectra: list[Tensor]) -> Tensor:
        power = torch.cat([one.real.square() + one.imag.square() for one in spectra], 2) + self.floor
        if self.filters is not None:
            power = (power.sqrt() @ self.filters.to(power)).square()
        return power.log() / 8 + 1


class Periodicity(_Looking):
    """Sound -> how much it repeats itself after the period of each tone: its autocorrelation, 1 where all repeats.

    That of a compressed spectrum, so that no loud harmonic stands for all (Tolonen & Karjalainen 2000, "A
    computationally efficient multipitch analysis model", section III).
    """

    def __init__(self, fft: int, hop: int, hertz: Sequence[float], rate: int, power: float = 0.6) -> None:
        """`hertz`: the tones. `power`: of the magnitudes; 2 is the plain autocorrelation."""
        super().__init__((fft,), hop)
        self.power, self.dim = power, len(hertz)
        bins = torch.arange(fft // 2 + 1, dtype=torch.float64, device="cpu")
        periods = rate / torch.tensor(hertz, dtype=torch.float64, device="cpu")
        self.waves: Tensor
        waves = torch.cos(2 * math.pi / fft * bins[:, None] * periods)
        self.register_buffer("waves", waves.float(), persistent=False)

    def seen(self, spectra: list[Tensor]) -> Tensor:
        size = (spectra[0].real.square() + spectra[0].imag.square() + 1e-7).pow(self.power / 2)
        return (size / size.sum(2, keepdim=True)) @ self.waves.to(size) * 4


class Overlapping(_Windowed):
    """Spectra of windows that overlap -> sound, `hop` samples a frame.

    The window of frame t covers the samples from t * hop - back on. With `back` = 0 a sample depends on no frame after
    its own: causal and aligned. With (fft - hop) / 2 frames are centred, as in the paper, and with fft - hop a window
    ends with its own hop, like those of `Spectrum`: sound then comes `back` samples late in a live session.

        back = 0             |  hop t  |########   fft samples   ########|
        back = fft - hop     |########   fft samples   ########|  hop t  |
    """

    def __init__(self, fft: int, hop: int, back: int = 0, floor: float = 0.1) -> None:
        """`floor`: the smallest sum of squared windows that is divided by; only the very ends have less."""
        super().__init__(fft, hop)
        if not 0 <= back <= fft - hop:
            raise BadInput(f"windows begin {back} samples before their hop; give 0 to fft - hop = {fft - hop}")
        self.back, self.floor = back, floor
        self.up, self.aligned, self.cut, self.looks = hop, back == 0, back, back / hop

    def spectra(self, x: Tensor, memory: State) -> tuple[Tensor, State]:
        """float[B, F, D] -> complex[B, F, bins], and what the frames after these need."""
        raise NotImplementedError

    def recall(self, batch: int, like: Tensor) -> State:
        """What `spectra` remembers before the first frame."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        """float[B, F, D] -> float[B, F * hop, 1]"""
        with torch.autocast(x.device.type, enabled=False):
            return self.sound(self.spectra(_wide(x), self.recall(len(x), x))[0], x)

    def sound(self, spectra: Tensor, like: Tensor) -> Tensor:
        """complex[B, F, bins] of a whole recording -> float[B, F * hop, 1]"""
        sound, envelope = self._spread(spectra)
        span = slice(self.back, self.back + spectra.shape[1] * self.hop)
        return self._divided(sound[:, span], envelope[:, span], like)

    def start(self, batch: int, like: Tensor) -> State:
        late = _wide(like).new_zeros(batch, 2, (-(-self.fft // self.hop) - 1) * self.hop)
        memory = self.recall(batch, like)
        return (late, memory) if self.aligned else (late, memory, self.back)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not x.shape[1]:
            return x.new_zeros(len(x), 0, 1), state
        with torch.autocast(x.device.type, enabled=False):
            spectra, memory = self.spectra(_wide(x), state[1])
            both = torch.stack([t.expand(len(x), -1) for t in self._spread(spectra)], 1)
        late, ready = state[0], x.shape[1] * self.hop
        both[:, :, : late.shape[2]] += late
        after, skip = both[:, :, ready:], 0 if self.aligned else min(state[2], ready)
        y = self._divided(both[:, 0, skip:ready], both[:, 1, skip:ready], x)
        return y, ((after, memory) if self.aligned else (after, memory, state[2] - skip))

    def flush(self, state: State) -> Tensor | None:
        if self.aligned:
            return None
        late = state[0][:, :, state[2] : self.back]
        return self._divided(late[:, 0], late[:, 1], late) if late.shape[2] and bool(late[:, 1].any()) else None

    def _spread(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """complex[B, F, bins] -> sound float[B, F * hop + overlap] before the division; its divisor float[1, ...]"""
        window = self.hann(spectra.real)
        frames = torch.fft.irfft(spectra, self.fft) * window
        envelope = overlap_add(window.square().expand(1, spectra.shape[1], -1), self.hop)
        return overlap_add(frames, self.hop), envelope

    def _divided(self, sound: Tensor, envelope: Tensor, like: Tensor) -> Tensor:
        return (sound / envelope.clamp_min(self.floor))[:, :, None].to(like.dtype)


class InverseSpectrum(Overlapping):
    """Hidden frames -> log magnitude and phase -> sound. After Siuzdak 2023, arXiv:2306.00814."""

    def __init__(
        self, dim: int, fft: int, hop: int, back: int = 0, *, floor: float = 0.1, top: float | None = None
    ) -> None:
        """`top`: the largest magnitude; None is `fft`, four times that of a full-scale sine."""
        super().__init__(fft, hop, back, floor)
        self.top = float(top or fft)
        self.out = nn.Linear(dim, fft + 2)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def spectra(self, x: Tensor, memory: State) -> tuple[Tensor, State]:
        size, angle = applied(self.out, x).chunk(2, -1)
        # exp of an untrained net could be anything
        size = size.clamp(max=math.log(self.top)).exp()
        return torch.complex(size * angle.cos(), size * angle.sin()), memory


def applied(out: Any, x: Tensor) -> Tensor:
    """A linear layer in float32 at least, also where the net was cast to half precision."""
    if type(out) is nn.Linear and out.weight.dtype != x.dtype:
        return F.linear(x, out.weight.to(x), out.bias.to(x))
    found: Tensor = out(x)
    return found
