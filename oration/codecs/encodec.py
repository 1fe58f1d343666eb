"""EnCodec: SEANet with an LSTM around residual codebooks. Défossez et al. 2022, arXiv:2210.13438.

The numbers are those of section 3.1 and 3.2 and, where it is silent, of the released package (encodec 0.1.1).
"""

from __future__ import annotations

from dataclasses import replace

from oration.codecs.codec import Codec
from oration.codecs.seanet import SeaNetDecoder, SeaNetEncoder
from oration.nn.quantize import Rvq

ENCODEC_24K = Codec(
    encoder=(SeaNetEncoder(),),
    quantizer=Rvq(levels=32, size=1024, dropout=1.0, cuts=(2, 4, 8, 16, 32)),
    decoder=(SeaNetDecoder(),),
    dim=128,
    rate=24_000,
    whole=False,
)
"""`facebook/encodec_24khz`, configuration E5 of the overview: causal, 75 frames a second, 24 kbit/s.

It was trained for 2, 4, 8, 16 and 32 levels.
"""

ENCODEC_24K_1_5KBPS = replace(ENCODEC_24K, levels=2)
"""Configuration E1."""
ENCODEC_24K_3KBPS = replace(ENCODEC_24K, levels=4)
"""Configuration E2."""
ENCODEC_24K_6KBPS = replace(ENCODEC_24K, levels=8)
"""Configuration E3."""
ENCODEC_24K_12KBPS = replace(ENCODEC_24K, levels=16)
"""Configuration E4."""
