"""AudioDec: causal convolutions around residual codebooks, then a better decoder for the same codes. arXiv:2305.16608.

Wu et al. 2023, section 2; the numbers are those of the released configurations (`config/autoencoder`, `vocoder`). The
encoder and decoder are SoundStream's without activations around the strides; what replaces the decoder in the second
stage is HiFi-GAN with grouped convolutions (section 2.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from oration.codecs.codec import Codec
from oration.codecs.hifigan import Continued, HifiGan
from oration.nn.activations import Elu
from oration.nn.conv import Conv
from oration.nn.pieces import Chain, Residual
from oration.nn.quantize import Rvq

DILATIONS = (1, 3, 9)


@dataclass(frozen=True, kw_only=True)
class AudioDecEncoder:
    """float[B, T, 1] -> float[B, T / hop, dim]"""

    dim: int = 64
    filters: int = 32
    """Width next to the sound; it doubles with each stride."""
    strides: tuple[int, ...] = (3, 4, 5, 5)

    def tiny(self) -> AudioDecEncoder:
        return replace(self, dim=min(self.dim, 16), filters=2)

    def build(self) -> Chain:
        width = self.filters
        layers: list[nn.Module] = [Conv(1, width, 7, bias=False)]
        for stride in self.strides:
            # All padding before: an output is of the first sample of its stride and what was before, as released.
            down = Conv(width, 2 * width, 2 * stride, stride=stride, left=2 * stride - 1, whole=False)
            layers += [*units(width), down]
            width *= 2
        return Chain(*layers, Conv(width, self.dim, 3, bias=False))


@dataclass(frozen=True, kw_only=True)
class AudioDecDecoder:
    """float[B, F, dim] -> float[B, F * hop, 1]"""

    dim: int = 64
    filters: int = 32
    strides: tuple[int, ...] = (5, 5, 4, 3)

    def tiny(self) -> AudioDecDecoder:
        return replace(self, dim=min(self.dim, 16), filters=2)

    def build(self) -> Chain:
        width = self.filters * 2 ** len(self.strides)
        layers: list[nn.Module] = [Conv(self.dim, width, 7, bias=False)]
        for stride in self.strides:
            layers += [Continued(width, width // 2, 2 * stride, stride=stride), *units(width // 2)]
            width //= 2
        return Chain(*layers, Conv(width, 1, 7, bias=False))


def units(width: int) -> list[Residual]:
    """The three residual units of a width."""
    return [
        Residual(
            Chain(
                Elu(),
                Conv(width, width, 7, dilation=dilation, bias=False),
                Elu(over=True),
                Conv(width, width, 1, bias=False),
            )
        )
        for dilation in DILATIONS
    ]


AUDIODEC_24K = Codec(
    encoder=(AudioDecEncoder(),),
    quantizer=Rvq(levels=8, size=1024, decay=0.8),
    decoder=(AudioDecDecoder(),),
    dim=64,
    rate=24_000,
)
"""`symAD_libritts_24000_hop300`, configuration C of the overview: 80 frames a second, 6.4 kbit/s."""

AUDIODEC_48K = replace(AUDIODEC_24K, rate=48_000)
"""`symAD_vctk_48000_hop300`: 160 frames a second, 12.8 kbit/s."""

AUDIODEC_48K_HOP320 = replace(
    AUDIODEC_48K,
    encoder=(AudioDecEncoder(strides=(2, 4, 5, 8)),),
    quantizer=Rvq(levels=16, size=1024, decay=0.8),
    decoder=(AudioDecDecoder(strides=(8, 5, 4, 2)),),
)
"""`symAD_c16_vctk_48000_hop320`: 150 frames a second, 24 kbit/s."""

_VOCODER = HifiGan(
    dim=64, strides=(5, 5, 4, 3), kernels=(10, 10, 8, 6), blocks=(11,), copies=3, causal=True, last=0.01, standard=True
)

AUDIODEC_24K_HIFIGAN = replace(AUDIODEC_24K, decoder=(_VOCODER,))
"""The codes of `AUDIODEC_24K` through `AudioDec_v1_symAD_libritts_24000_hop300_clean`."""
AUDIODEC_48K_HIFIGAN = replace(AUDIODEC_48K, decoder=(_VOCODER,))
"""The codes of `AUDIODEC_48K` through `AudioDec_v1_symAD_vctk_48000_hop300_clean`."""
