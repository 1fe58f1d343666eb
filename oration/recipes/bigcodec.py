"""BigCodec: one codebook between large nets. Xin et al. 2024, arXiv:2409.05377.

16 kHz, 80 codes of 8192 a second, 1.04 kbit/s. Values: section III and the released configuration (config/train and
config/model: mels 15, discriminators of periods and of spectra, 1,200,000 updates that the two sides share, 1e-4 to
1e-5, betas 0.8 and 0.9); weights relative to that of the mels. Crops and batch could not be checked. 159 M in the
abstract.
"""

from oration.codecs.bigcodec import BIGCODEC
from oration.objectives import Gan
from oration.objectives.spectral import DAC_DISTANCE
from oration.recipe import Recipe
from oration.train import AdamW, Crops, Linear, Steps, Train
from oration.vocoders.discriminators import ENCODEC_SPECTRA, MultiPeriod

training = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=2.5, batch=16),
    objective=Gan(
        distance=DAC_DISTANCE,
        critics=(MultiPeriod(channels=(16, 64, 256, 512, 512), strides=(3, 3, 3, 3, 1)), ENCODEC_SPECTRA),
        adversarial_from=0.0,
        window=1.0,
        verdict="squares",
        own={"codebook": 1 / 15, "commitment": 1 / 15},
    ),
    optimizer=AdamW(lr=1e-4, betas=(0.8, 0.9)),
    schedule=Linear(warmup=1000, final=0.1),
    budget=Steps(600_000),
)
recipe = Recipe(
    name="bigcodec",
    tokenizers=(BIGCODEC,),
    vocoder=BIGCODEC.vocoder(),
    training=(training,),
    published={"codec": 159e6},
)
