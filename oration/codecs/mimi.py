"""Mimi: a SEANet with Transformers in its bottleneck, whose first level says what is said. Défossez et al. 2024.

arXiv:2410.00037, section 3.3. Both Transformers look back 10 s and never ahead, so a frame of 80 ms goes in and its
codes come out at once. The figures are those of the released model (the package `moshi` 0.2.13, models/loaders.py).

    wave  -- SEANet / 960 -->  25 Hz  -- 8 layers -->  -- stride 2 -->  12.5 Hz  -->  codec.0; codec.1 ... codec.7
    wave  <-- SEANet * 960 --  25 Hz  <-- 8 layers --  <-- stride 2 --  12.5 Hz  <--
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from oration.codecs.codec import Codec
from oration.codecs.seanet import SeaNetDecoder, SeaNetEncoder
from oration.nn.conv import Conv, Upsample
from oration.nn.quantize import SplitRvq
from oration.nn.transformer import Layer, TransformerStack
from oration.nn.windowed import Windowed

SCALED = Layer(norm="layer", norm_eps=1e-5, mlp="gelu", scale=0.01, final=False)
"""What the layers are made of; each adds little at first."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """A causal Transformer over frames, float[B, F, width] -> float[B, F, dim]: each is seen beside those before it."""

    dim: int = 512
    """Width of the frames that it gives."""
    width: int = 512
    """Width of the frames that it takes."""
    inside: int = 512
    """Width of the Transformer; where it differs, linear layers stand before and after."""
    layers: int = 8
    heads: int = 8
    ffn: int = 2048
    window: int = 250
    """Frames that a frame sees, itself the last."""
    base: float = 10_000.0
    """Of the rotary positions."""
    layer: Layer = SCALED

    def tiny(self) -> Context:
        """Two layers of the same kind that look back eight frames."""
        dim, width, inside = (min(size, 16) for size in (self.dim, self.width, self.inside))
        return replace(self, dim=dim, width=width, inside=inside, layers=2, heads=2, ffn=24, window=8)

    def build(self) -> Windowed:
        stack = TransformerStack(
            dim=self.inside,
            layers=self.layers,
            heads=self.heads,
            ffn=self.ffn,
            window=self.window,
            rope_base=self.base,
            layer=self.layer,
            positions="rotary_interleaved",
        )
        return Windowed(stack, width=self.width, dim=self.dim)


@dataclass(frozen=True, kw_only=True)
class Slower:
    """A convolution that makes one frame of `stride`; what is before the first frame is as that."""

    dim: int = 512
    stride: int = 2

    def tiny(self) -> Slower:
        return replace(self, dim=min(self.dim, 16))

    def build(self) -> Conv:
        return Conv(self.dim, self.dim, 2 * self.stride, stride=self.stride, padding="replicate", bias=False)


@dataclass(frozen=True, kw_only=True)
class Faster:
    """A transposed convolution of each channel for itself that makes `stride` frames of one."""

    dim: int = 512
    stride: int = 2

    def tiny(self) -> Faster:
        return replace(self, dim=min(self.dim, 16))

    def build(self) -> Upsample:
        return Upsample(self.dim, self.dim, 2 * self.stride, stride=self.stride, groups=self.dim, bias=False)


_ENCODER = SeaNetEncoder(
    dim=512, filters=64, ratios=(8, 6, 5, 4), last=3, shortcut="identity", lstm=0, padding="zeros", norm="none"
)
_DECODER = SeaNetDecoder(
    dim=512, filters=64, ratios=(8, 6, 5, 4), last=3, shortcut="identity", lstm=0, padding="zeros", norm="none"
)

MIMI = Codec(
    encoder=(_ENCODER, Context(), Slower()),
    quantizer=SplitRvq(levels=32),
    decoder=(Faster(), Context(), _DECODER),
    dim=512,
    levels=8,
)
"""`kyutai/mimi`: 24 kHz, 12.5 frames a second, 32 levels of which Moshi uses 8 (1.1 kbit/s), 2048 symbols each."""
