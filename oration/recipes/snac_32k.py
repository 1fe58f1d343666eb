"""SNAC, 32 kHz, for music and sounds: four levels, and attention in windows. Siuzdak et al. 2024, arXiv:2410.14411.

As `snac_24k`, at 10, 21, 42 and 83 Hz, 1.9 kbit/s.
"""

from dataclasses import replace

from oration.codecs.snac import SNAC_32K
from oration.recipes.snac_24k import recipe as snac_24k

recipe = replace(
    snac_24k,
    name="snac_32k",
    tokenizers=(SNAC_32K,),
    vocoder=SNAC_32K.vocoder(),
    published={"codec": 54.5e6},
)
