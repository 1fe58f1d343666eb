"""HiFi-GAN's generator as the decoder of a codec. Kong et al. 2020, arXiv:2010.05646, section 2.2.

HiFi-Codec (Yang et al. 2023, arXiv:2305.02765) takes it as it is; AudioDec (Wu et al. 2023, arXiv:2305.16608, section
2.3) makes it causal and, instead of blocks of several spans, has copies of one width convolved in groups.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.conv import Conv, Upsample
from oration.nn.pieces import Chain, Pieces, Residual, State

SLOPE = 0.1


@dataclass(frozen=True, kw_only=True)
class HifiGan:
    """float[B, F, dim] -> float[B, F * hop, 1]"""

    dim: int = 512
    """Width of a vector."""
    width: int = 512
    """Of the first layer; it halves with each stride."""
    strides: tuple[int, ...] = (8, 5, 4, 2)
    kernels: tuple[int, ...] = (16, 11, 8, 4)
    """Of the transposed convolution of each stride."""
    blocks: tuple[int, ...] = (3, 7, 11)
    """Kernels of the residual blocks, whose mean counts."""
    dilations: tuple[int, ...] = (1, 3, 5)
    copies: int = 1
    """So many copies of the channels, each convolved for itself, then mixed; only with one block."""
    causal: bool = False
    last: float = SLOPE
    """Slope below 0 before the last convolution."""
    standard: bool = False
    """Vectors are first shifted and scaled by numbers that belong to the weights."""

    def __post_init__(self) -> None:
        if self.copies > 1 and len(self.blocks) > 1:
            raise BadInput(f"HifiGan with copies={self.copies} has blocks={self.blocks}, expected one kernel")

    def tiny(self) -> HifiGan:
        """The same structure, narrow."""
        return replace(self, dim=min(self.dim, 16), width=2 * 2 ** len(self.strides))

    def build(self) -> Chain:
        width = self.width
        layers: list[nn.Module] = [Standard(self.dim)] if self.standard else []
        layers.append(spanning(self.dim, width, 7, causal=self.causal))
        for stride, kernel in zip(self.strides, self.kernels, strict=True):
            layers += [nn.LeakyReLU(SLOPE, inplace=True), self._up(width, kernel, stride)]
            width //= 2
            layers.append(self._blocks(width))
        last = spanning(width, 1, 7, causal=self.causal)
        return Chain(*layers, nn.LeakyReLU(self.last, inplace=True), last, nn.Tanh())

    def _up(self, width: int, kernel: int, stride: int) -> Upsample:
        if self.causal:
            return Continued(width, width // 2, kernel, stride=stride, normed=True)
        side = (kernel - stride) // 2
        return Upsample(width, width // 2, kernel, stride=stride, left=side, right=side, normed=True)

    def _blocks(self, width: int) -> Pieces:
        if self.copies > 1:
            block = residual_block(width * self.copies, self.blocks[0], self.dilations, self.causal, self.copies)
            return Chain(Copies(self.copies), block, Conv(width * self.copies, width, 1, bias=False, normed=True))
        return mean([residual_block(width, kernel, self.dilations, self.causal) for kernel in self.blocks])


def spanning(width: int, dim: int, kernel: int, *, dilation: int = 1, groups: int = 1, causal: bool) -> Conv:
    """A convolution that gives as many frames as it is given."""
    if causal:
        return Conv(width, dim, kernel, dilation=dilation, groups=groups, normed=True)
    return Conv.same(width, dim, kernel, dilation=dilation, groups=groups, normed=True)


def residual_block(width: int, kernel: int, dilations: tuple[int, ...], causal: bool, groups: int = 1) -> Chain:
    """For each dilation a dilated convolution and a plain one, around them nothing."""
    return Chain(
        *(
            Residual(
                Chain(
                    nn.LeakyReLU(SLOPE),
                    spanning(width, width, kernel, dilation=dilation, groups=groups, causal=causal),
                    nn.LeakyReLU(SLOPE, inplace=True),
                    spanning(width, width, kernel, groups=groups, causal=causal),
                )
            )
            for dilation in dilations
        )
    )


def mean(blocks: list[Chain]) -> Pieces:
    """The mean of what blocks give, the one that looks ahead furthest last among them."""
    total: Pieces = blocks[0]
    for block in blocks[1:]:
        total = Residual(block, total)
    return Chain(total, Scaled(1 / len(blocks))) if len(blocks) > 1 else total


class Scaled(nn.Module):
    """Times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Copies(nn.Module):
    """The channels several times."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(1, 1, self.number)


class Standard(nn.Module):
    """(x - mean) / scale, of statistics that belong to the weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale


class Continued(Upsample):
    """A causal `Upsample` before whose first frame there were more of the same, as AudioDec has it."""

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T * stride, C']"""
        return self._spread(torch.cat((x[:, :1].expand(-1, self.reach, -1), x), 1))

    def start(self, batch: int, like: Tensor) -> State:
        return *super().start(batch, like), torch.ones(batch, dtype=torch.bool, device=like.device)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        kept, fresh = state
        if x.shape[1]:
            kept = torch.where(fresh[:, None, None], x[:, :1], kept)
            fresh = torch.zeros_like(fresh)
        y, (kept,) = super().push(x, (kept,))
        return y, (kept, fresh)
