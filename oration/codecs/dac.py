"""DAC: convolutional stacks of Snake units around factorised residual codebooks. Kumar et al. 2023, arXiv:2306.06546.

Section 3.1 and 3.2; what the paper leaves out is as in the released package (descript-audio-codec 1.0.0).

    encoder  conv 7 | 3 units, Snake, stride 2 | 3 units, Snake, stride 4 | ...          | Snake, conv 3
    decoder  conv 7 | Snake, stride 8, 3 units | Snake, stride 8, 3 units | ...  | Snake, conv 7, tanh
    unit     x + conv 1 (Snake (conv 7 dilated (Snake x))), dilations 1, 3 and 9
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import nn

from oration.codecs.codec import Codec
from oration.nn.activations import Snake
from oration.nn.conv import Conv, Upsample
from oration.nn.pieces import Chain
from oration.nn.quantize import FactorisedRvq
from oration.nn.snake_unit import SnakeUnit

DILATIONS = (1, 3, 9)


@dataclass(frozen=True, kw_only=True)
class DacEncoder:
    """float[B, T, 1] -> float[B, T / hop, dim]"""

    width: int = 64
    """Next to the sound; it doubles with each stride."""
    strides: tuple[int, ...] = (2, 4, 8, 8)

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.width * 2 ** len(self.strides)

    def tiny(self) -> DacEncoder:
        """The same structure, narrow."""
        return replace(self, width=2)

    def build(self) -> Chain:
        width = self.width
        layers: list[nn.Module] = [Conv.same(1, width, 7, normed=True)]
        for stride in self.strides:
            layers.append(Chain(*units(width), Snake(width, over=True), down(width, stride)))
            width *= 2
        return Chain(*layers, Snake(width, over=True), Conv.same(width, self.dim, 3, normed=True))


@dataclass(frozen=True, kw_only=True)
class DacDecoder:
    """float[B, F, dim] -> float[B, F * hop, 1], less a few samples where strides are odd, as the released one."""

    dim: int = 1024
    """Width of a vector."""
    width: int = 1536
    """Of the first layers; it halves with each stride."""
    strides: tuple[int, ...] = (8, 8, 4, 2)

    def tiny(self) -> DacDecoder:
        """The same structure, narrow."""
        return replace(self, dim=2 * 2 ** len(self.strides), width=2 * 2 ** len(self.strides))

    def build(self) -> Chain:
        width = self.width
        layers: list[nn.Module] = [Conv.same(self.dim, width, 7, normed=True)]
        for stride in self.strides:
            layers.append(Chain(Snake(width, over=True), up(width, stride), *units(width // 2)))
            width //= 2
        return Chain(*layers, Snake(width, over=True), Conv.same(width, 1, 7, normed=True), nn.Tanh())


def units(width: int, groups: int = 1) -> list[SnakeUnit]:
    """The three residual units of a width."""
    return [SnakeUnit(width, dilation=dilation, groups=groups) for dilation in DILATIONS]


def down(width: int, stride: int) -> Conv:
    """A convolution over two strides, to twice the width."""
    side = math.ceil(stride / 2)
    return Conv(width, 2 * width, 2 * stride, stride=stride, left=side, right=side, whole=False, normed=True)


def up(width: int, stride: int, *, full: bool = False) -> Upsample:
    """A transposed convolution over two strides, to half the width; `full`: an odd stride loses no frame."""
    side = math.ceil(stride / 2)
    right = stride - side if full else side
    return Upsample(width, width // 2, 2 * stride, stride=stride, left=side, right=right, normed=True)


def dac(rate: int, levels: int, strides: tuple[int, ...]) -> Codec:
    """A codec of the released kind."""
    encoder = DacEncoder(strides=strides)
    return Codec(
        encoder=(encoder,),
        quantizer=FactorisedRvq(levels=levels, size=1024, dim=8),
        decoder=(DacDecoder(dim=encoder.dim, strides=strides[::-1]),),
        dim=encoder.dim,
        rate=rate,
    )


DAC_16K = dac(16_000, 12, (2, 4, 5, 8))
"""descript/dac_16khz: 50 Hz, 6 kbit/s."""
DAC_24K = dac(24_000, 32, (2, 4, 5, 8))
"""descript/dac_24khz: 75 Hz, 24 kbit/s."""
DAC_44K = dac(44_100, 9, (2, 4, 8, 8))
"""descript/dac_44khz: 86 Hz, 7.8 kbit/s."""
