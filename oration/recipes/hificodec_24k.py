"""HiFi-Codec, 24 kHz: configuration B3 of the overview, hifi_24k_320d. Yang et al. 2023, arXiv:2305.02765.

As `hificodec_16k`, at 75 frames a second, 3 kbit/s.
"""

from dataclasses import replace

from oration.codecs.hificodec import HIFICODEC_24K_320D
from oration.recipes.hificodec_16k import recipe as hificodec_16k

recipe = replace(
    hificodec_16k,
    name="hificodec_24k",
    tokenizers=(HIFICODEC_24K_320D,),
    vocoder=HIFICODEC_24K_320D.vocoder(),
)
