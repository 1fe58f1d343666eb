"""SoundStream: SEANet without recurrence around residual codebooks. Zeghidour et al. 2021, arXiv:2107.03312.

Section III-A and figure 3 for the nets, III-C for the quantizer. No weights were released; how wide a vector is, the
paper does not say, and it could not be checked.
"""

from __future__ import annotations

from oration.codecs.codec import Codec
from oration.codecs.seanet import SeaNetDecoder, SeaNetEncoder
from oration.nn.quantize import Rvq

_ENCODER = SeaNetEncoder(
    dim=64,
    last=3,
    units=3,
    unit_kernel=7,
    dilation=3,
    compress=1,
    shortcut="identity",
    lstm=0,
    padding="zeros",
    norm="none",
)
_DECODER = SeaNetDecoder(
    dim=64, units=3, unit_kernel=7, dilation=3, compress=1, shortcut="identity", lstm=0, padding="zeros", norm="none"
)

SOUNDSTREAM = Codec(
    encoder=(_ENCODER,),
    quantizer=Rvq(levels=24, size=1024, dropout=1.0),
    decoder=(_DECODER,),
    dim=64,
    rate=24_000,
    levels=8,
)
"""24 kHz, causal, 75 frames a second, trained for 1 to 24 levels (18 kbit/s); 8 of them are streams (6 kbit/s)."""
