"""HiFi-Codec, 16 kHz: configuration B1 of the overview, hifi_16k_320d. Yang et al. 2023, arXiv:2305.02765.

HiFi-GAN's generator and its mirror image around two groups of two codebooks, 50 frames a second, 2 kbit/s; trained on
LibriTTS, VCTK and AISHELL. Values: section 3: discriminators of periods, scales and spectra. Weights, crops, batch,
learning rate and updates could not be checked: HiFi-GAN's (arXiv:2010.05646), mels 45, are taken, relative to the mels.
It holds a recording until its end. How many parameters it has is not published.
"""

from oration.codecs.hificodec import HIFICODEC_16K_320D
from oration.objectives import Distance, Gan
from oration.recipe import Recipe
from oration.train import AdamW, Cosine, Crops, Steps, Train
from oration.vocoders.discriminators import ENCODEC_SPECTRA, HIFI_GAN_PERIODS, HIFI_GAN_SCALES

training = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=1.0, batch=16),
    objective=Gan(
        distance=Distance(ffts=(1024, 512, 256), bands=(80, 80, 40), stft=0.0, convergence=0.0),
        critics=(HIFI_GAN_PERIODS, HIFI_GAN_SCALES, ENCODEC_SPECTRA),
        adversarial_from=0.0,
        window=1.0,
        own={"commitment": 10 / 45},
    ),
    optimizer=AdamW(lr=2e-4, betas=(0.5, 0.9), decay=0.0),
    schedule=Cosine(warmup=1000),
    budget=Steps(500_000),
)
recipe = Recipe(
    name="hificodec_16k",
    tokenizers=(HIFICODEC_16K_320D,),
    vocoder=HIFICODEC_16K_320D.vocoder(),
    training=(training,),
)
