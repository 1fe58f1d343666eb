"""SNAC, 44.1 kHz, for music and sounds: four levels, and attention in windows. Siuzdak et al. 2024, arXiv:2410.14411.

As `snac_24k`, at 14, 29, 57 and 115 Hz, 2.6 kbit/s.
"""

from dataclasses import replace

from oration.codecs.snac import SNAC_44K
from oration.recipes.snac_24k import recipe as snac_24k

recipe = replace(
    snac_24k,
    name="snac_44k",
    tokenizers=(SNAC_44K,),
    vocoder=SNAC_44K.vocoder(),
    published={"codec": 54.5e6},
)
