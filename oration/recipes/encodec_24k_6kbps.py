"""EnCodec, 24 kHz, 8 levels, 6 kbit/s: configuration E3 of the overview. Défossez et al. 2022, arXiv:2210.13438.

The model of `encodec_24k`, of which the first 8 levels are streams.
"""

from dataclasses import replace

from oration.codecs.encodec import ENCODEC_24K_6KBPS as CODEC
from oration.recipes.encodec_24k import recipe as encodec_24k

recipe = replace(
    encodec_24k, name="encodec_24k_6kbps", tokenizers=(CODEC,), vocoder=CODEC.vocoder()
)  # fmt: skip
