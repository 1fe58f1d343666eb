"""EnCodec: SEANet with an LSTM around residual codebooks. Défossez et al. 2022, arXiv:2210.13438.

The numbers are those of section 3.1 and 3.2 and, where it is silent, of the released package (encodec 0.1.1).
"""

from __future__ import annotations

from dataclasses import replace

from oration.codecs.codec import Codec
from oration.codecs.seanet import SeaNetDecoder, SeaNetEncoder
from oration.codecs.segments import SegmentedCodec
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

ENCODEC_48K = SegmentedCodec(
    encoder=(SeaNetEncoder(channels=2, causal=False, norm="time"),),
    quantizer=Rvq(levels=16, size=1024, dropout=1.0, cuts=(2, 4, 8, 16)),
    decoder=(SeaNetDecoder(channels=2, causal=False, norm="time"),),
    dim=128,
    rate=48_000,
    whole=False,
)
"""`facebook/encodec_48khz`: two channels, segments of a second, of 150 frames each, 24 kbit/s and 1 % for the overlap.

It was trained for 2, 4, 8 and 16 levels.
"""

_MUSIC = SeaNetEncoder(filters=64, ratios=(8, 5, 4, 4), causal=False, padding="zeros", shortcut="identity")

ENCODEC_32K = Codec(
    encoder=(_MUSIC,),
    quantizer=Rvq(levels=4, size=2048),
    decoder=(SeaNetDecoder(filters=64, ratios=_MUSIC.ratios, causal=False, padding="zeros", shortcut="identity"),),
    dim=128,
    rate=32_000,
    whole=False,
)
"""MusicGen's: 50 frames a second, 2.2 kbit/s, looks ahead (audiocraft, config/model/encodec/encodec_large_nq4_s640)."""

ENCODEC_16K = replace(
    ENCODEC_32K,
    encoder=(replace(_MUSIC, ratios=(8, 5, 4, 2)),),
    decoder=(replace(ENCODEC_32K.decoder[0], ratios=(8, 5, 4, 2)),),
    rate=16_000,
)
"""AudioGen's: 50 frames a second, 2.2 kbit/s, looks ahead (audiocraft, config/model/encodec/encodec_large_nq4_s320)."""
