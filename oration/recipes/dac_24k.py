"""DAC, 24 kHz: configuration D2 of the overview. Kumar et al. 2023, arXiv:2306.06546.

As `dac_44k`, 75 frames a second, 32 levels, 24 kbit/s; 74.7 M parameters were counted in the authors' package.
"""

from dataclasses import replace

from oration.codecs.dac import DAC_24K
from oration.recipes.dac_44k import recipe as dac_44k

recipe = replace(
    dac_44k,
    name="dac_24k",
    tokenizers=(DAC_24K,),
    vocoder=DAC_24K.vocoder(),
    published={"codec": 74.7e6},
)
