"""BigCodec: one large codebook between large nets. Xin et al. 2024, arXiv:2409.05377, section III.

DAC's stacks with an LSTM at the narrow end and activations without aliasing; what the paper leaves out is as in the
released code (github.com/Aria-K-Alethia/BigCodec).

    encoder  conv 7 | 3 units, activation, stride 2 | ...  | LSTM | activation, conv 3
    decoder  conv 7 | LSTM | activation, stride 5, 3 units | ...  | activation, conv 7, tanh
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from oration.codecs.codec import Codec
from oration.codecs.dac import DILATIONS, down, up
from oration.nn.activations import SnakeBeta
from oration.nn.antialias import AntiAliased
from oration.nn.conv import Conv
from oration.nn.pieces import Chain, Residual
from oration.nn.quantize import FactorisedRvq
from oration.nn.recurrent import Lstm


@dataclass(frozen=True, kw_only=True)
class BigCodecEncoder:
    """float[B, T, 1] -> float[B, T / hop, dim]"""

    width: int = 48
    """Next to the sound; it doubles with each stride."""
    strides: tuple[int, ...] = (2, 2, 2, 5, 5)
    lstm: int = 2
    """Layers; 0: none."""
    dim: int = 1024
    """Width of a vector."""

    def tiny(self) -> BigCodecEncoder:
        """The same structure, narrow."""
        return replace(self, width=2, dim=16)

    def build(self) -> Chain:
        width = self.width
        layers: list[nn.Module] = [Conv.same(1, width, 7, normed=True)]
        for stride in self.strides:
            layers.append(Chain(*units(width), activation(width), down(width, stride)))
            width *= 2
        if self.lstm:
            layers.append(Lstm(width, self.lstm))
        return Chain(*layers, activation(width), Conv.same(width, self.dim, 3, normed=True))


@dataclass(frozen=True, kw_only=True)
class BigCodecDecoder:
    """float[B, F, dim] -> float[B, F * hop, 1]"""

    dim: int = 1024
    """Width of a vector."""
    width: int = 1536
    """Of the first layers; it halves with each stride."""
    strides: tuple[int, ...] = (5, 5, 2, 2, 2)
    lstm: int = 2
    """Layers; 0: none."""

    def tiny(self) -> BigCodecDecoder:
        """The same structure, narrow."""
        return replace(self, width=2 * 2 ** len(self.strides), dim=16)

    def build(self) -> Chain:
        width = self.width
        layers: list[nn.Module] = [Conv.same(self.dim, width, 7, normed=True)]
        if self.lstm:
            layers.append(Lstm(width, self.lstm))
        for stride in self.strides:
            layers.append(Chain(activation(width), up(width, stride, full=True), *units(width // 2)))
            width //= 2
        return Chain(*layers, activation(width), Conv.same(width, 1, 7, normed=True), nn.Tanh())


def activation(width: int) -> AntiAliased:
    """SnakeBeta without aliasing."""
    return AntiAliased(SnakeBeta(width))


def units(width: int) -> list[Residual]:
    """The three residual units of a width."""
    return [
        Residual(
            Chain(
                activation(width),
                Conv.same(width, width, 7, dilation=dilation, normed=True),
                activation(width),
                Conv.same(width, width, 1, normed=True),
            )
        )
        for dilation in DILATIONS
    ]


BIGCODEC = Codec(
    encoder=(BigCodecEncoder(),),
    quantizer=FactorisedRvq(levels=1, size=8192, dim=8, dropout=0.0),
    decoder=(BigCodecDecoder(),),
    dim=1024,
    rate=16_000,
)
"""One code of 8192 at 80 Hz, 1.04 kbit/s."""
