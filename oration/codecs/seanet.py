"""SEANet: convolutions that shorten sound step by step, and their mirror image. arXiv:2009.02095.

Tagliasacchi et al. 2020; as used by SoundStream (Zeghidour et al. 2021, arXiv:2107.03312, section III-A, figure 3),
EnCodec (Défossez et al. 2022, arXiv:2210.13438, section 3.1), SpeechTokenizer and Mimi, which differ in numbers alone.

    encoder  conv | units, stride 2 | units, stride 4 | units, stride 5 | units, stride 8 | LSTM | conv
    decoder  conv | LSTM | stride 8, units | ...                                                | conv
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from torch import nn

from oration.core import BadInput
from oration.nn.activations import Elu, Snake
from oration.nn.conv import Conv, Padding, Upsample
from oration.nn.norms import Cut, TimeNorm
from oration.nn.pieces import Chain, Pieces, Residual
from oration.nn.recurrent import Lstm


@dataclass(frozen=True, kw_only=True)
class SeaNet:
    """What both sides say; the defaults are EnCodec's at 24 kHz."""

    dim: int = 128
    """Width of a vector."""
    filters: int = 32
    """Width next to the sound; it doubles with each ratio."""
    channels: int = 1
    """Of the sound."""
    ratios: tuple[int, ...] = (8, 5, 4, 2)
    """Strides as the decoder has them; the encoder's are the same from last to first."""
    kernel: int = 7
    """Of the first convolution."""
    last: int = 7
    """Of the last convolution."""
    units: int = 1
    """Residual units at each width."""
    unit_kernel: int = 3
    dilation: int = 2
    """Unit n is dilated by this to the power of n."""
    compress: int = 2
    """How much narrower a unit is inside."""
    shortcut: Literal["conv", "identity"] = "conv"
    """Around a unit."""
    lstm: int = 2
    """Layers; 0: none."""
    both_ways: bool = False
    """The LSTM reads backwards too; then all of a recording is held until its end."""
    causal: bool = True
    padding: Padding = "reflect"
    norm: Literal["weight", "time", "none"] = "weight"
    """`time`: over all frames and channels of what is given (EnCodec at 48 kHz, of one second)."""
    activation: Literal["elu", "snake"] = "elu"

    def tiny(self) -> Self:
        """The same structure of few filters."""
        return replace(self, dim=min(self.dim, 16), filters=min(self.filters, 4))

    @property
    def hop(self) -> int:
        """Samples of a frame."""
        return math.prod(self.ratios)

    def __post_init__(self) -> None:
        if self.filters % self.compress:
            raise BadInput(f"SEANet needs filters that compress divides, got {self.filters} and {self.compress}")


@dataclass(frozen=True, kw_only=True)
class SeaNetEncoder(SeaNet):
    """float[B, T, channels] -> float[B, T / hop, dim]"""

    def build(self) -> Chain:
        width = self.filters
        layers: list[nn.Module] = [conv(self, self.channels, width, self.kernel)]
        for ratio in reversed(self.ratios):
            layers += [unit(self, width, self.dilation**n) for n in range(self.units)]
            layers += [activation(self, width), conv(self, width, 2 * width, 2 * ratio, stride=ratio)]
            width *= 2
        if self.lstm:
            recurrent = Lstm(width, self.lstm, both_ways=self.both_ways)
            layers.append(recurrent)
            width = recurrent.dim
        return Chain(*layers, activation(self, width), conv(self, width, self.dim, self.last))


@dataclass(frozen=True, kw_only=True)
class SeaNetDecoder(SeaNet):
    """float[B, F, dim] -> float[B, F * hop, channels]"""

    def build(self) -> Chain:
        width = self.filters * 2 ** len(self.ratios)
        layers: list[nn.Module] = [conv(self, self.dim, width, self.kernel)]
        given = width
        if self.lstm:
            recurrent = Lstm(width, self.lstm, both_ways=self.both_ways)
            layers.append(recurrent)
            given = recurrent.dim
        for ratio in self.ratios:
            layers += [activation(self, given), upsample(self, given, width // 2, ratio)]
            given = width = width // 2
            layers += [unit(self, width, self.dilation**n) for n in range(self.units)]
        return Chain(*layers, activation(self, width), conv(self, width, self.channels, self.last))


def activation(net: SeaNet, width: int, *, over: bool = True) -> nn.Module:
    """`over`: what is given to it is used nowhere else."""
    return Elu(over=over) if net.activation == "elu" else Snake(width, over=over)


def conv(net: SeaNet, width: int, dim: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> Pieces:
    """A convolution with the padding and the norm of `net`."""
    total = (kernel - 1) * dilation + 1 - stride
    right = 0 if net.causal else total // 2
    layer = Conv(
        width, dim, kernel, stride=stride, dilation=dilation, left=total - right, right=right, padding=net.padding,
        normed=net.norm == "weight",
    )  # fmt: skip
    return Chain(layer, TimeNorm(dim)) if net.norm == "time" else layer


def upsample(net: SeaNet, width: int, dim: int, ratio: int) -> Pieces:
    """A transposed convolution that overlaps by one stride, cut at the end or, if `net` looks ahead, around."""
    right = ratio if net.causal else ratio // 2
    if net.norm == "time":  # which sees what is cut
        return Chain(Upsample(width, dim, 2 * ratio, stride=ratio, right=0), TimeNorm(dim), Cut(ratio - right, right))
    return Upsample(width, dim, 2 * ratio, stride=ratio, left=ratio - right, right=right, normed=net.norm == "weight")


def unit(net: SeaNet, width: int, dilation: int) -> Residual:
    """A residual unit: a wide convolution and one of a frame, around them a convolution of a frame or nothing."""
    inside = width // net.compress
    inner = Chain(
        activation(net, width, over=False),
        conv(net, width, inside, net.unit_kernel, dilation=dilation),
        activation(net, inside),
        conv(net, inside, width, 1),
    )
    return Residual(inner, conv(net, width, width, 1) if net.shortcut == "conv" else None)
