"""SNAC, 24 kHz, for speech: coarse codes at low rates, fine ones at high rates. Siuzdak et al. 2024, arXiv:2410.14411.

Three levels of 12, 23 and 47 Hz, 0.98 kbit/s. Values: section 3, the package snac 1.2.1 and its README (parameters).
How it was trained is not published in detail: with DAC's losses and discriminators, so that these are `dac_44k`'s.
Noise layers draw anew while it is trained, the same numbers otherwise. Weights load (`oration.codecs.released_snac`).
"""

from dataclasses import replace

from oration.codecs.snac import SNAC_24K
from oration.recipe import Recipe
from oration.recipes.dac_44k import training as dac
from oration.train import Crops

training = replace(dac, feed=Crops(streams=("wave",), seconds=1.0, batch=32))
recipe = Recipe(
    name="snac_24k",
    tokenizers=(SNAC_24K,),
    vocoder=SNAC_24K.vocoder(),
    training=(training,),
    published={"codec": 19.8e6},
)
