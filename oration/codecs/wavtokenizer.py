"""WavTokenizer: one large codebook, and a decoder of the Vocos kind. Ji et al. 2024, arXiv:2408.16532.

encoder  SEANet that looks ahead, with an LSTM (section 3.1)
codes    one level of 4096 (section 3.2)
decoder  conv | norms over time and attention | ConvNeXt blocks | inverse STFT (section 3.3)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from oration.codecs.codec import Codec
from oration.codecs.seanet import SeaNetEncoder
from oration.nn.conv import Conv
from oration.nn.convnext import ConvNeXt
from oration.nn.pieces import Chain
from oration.nn.quantize import Rvq
from oration.nn.spectral import InverseSpectrum
from oration.nn.stretches import GroupNorm, NormedAttention, NormedConvs, Stretches


@dataclass(frozen=True, kw_only=True)
class WavTokenizerDecoder:
    """Vectors float[B, F, dim] -> sound float[B, F * hop, 1]. The defaults are those for 40 frames a second.

    The release's norms are conditioned on one of four bandwidths, which are all the same there: these are not.
    """

    dim: int = 512
    width: int = 768
    inner: int = 2304
    layers: int = 12
    """ConvNeXt blocks."""
    groups: int = 32
    """Of the norms over time."""
    fft: int = 2400
    hop: int = 600
    dropout: float = 0.1
    stretch: int = 3000
    """Frames that the norms over time and the attention see together. Recordings of less than twice as many are seen
    as a whole, as in the release; longer ones stretch by stretch, where the release would want memory without bound.
    """

    def tiny(self) -> WavTokenizerDecoder:
        """The same structure, narrow."""
        return replace(self, dim=16, width=16, inner=24, layers=2, groups=4, stretch=40)

    def build(self) -> Chain:
        width, groups = self.width, self.groups
        together = nn.Sequential(
            NormedConvs(width, groups, self.dropout),
            NormedConvs(width, groups, self.dropout),
            NormedAttention(width, groups),
            NormedConvs(width, groups, self.dropout),
            NormedConvs(width, groups, self.dropout),
            GroupNorm(width, groups),
        )
        return Chain(
            Conv.same(self.dim, width, 7),
            Stretches(together, self.stretch),
            nn.LayerNorm(width, eps=1e-6),
            ConvNeXt(width, self.inner, self.layers, ahead=None),
            nn.LayerNorm(width, eps=1e-6),
            InverseSpectrum(width, self.fft, self.hop, (self.fft - self.hop) // 2, top=100.0),
        )


def wavtokenizer(ratios: tuple[int, ...], fft: int, size: int = 4096) -> Codec:
    """A codec at 24 kHz of one level whose frames have as many samples as `ratios` multiply to."""
    encoder = SeaNetEncoder(dim=512, ratios=ratios, causal=False)
    decoder = WavTokenizerDecoder(fft=fft, hop=encoder.hop)
    return Codec(
        encoder=(encoder,), quantizer=Rvq(levels=1, size=size), decoder=(decoder,), dim=512, rate=24_000, whole=False
    )


WAVTOKENIZER_40 = wavtokenizer((6, 5, 5, 4), fft=2400)
"""40 tokens a second: 0.48 kbit/s."""
WAVTOKENIZER_75 = wavtokenizer((8, 5, 4, 2), fft=1280)
"""75 tokens a second: 0.9 kbit/s."""
