"""FunCodec: EnCodec's nets at 16 kHz, and a codec of time and frequency. Du et al. 2023, arXiv:2309.07405.

    sound -> log magnitude, cosine and sine of each bin -> convolutions over both -> LSTM -> frames        (encoder)
    frames -> LSTM -> transposed convolutions over both -> magnitude and phase of each bin -> sound        (decoder)

Norms see the whole recording, so these codecs hold it until its end. Not here: codes of the residual of semantic tokens
(section 2.3), for which a codec would need a transcript. The settings are those of the recipes that the authors
publish; those of the two small released models (`gr1`, `gr8`: grouped convolutions) are not public, so that `groups`
and the missing LSTM are guesses after their names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.codecs.codec import Codec
from oration.codecs.seanet import SeaNetDecoder, SeaNetEncoder
from oration.nn.conv import Conv
from oration.nn.norms import Held, TimeNorm
from oration.nn.planes import Plane, PlaneUnit, PlaneUpsample
from oration.nn.quantize import Rvq
from oration.nn.recurrent import Lstm


@dataclass(frozen=True, kw_only=True)
class FreqNet:
    """What both sides say."""

    dim: int = 128
    filters: int = 32
    """Width next to the spectrum; it doubles with each ratio."""
    ratios: tuple[tuple[int, int], ...] = ((4, 1), (4, 1), (4, 2), (4, 1))
    """Strides of frequency and time, as the decoder has them."""
    kernel: int = 7
    unit_kernel: int = 3
    compress: int = 2
    """How much narrower a unit is inside."""
    lstm: int = 2
    """Layers; 0: none."""
    groups: int | None = None
    """Convolutions between are grouped, twice so many channels each; None: all channels together."""
    fft: int = 512
    hop: int = 160
    phase: Literal["cosine and sine", "angle"] = "cosine and sine"

    def tiny(self) -> Self:
        """The same structure of few filters."""
        return replace(self, dim=16, filters=4, lstm=min(self.lstm, 1))

    @property
    def parts(self) -> int:
        """Numbers of a bin."""
        return 3 if self.phase == "cosine and sine" else 2

    @property
    def stride(self) -> int:
        """Samples of a frame."""
        return self.hop * math.prod(time for _, time in self.ratios)

    def grouped(self, width: int) -> int:
        """Groups of a convolution over so many channels."""
        return max(1, width // 2 // self.groups) if self.groups else 1


@dataclass(frozen=True, kw_only=True)
class FreqEncoder(FreqNet):
    """float[B, T, 1] -> float[B, ceil(ceil((T + 1) / hop) / strides), dim], one frame more than the sound is long."""

    level: bool = False
    """Sound is brought to an effective value of 1 first, as in the release; then codes do not tell how loud it was."""

    def build(self) -> FreqEncoderModel:
        return FreqEncoderModel(self)


@dataclass(frozen=True, kw_only=True)
class FreqDecoder(FreqNet):
    """float[B, F, dim] -> float[B, (F * strides - 1) * hop, 1]"""

    def build(self) -> FreqDecoderModel:
        return FreqDecoderModel(self)


class FreqEncoderModel(Held):
    """The weights of a `FreqEncoder`."""

    window: Tensor

    def __init__(self, numbers: FreqEncoder) -> None:
        super().__init__()
        self.numbers, self.down = numbers, numbers.stride
        self.register_buffer("window", torch.hann_window(numbers.fft), persistent=False)
        width = numbers.filters
        layers: list[nn.Module] = [Plane(numbers.parts, width, (numbers.kernel, numbers.kernel))]
        for ratio in reversed(numbers.ratios):
            groups = numbers.grouped(width)
            layers += [PlaneUnit(width, numbers.unit_kernel, numbers.compress, groups), nn.ELU()]
            kernel = (2 * ratio[0], 2 * ratio[1])
            layers.append(Plane(width, 2 * width, kernel, stride=ratio, groups=groups))
            width *= 2
        self.layers = nn.Sequential(*layers)
        self.lstm = Lstm(width, numbers.lstm) if numbers.lstm else nn.Identity()
        self.last, self.norm = _mirrored(width, numbers.dim, numbers.kernel), TimeNorm(numbers.dim)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, 1] -> float[B, frames, dim]"""
        x = x[:, :, 0]
        if self.numbers.level:
            x = x / (x.square().mean(1, keepdim=True).sqrt() + 1e-8)
        y = self.layers(self._spectrum(x))[:, :, 0].mT
        return self.norm(self.last(F.elu(self.lstm(y))))  # type: ignore[no-any-return]

    def wide(self, width: int) -> int:
        return self.numbers.dim

    def _spectrum(self, x: Tensor) -> Tensor:
        """float[B, T] -> float[B, parts, bins, frames]"""
        fft, hop = self.numbers.fft, self.numbers.hop
        with torch.autocast(x.device.type, enabled=False):
            x = F.pad(x.to(self.window), (0, max(0, fft // 2 + 1 - x.shape[1])))
            spectrum = torch.stft(x, fft, hop, window=self.window, return_complex=True)
            size = spectrum.abs().clamp_min(1e-6)
            if self.numbers.phase == "angle":
                return torch.stack((size.log(), spectrum.angle()), 1)
            return torch.stack((size.log(), spectrum.real / size, spectrum.imag / size), 1)


class FreqDecoderModel(Held):
    """The weights of a `FreqDecoder`."""

    window: Tensor

    def __init__(self, numbers: FreqDecoder) -> None:
        super().__init__()
        self.numbers, self.up = numbers, numbers.stride
        self.register_buffer("window", torch.hann_window(numbers.fft), persistent=False)
        width = numbers.filters * 2 ** len(numbers.ratios)
        self.first, self.norm = _mirrored(numbers.dim, width, numbers.kernel), TimeNorm(width)
        self.lstm = Lstm(width, numbers.lstm) if numbers.lstm else nn.Identity()
        layers, rows = list[nn.Module](), 1
        for ratio in numbers.ratios:
            rows *= ratio[0]
            more = numbers.fft // 2 + 1 - rows if rows == numbers.fft // 2 else 0
            groups = numbers.grouped(width // 2)
            layers += [nn.ELU(), PlaneUpsample(width, width // 2, ratio, more=more)]
            width //= 2
            layers.append(PlaneUnit(width, numbers.unit_kernel, numbers.compress, groups))
        self.layers = nn.Sequential(*layers, nn.ELU(), Plane(width, numbers.parts, (numbers.kernel, numbers.kernel)))

    def forward(self, x: Tensor) -> Tensor:
        """float[B, F, dim] -> float[B, T, 1]"""
        y = self.layers(self.lstm(self.norm(self.first(x))).mT[:, :, None])
        fft, hop = self.numbers.fft, self.numbers.hop
        with torch.autocast(x.device.type, enabled=False):
            size, *phase = y.to(self.window).unbind(1)
            size = F.softplus(size)
            if self.numbers.phase == "angle":
                angle = phase[0].sin() * math.pi
                phase = [angle.cos(), angle.sin()]
            spectrum = torch.complex(size * phase[0], size * phase[1])
            return torch.istft(spectrum, fft, hop, window=self.window)[..., None]

    def wide(self, width: int) -> int:
        return 1


def _mirrored(width: int, dim: int, kernel: int) -> Conv:
    return Conv(width, dim, kernel, left=kernel // 2, right=kernel // 2, padding="reflect")


def _levels() -> Rvq:
    return Rvq(levels=32, dropout=1.0, cuts=(1, 2, 4, 8, 16, 32))


def _codec(ratios: tuple[int, ...]) -> Codec:
    encoder = SeaNetEncoder(ratios=ratios, causal=False, norm="time")
    decoder = SeaNetDecoder(ratios=ratios, causal=False, norm="time")
    return Codec(encoder=(encoder,), quantizer=_levels(), decoder=(decoder,), dim=128, rate=16_000, whole=False)


FUNCODEC_DS320 = _codec((8, 5, 4, 2))
"""`nq32ds320`: 50 frames a second, 0.5 to 16 kbit/s."""
FUNCODEC_DS640 = _codec((8, 5, 4, 2, 2))
"""`nq32ds640`: 25 frames a second, 0.25 to 8 kbit/s."""
FREQCODEC = Codec(encoder=(FreqEncoder(),), quantizer=_levels(), decoder=(FreqDecoder(),), dim=128, rate=16_000)
"""The recipe `freqcodec_mag_phase_16k_n32_600k_step`: 50 frames a second."""
FREQCODEC_GR1, FREQCODEC_GR8 = (
    replace(
        FREQCODEC,
        encoder=(FreqEncoder(groups=groups, lstm=0),),
        decoder=(FreqDecoder(groups=groups, lstm=0),),
    )
    for groups in (1, 8)
)
"""After the names of the small released models: convolutions of 2 and of 16 channels at a time, no LSTM."""
