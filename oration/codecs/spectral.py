"""Codec nets over spectra: few frames a second from the first layer on, so that a small net is wide and fast.

    sound -> spectrum every `hop` samples -> ConvNeXt, strided down to frames -> (codes) -> back up -> inverse STFT

The spectrum with its magnitude compressed and an inverse STFT at the end are as in frequency-domain FunCodec (Du et al.
2023, arXiv:2309.07405, section 2.2) and Vocos (Siuzdak 2023, arXiv:2306.00814); the one-dimensional nets between are
those of Vocos. All of it is causal unless it is told to look ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import nn

from oration.core import BadInput
from oration.nn.conv import Conv, Upsample
from oration.nn.convnext import ConvNeXt
from oration.nn.pieces import Chain
from oration.nn.spectral import InverseSpectrum, Spectrum


@dataclass(frozen=True, kw_only=True)
class SpectralEncoder:
    """Sound float[B, T, 1] -> frames float[B, ceil(T / stride), dim]."""

    dim: int = 128
    width: int = 256
    inner: int = 768
    layers: tuple[int, ...] = (4, 4, 4)
    """ConvNeXt blocks at the rate of the spectrum, then after each of the strides."""
    kernel: int = 7
    fft: int = 640
    hop: int = 160
    strides: tuple[int, ...] = (2, 2)
    power: float = 0.3
    """Of the magnitude: 1 is the spectrum itself, 0 its phase alone."""

    def __post_init__(self) -> None:
        _check(self.layers, self.strides)

    @property
    def stride(self) -> int:
        """Samples a frame."""
        return self.hop * math.prod(self.strides)

    def tiny(self) -> SpectralEncoder:
        """As many layers at the same rates, narrow."""
        return replace(self, dim=8, width=16, inner=24, kernel=3)

    def build(self) -> Chain:
        spectrum = Spectrum(self.fft, self.hop, self.power)
        layers: list[nn.Module] = [spectrum, nn.Linear(spectrum.dim, self.width), nn.LayerNorm(self.width)]
        layers += _blocks(self.width, self.inner, self.layers[0], self.kernel)
        for stride, blocks in zip(self.strides, self.layers[1:], strict=True):
            layers += [Conv(self.width, self.width, 2 * stride, stride=stride)]
            layers += _blocks(self.width, self.inner, blocks, self.kernel)
        return Chain(*layers, nn.LayerNorm(self.width), nn.Linear(self.width, self.dim))


@dataclass(frozen=True, kw_only=True)
class SpectralDecoder:
    """Frames float[B, F, dim] -> sound float[B, F * stride, 1]."""

    dim: int = 128
    width: int = 256
    inner: int = 768
    layers: tuple[int, ...] = (4, 4, 4)
    """ConvNeXt blocks at the rate of the frames, then after each of the strides."""
    kernel: int = 7
    fft: int = 640
    hop: int = 160
    strides: tuple[int, ...] = (2, 2)
    back: int = 0
    """Samples that a window of the inverse STFT begins before its hop; sound comes so much later in a live session."""
    ahead: int = 0
    """Steps at the highest rate that the last blocks look ahead, in all."""

    def __post_init__(self) -> None:
        _check(self.layers, self.strides)

    @property
    def stride(self) -> int:
        """Samples a frame."""
        return self.hop * math.prod(self.strides)

    def tiny(self) -> SpectralDecoder:
        """As many layers at the same rates, narrow."""
        return replace(self, dim=8, width=16, inner=24, kernel=3)

    def build(self) -> Chain:
        layers: list[nn.Module] = [nn.Linear(self.dim, self.width), nn.LayerNorm(self.width)]
        for blocks, stride in zip(self.layers[:-1], self.strides, strict=True):
            layers += _blocks(self.width, self.inner, blocks, self.kernel)
            layers += [Upsample(self.width, self.width, 2 * stride, stride=stride)]
        layers += _blocks(self.width, self.inner, self.layers[-1], self.kernel, self.ahead)
        layers += [nn.LayerNorm(self.width), InverseSpectrum(self.width, self.fft, self.hop, self.back)]
        return Chain(*layers)


def _blocks(width: int, inner: int, blocks: int, kernel: int, ahead: int = 0) -> list[nn.Module]:
    return [ConvNeXt(width, inner, blocks, kernel, ahead=ahead)] if blocks else []


def _check(layers: tuple[int, ...], strides: tuple[int, ...]) -> None:
    if len(layers) != len(strides) + 1:
        raise BadInput(
            f"a spectral net with strides {strides} has {len(strides) + 1} rates, but layers is {layers}; "
            "give the number of blocks at each rate"
        )
