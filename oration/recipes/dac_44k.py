"""DAC, 44.1 kHz: configuration D3 of the overview. Kumar et al. 2023, arXiv:2306.06546.

86 frames a second, 9 levels, 7.8 kbit/s. Values: sections 3.1 to 3.4 and the released configuration (conf/final): half
of the rows stop after a random number of levels; discriminators of periods and of bands of spectra; batches of 72 crops
of 0.38 s; 400,000 updates, the learning rate falling to a fifth. Balanced data of speech, music and sounds there; here
it is what it is, and loudness and phase are not varied. It looks ahead: sound comes late in pieces, but the same.
76.7 M parameters were counted in the authors' package (descript-audio-codec 1.0.0). Weights load
(`oration.codecs.released_dac`).
"""

from dataclasses import replace

from oration.codecs.dac import DAC_44K
from oration.objectives.gan import DAC_GAN
from oration.recipe import Recipe
from oration.train import AdamW, Crops, Linear, Steps, Train

training = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=0.38, batch=72),
    objective=replace(DAC_GAN, own={"codebook": 1 / 15, "commitment": 1 / 15}),
    optimizer=AdamW(lr=1e-4, betas=(0.8, 0.99)),
    schedule=Linear(warmup=1, final=0.2),
    budget=Steps(400_000),
)
recipe = Recipe(
    name="dac_44k",
    tokenizers=(DAC_44K,),
    vocoder=DAC_44K.vocoder(),
    training=(training,),
    published={"codec": 76.7e6},
)
