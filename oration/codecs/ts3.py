"""TS3-Codec: linear layers and causal Transformers alone, one codebook. Wu et al. 2024, arXiv:2411.18803.

From its abstract: no convolution; frames of the sound itself go through linear layers into Transformers
that look back through a window; a factorised codebook; 16 kHz. Frames of 20 or 25 ms at 40 to 50 Hz are the paper's,
and a codebook of 2^16 at 50 Hz is the 77 % of BigCodec's bits that the abstract gives. The authors released neither
code nor weights: widths, layers, heads and window below are ours and stand for no published figure.

    wave  -- frames of 320, linear -->  -- 8 layers -->  codec.0  -- 8 layers -->  -- linear, frames of 320 -->  wave
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from oration.codecs.codec import Codec
from oration.codecs.mimi import Context
from oration.nn.conv import Conv, Upsample
from oration.nn.quantize import FactorisedRvq
from oration.nn.transformer import Layer


@dataclass(frozen=True, kw_only=True)
class Framed:
    """A linear layer on the samples of a frame, float[B, T, 1] -> float[B, T / frame, dim]."""

    dim: int = 1024
    frame: int = 320
    """Samples."""

    def tiny(self) -> Framed:
        return replace(self, dim=min(self.dim, 16))

    def build(self) -> Conv:
        return Conv(1, self.dim, self.frame, stride=self.frame)


@dataclass(frozen=True, kw_only=True)
class Unframed:
    """A linear layer that gives the samples of a frame, float[B, F, dim] -> float[B, F * frame, 1]."""

    dim: int = 1024
    frame: int = 320
    """Samples."""

    def tiny(self) -> Unframed:
        return replace(self, dim=min(self.dim, 16))

    def build(self) -> Upsample:
        return Upsample(self.dim, 1, self.frame, stride=self.frame)


_DEEP = Context(
    dim=1024,
    width=1024,
    inside=1024,
    heads=16,
    ffn=4096,
    window=32,
    layer=Layer(norm="layer", norm_eps=1e-5, mlp="gelu"),
)


def ts3(*, frame: int = 320, size: int = 2**16) -> Codec:
    """A configuration: `frame` samples at 16 kHz an item, of `size` codewords.

    >>> spec = ts3(frame=400).specs()["codec.0"]
    >>> spec.size, float(spec.rate)
    (65536, 40.0)
    """
    return Codec(
        encoder=(Framed(frame=frame), _DEEP),
        quantizer=FactorisedRvq(levels=1, size=size, dropout=0.0),
        decoder=(_DEEP, Unframed(frame=frame)),
        dim=1024,
        rate=16_000,
    )


TS3 = ts3()
"""50 Hz, 800 bit/s."""
TS3_40HZ = ts3(frame=400)
"""40 Hz, 640 bit/s."""
