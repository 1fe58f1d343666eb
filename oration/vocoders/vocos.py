"""Streams to sound by ConvNeXt blocks and an inverse STFT. Siuzdak 2023, arXiv:2306.00814.

Unlike the paper's, this generator reads any streams (units, pitch, speaker, mel), begins with blocks that see further,
because units are coarse, and may bound how far it looks ahead, which is the delay of a live session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from oration.core import Example, Specs, Stream, Waveform
from oration.nn.convnext import ConvNeXtBlock, DepthwiseConv, share_ahead
from oration.nn.excitation import ExcitedHead, Pitch
from oration.nn.istft import StftHead
from oration.vocoders.chunks import LiveDecoder, decode
from oration.vocoders.condition import Condition, repeats


@dataclass(frozen=True, kw_only=True)
class Vocos:
    """The defaults are half the paper's width, for a generator that a CPU can train."""

    needs: tuple[str, ...] = ("units", "f0")
    width: int = 256
    inner: int = 768
    dilations: tuple[int, ...] = (8, 4, 2, 1, 1, 1, 1, 1, 1, 1)
    """One block each."""
    kernel: int = 7
    fft: int = 640
    hop: int = 160
    rate: int = 16_000
    """Hz"""
    pitch: tuple[float, float] | None = (60.0, 400.0)
    """Range in Hz of the log bins of the stream `f0`, from which harmonics are made; None: the paper's head."""
    ahead: int | None = 16
    """Frames that the blocks may look ahead, in all; None is half their span, the paper's choice."""

    @classmethod
    def tiny(cls) -> Vocos:
        return cls(width=16, inner=24, dilations=(2, 1), kernel=3, fft=320, ahead=2)

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second."""
        return Fraction(self.rate, self.hop)

    def build(self, specs: Specs) -> VocosModel:
        """The generator for streams of these specs.

        Raises:
            BadInput: a needed stream that is not there, or whose rate does not divide the frame rate.
        """
        return VocosModel(self, specs)


class VocosModel(nn.Module):
    """`Gan` trains it through `forward`; `reach` is (frames before, frames after) that a frame depends on."""

    def __init__(self, config: Vocos, specs: Specs) -> None:
        super().__init__()
        self.config, self.needs, self.hop, self.rate = config, config.needs, config.hop, config.rate
        self.specs = {name: specs[name] for name in config.needs if name in specs}
        self.repeats = repeats(config.needs, specs, config.frame_rate)
        spans = [(config.kernel, 1), *((config.kernel, dilation) for dilation in config.dilations)]
        rights = share_ahead(spans, config.ahead)
        self.condition = Condition(config.needs, specs, dim=config.width, frame_rate=config.frame_rate)
        self.first = DepthwiseConv(config.width, config.kernel, right=rights[0])
        self.first_norm = nn.LayerNorm(config.width, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(
                config.width,
                config.inner,
                config.kernel,
                dilation=dilation,
                right=right,
                scale=1 / len(config.dilations),
            )
            for dilation, right in zip(config.dilations, rights[1:], strict=True)
        )
        self.last_norm = nn.LayerNorm(config.width, eps=1e-6)
        self.head: StftHead | ExcitedHead
        if config.pitch is None or "f0" not in config.needs:
            self.head = StftHead(config.width, config.fft, config.hop)
        else:
            pitch = Pitch(specs["f0"].size, *config.pitch, float(config.frame_rate))
            self.head = ExcitedHead(config.width, config.fft, config.hop, pitch)
            self.repeats["f0.phase"] = 1
        across = self.head.inverse.reach
        span = sum((kernel - 1) * dilation for kernel, dilation in spans)
        self.reach = (span - sum(rights) + across, sum(rights) + across)

    @property
    def delay(self) -> float:
        """Seconds between the last item a frame of sound waits for and that frame."""
        return self.reach[1] * self.hop / self.rate

    def forward(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Streams, as `Condition` takes them -> float[B, frames * hop], silent in the padding."""
        x, valid = self.condition(streams)
        x = self.first_norm(self.first(x))
        for block in self.blocks:
            x = block(x, valid)
        x = self.last_norm(x)
        if isinstance(self.head, StftHead):
            return self.head(x, valid)
        ids = streams["f0"].repeat_interleave(self.repeats["f0"], 1)[:, : x.shape[1]]
        phase = streams["f0.phase"][:, : x.shape[1]] if "f0.phase" in streams else self.head.pitch.run(ids)[0]
        return self.head(x, ids, phase, valid)

    sound = forward

    def extend(self, part: Example, memory: Tensor | None) -> tuple[Example, Tensor | None]:
        """For decoding in pieces: adds the phase of the pitch, which runs on through a recording."""
        if isinstance(self.head, StftHead) or "f0" not in part or not len(part["f0"]):
            return part, memory
        pitch = self.head.pitch
        ids = torch.from_numpy(part["f0"].ids).to(pitch.hertz.device)[None].repeat_interleave(self.repeats["f0"], 1)
        phase, memory = pitch.run(ids, memory)
        return {**part, "f0.phase": Stream.dense(phase[0].cpu().numpy())}, memory

    def decode(self, examples: Sequence[Example]) -> list[Waveform]:
        """Examples with the streams it needs -> recordings, in memory for these and a few seconds of work.

        Raises:
            BadInput: a stream is missing, holds symbols it cannot hold, or is shorter than its companions.
        """
        return decode(self, examples)

    def live(self) -> LiveDecoder:
        """A decoder that is fed part by part and gives the same samples."""
        return LiveDecoder(self)
