"""AudioDec, 24 kHz: configuration C of the overview. Wu et al. 2023, arXiv:2305.16608.

Causal, 80 frames a second, 8 levels, 6.4 kbit/s. Values: section 2 and the released configuration
(config/autoencoder/symAD_libritts_24000_hop300.yaml): 500,000 updates on log-mels alone, then as many in which the
decoder alone learns, against discriminators of periods and of scales. Weights are relative to that of the mels, 45. The
discriminators' own learning rate, 2e-4 and halved at times, is the decoder's here. `audiodec_24k_hifigan` has the
decoder of the paper's second model. How many parameters it has is not published.
"""

from dataclasses import replace

from oration.codecs.audiodec import AUDIODEC_24K
from oration.objectives import Distance, Gan
from oration.recipe import Recipe
from oration.train import AdamW, Constant, Crops, Steps, Train
from oration.vocoders.discriminators import HIFI_GAN_PERIODS, HIFI_GAN_SCALES

spectra = Gan(distance=Distance(ffts=(2048,), bands=(80,), stft=0.0, convergence=0.0), critics=())
training = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=0.4, batch=16),
    objective=replace(spectra, own={"commitment": 1 / 45}),
    optimizer=AdamW(lr=1e-4, betas=(0.5, 0.9), decay=0.0),
    schedule=Constant(),
    budget=Steps(500_000),
)
sharpened = replace(
    training,
    objective=replace(
        spectra,
        critics=(HIFI_GAN_PERIODS, HIFI_GAN_SCALES),
        adversarial_from=0.0,
        verdict="squares",
        window=0.4,
        only="decoder",
    ),
)
recipe = Recipe(
    name="audiodec_24k",
    tokenizers=(AUDIODEC_24K,),
    vocoder=AUDIODEC_24K.vocoder(),
    training=(training, sharpened),
)
