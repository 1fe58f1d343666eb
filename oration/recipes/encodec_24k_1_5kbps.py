"""EnCodec, 24 kHz, 2 levels, 1.5 kbit/s: configuration E1 of the overview. Défossez et al. 2022, arXiv:2210.13438.

The model of `encodec_24k`, of which the first 2 levels are streams.
"""

from dataclasses import replace

from oration.codecs.encodec import ENCODEC_24K_1_5KBPS as CODEC
from oration.recipes.encodec_24k import recipe as encodec_24k

recipe = replace(
    encodec_24k, name="encodec_24k_1_5kbps", tokenizers=(CODEC,), vocoder=CODEC.vocoder()
)  # fmt: skip
