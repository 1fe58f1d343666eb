"""Discrete streams to sound by upsampling convolutions. Polyak et al. 2021, arXiv:2104.00355, section 2.2.

The generator is HiFi-GAN (Kong et al. 2020, arXiv:2010.05646, section 2.2, V1); each stream has a table of embeddings,
and the tables' vectors stand side by side at its input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from oration.core import BadInput, Example, Specs, Waveform
from oration.vocoders.chunks import LiveDecoder, decode
from oration.vocoders.condition import Condition, repeats

SLOPE = 0.1


@dataclass(frozen=True, kw_only=True)
class UnitHifiGan:
    """The paper's sizes, at 100 frames a second, the rate of `f0`.

    From units alone, at 50 Hz, the paper's five stages are `upsample=(5, 4, 4, 2, 2), kernels=(11, 8, 8, 4, 4)`.
    """

    needs: tuple[str, ...] = ("units", "f0")
    embedding: int = 128
    """Width of each stream's table."""
    upsample: tuple[int, ...] = (5, 4, 4, 2)
    """Factor of each stage; their product is the hop in samples."""
    kernels: tuple[int, ...] = (11, 8, 8, 4)
    """Of the transposed convolution of each stage; odd or even as its factor is."""
    channels: int = 512
    """Before the first stage; each stage halves them."""
    blocks: tuple[int, ...] = (3, 7, 11)
    """Kernels of the residual blocks whose mean ends a stage (multi-receptive field fusion)."""
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    """Of each of those blocks."""
    double: bool = True
    """Whether every dilated convolution is followed by a plain one (V1 and V2, not V3)."""
    rate: int = 16_000
    """Hz"""

    def __post_init__(self) -> None:
        fits = all(k >= s and (k - s) % 2 == 0 for k, s in zip(self.kernels, self.upsample, strict=False))
        if len(self.kernels) != len(self.upsample) or not fits or self.channels >> len(self.upsample) < 1:
            raise BadInput(
                f"each stage needs a kernel not below its factor, both odd or both even, and channels to halve; "
                f"got kernels={self.kernels}, upsample={self.upsample}, channels={self.channels}"
            )

    @classmethod
    def tiny(cls) -> UnitHifiGan:
        return cls(
            embedding=8,
            upsample=(16, 10),
            kernels=(16, 10),
            channels=16,
            blocks=(3,),
            dilations=((1, 2),),
            double=False,
        )

    @classmethod
    def small(cls) -> UnitHifiGan:
        """Like V3 of Kong et al. 2020: a tenth of the parameters, which a CPU can train in hours."""
        return cls(
            upsample=(8, 5, 4),
            kernels=(16, 11, 8),
            channels=128,
            blocks=(3, 5, 7),
            dilations=((1, 2), (2, 6), (3, 12)),
            double=False,
        )

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.upsample)

    def build(self, specs: Specs) -> UnitHifiGanModel:
        """The generator for streams of these specs.

        Raises:
            BadInput: a needed stream that is not there, or whose rate does not divide the frame rate.
        """
        return UnitHifiGanModel(self, specs)


class UnitHifiGanModel(nn.Module):
    """`Gan` trains it through `forward`; `reach` is (frames before, frames after) that a frame depends on."""

    def __init__(self, config: UnitHifiGan, specs: Specs) -> None:
        super().__init__()
        self.config, self.needs, self.hop, self.rate = config, config.needs, config.hop, config.rate
        frame_rate = Fraction(config.rate, config.hop)
        self.repeats = repeats(config.needs, specs, frame_rate)
        self.specs = {name: specs[name] for name in config.needs}
        self.condition = Condition(config.needs, specs, dim=config.embedding, frame_rate=frame_rate, beside=True)
        self.first = weight_norm(nn.Conv1d(self.condition.dim, config.channels, 7, padding=3))
        self.stages = nn.ModuleList(_Stage(config, number) for number in range(len(config.upsample)))
        self.last = weight_norm(nn.Conv1d(config.channels >> len(config.upsample), 1, 7, padding=3))
        side = _reach(config)
        self.reach = (side, side)

    @property
    def delay(self) -> float:
        """Seconds between the last item a frame of sound waits for and that frame."""
        return self.reach[1] * self.hop / self.rate

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Streams, as `Condition` takes them -> float[B, frames * hop], silent in the padding."""
        x, valid = self.condition(streams)
        x = self.first(x.transpose(1, 2))
        for stage in self.stages:
            x = stage(x)
        wave = torch.tanh(self.last(F.leaky_relu(x, SLOPE)))[:, 0]
        return wave if valid is None else wave * valid[:, :, 0].repeat_interleave(self.hop, 1)

    sound = forward

    def extend(self, part: Example, memory: Any) -> tuple[Example, Any]:
        """For decoding in pieces: nothing here depends on all that went before."""
        return part, memory

    def decode(self, examples: Sequence[Example]) -> list[Waveform]:
        """Examples with the streams it needs -> recordings, in memory for these and a few seconds of work.

        Raises:
            BadInput: a stream is missing, holds symbols it cannot hold, or is shorter than its companions.
        """
        return decode(self, examples)

    def live(self) -> LiveDecoder:
        """A decoder that is fed part by part and gives the same samples."""
        return LiveDecoder(self)


class _Stage(nn.Module):
    """Upsample, then the mean of residual blocks of several spans."""

    def __init__(self, config: UnitHifiGan, number: int) -> None:
        super().__init__()
        factor, kernel = config.upsample[number], config.kernels[number]
        width = config.channels >> (number + 1)
        up = nn.ConvTranspose1d(config.channels >> number, width, kernel, factor, (kernel - factor) // 2)
        nn.init.normal_(up.weight, std=0.01)
        self.up = weight_norm(up)
        self.blocks = nn.ModuleList(
            _Residual(width, size, dilations, config.double)
            for size, dilations in zip(config.blocks, config.dilations, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(F.leaky_relu(x, SLOPE))
        total = self.blocks[0](x)
        for block in self.blocks[1:]:
            total = total + block(x)
        return total / len(self.blocks)


class _Residual(nn.Module):
    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...], double: bool) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(_conv(width, kernel, dilation) for dilation in dilations)
        self.plain = nn.ModuleList(_conv(width, kernel, 1) for _ in dilations) if double else None

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate(self.dilated):
            y = layer(F.leaky_relu(x, SLOPE))
            if self.plain is not None:
                y = self.plain[number](F.leaky_relu(y, SLOPE))
            x = x + y
        return x


def _conv(width: int, kernel: int, dilation: int) -> nn.Module:
    layer = nn.Conv1d(width, width, kernel, dilation=dilation, padding=(kernel - 1) // 2 * dilation)
    nn.init.normal_(layer.weight, std=0.01)
    return weight_norm(layer)


def _reach(config: UnitHifiGan) -> int:
    """Frames on either side of a frame that its samples depend on."""
    frames, rate = Fraction(3), 1
    for factor, kernel in zip(config.upsample, config.kernels, strict=True):
        frames += Fraction(-(-kernel // factor), rate)
        rate *= factor
        spans = (
            sum((size - 1) // 2 * (dilation + config.double) for dilation in dilations)
            for size, dilations in zip(config.blocks, config.dilations, strict=True)
        )
        frames += Fraction(max(spans), rate)
    return math.ceil(frames + Fraction(3, rate))
