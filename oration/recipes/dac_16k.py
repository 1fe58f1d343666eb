"""DAC, 16 kHz: configuration D1 of the overview. Kumar et al. 2023, arXiv:2306.06546.

As `dac_44k`, 50 frames a second, 12 levels, 6 kbit/s; 74.2 M parameters were counted in the authors' package.
"""

from dataclasses import replace

from oration.codecs.dac import DAC_16K
from oration.recipes.dac_44k import recipe as dac_44k

recipe = replace(
    dac_44k,
    name="dac_16k",
    tokenizers=(DAC_16K,),
    vocoder=DAC_16K.vocoder(),
    published={"codec": 74.2e6},
)
