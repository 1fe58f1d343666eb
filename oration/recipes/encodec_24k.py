"""EnCodec, 24 kHz, all 32 levels: configuration E5 of the overview. Défossez et al. 2022, arXiv:2210.13438.

Causal, 75 frames a second, 24 kbit/s; one model for 1.5 to 24 kbit/s, of which `encodec_24k_1_5kbps` to
`encodec_24k_12kbps` say fewer levels. Values: sections 3.1 to 3.4 and 4.1: losses balanced by what they pull at the
sound, batches of 64 seconds, 300 times 2,000 updates. Speech, noise and music there, which is mixed on the way; here
the data is what it is. 14.9 M parameters were counted in the authors' package (encodec 0.1.1), without codebooks. Of
all of `facebook/encodec_24khz`; released weights load (`oration.codecs.released_encodec`).
"""

from oration.codecs.encodec import ENCODEC_24K
from oration.objectives.gan import ENCODEC_GAN
from oration.recipe import Recipe
from oration.train import AdamW, Constant, Crops, Steps, Train

training = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=1.0, batch=64),
    objective=ENCODEC_GAN,
    optimizer=AdamW(lr=3e-4, betas=(0.5, 0.9), decay=0.0),
    schedule=Constant(),
    budget=Steps(600_000),
)
recipe = Recipe(
    name="encodec_24k",
    tokenizers=(ENCODEC_24K,),
    vocoder=ENCODEC_24K.vocoder(),
    training=(training,),
    published={"codec": 14.9e6},
)
