"""HiFi-Codec: HiFi-GAN's generator and its mirror image around groups of codebooks. Yang et al. 2023, arXiv:2305.02765.

The numbers are those of section 3 and of the released configurations (AcademiCodec, `egs/HiFi-Codec-*`). Its encoder
normalises over all frames of a recording, which is therefore held until its end: it streams, but not live, and its
memory grows with the recording.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oration.codecs.codec import Codec
from oration.codecs.hifigan import SLOPE, HifiGan, residual_block
from oration.nn.conv import Conv
from oration.nn.norms import Held
from oration.nn.pieces import Chain
from oration.nn.quantize import GroupRvq, Rvq

SHARED = 16
"""Channels that are normalised together."""


@dataclass(frozen=True, kw_only=True)
class HifiEncoder:
    """float[B, T, 1] -> float[B, T / hop, dim]"""

    dim: int = 512
    filters: int = 32
    """Width next to the sound; it doubles with each stride."""
    strides: tuple[int, ...] = (2, 4, 5, 8)
    kernels: tuple[int, ...] = (4, 8, 11, 16)
    blocks: tuple[int, ...] = (11, 7, 3)
    dilations: tuple[int, ...] = (1, 3, 5)

    def tiny(self) -> HifiEncoder:
        return replace(self, dim=min(self.dim, 16), filters=SHARED // 2)

    def build(self) -> Chain:
        width = self.filters
        layers: list[nn.Module] = [Conv.same(1, width, 7, normed=True)]
        for stride, kernel in zip(self.strides, self.kernels, strict=True):
            side = (kernel - stride) // 2
            down = Conv(
                width, 2 * width, kernel, stride=stride, left=side, right=side, whole=False, normed=True
            )  # fmt: skip
            width *= 2
            layers += [nn.LeakyReLU(SLOPE, inplace=True), down, NormedBlocks(width, self.blocks, self.dilations)]
        return Chain(*layers, nn.LeakyReLU(0.01, inplace=True), Conv.same(width, self.dim, 3))


class NormedBlocks(Held):
    """The mean of residual blocks of several spans, whose sum is normalised after each is added."""

    def __init__(self, width: int, blocks: tuple[int, ...], dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(residual_block(width, kernel, dilations, False) for kernel in blocks)
        self.norms = nn.ModuleList(Grouped(width) for _ in blocks)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        total: Tensor | None = None
        for block, norm in zip(self.blocks, self.norms, strict=True):
            y = block(x)
            total = norm(y if total is None else total + y)
        return x if total is None else total / len(self.blocks)


class Grouped(nn.GroupNorm):
    """Mean and spread over all frames and `SHARED` channels. Wu & He 2018, arXiv:1803.08494."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim // SHARED, dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        shape = (len(x), x.shape[1], self.num_groups, SHARED)
        spread, mean = torch.var_mean(x.view(shape), (1, 3), correction=0, keepdim=True)
        y = (x.view(shape) - mean) * (spread + self.eps).rsqrt()
        return y.view(x.shape) * self.weight + self.bias


HIFICODEC_24K = Codec(
    encoder=(HifiEncoder(strides=(2, 3, 5, 8), kernels=(4, 7, 11, 16)),),
    quantizer=GroupRvq(groups=2, each=Rvq(levels=2, size=1024, commitment=0.25), order="rounds"),
    decoder=(HifiGan(strides=(8, 5, 3, 2), kernels=(16, 11, 7, 4)),),
    dim=512,
    rate=24_000,
)
"""`HiFi-Codec-24k-240d`: 100 frames a second, 4 kbit/s."""

HIFICODEC_24K_320D = replace(HIFICODEC_24K, encoder=(HifiEncoder(),), decoder=(HifiGan(),))
"""`HiFi-Codec-24k-320d`, configuration B3 of the overview: 75 frames a second, 3 kbit/s."""
HIFICODEC_16K_320D = replace(HIFICODEC_24K_320D, rate=16_000)
"""`HiFi-Codec-16k-320d`, configurations B1 (LibriTTS) and B2 (the larger data) of the overview: 50 frames, 2 kbit/s."""
