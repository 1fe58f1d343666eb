"""WavTokenizer, 40 tokens a second: one codebook of 4096. Ji et al. 2024, arXiv:2408.16532.

24 kHz, 0.48 kbit/s, a decoder of the Vocos kind. Values: section 3 and the released configuration
(configs/wavtokenizer_smalldata_frame40_*.yaml: crops of 3 s, batch 40, learning rate 2e-4, mels 45); discriminators
of periods, of scales and of bands of spectra; weights relative to that of the mels; a million updates. The released
class has 80.9 M parameters, of which a decoder of EnCodec that nothing uses and unused conditions of the norms are
8.8 M: these 72 M are what is left, so no size is compared. It looks ahead, and its norms see up to two minutes at
once: sound comes late. Weights load (`oration.codecs.released_wavtokenizer`).
"""

from oration.codecs.wavtokenizer import WAVTOKENIZER_40
from oration.objectives import Distance, Gan
from oration.recipe import Recipe
from oration.train import AdamW, Cosine, Crops, Steps, Train
from oration.vocoders.discriminators import DAC_BANDS, HIFI_GAN_PERIODS, HIFI_GAN_SCALES

training = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=3.0, batch=40),
    objective=Gan(
        distance=Distance(ffts=(1024,), bands=(100,), stft=0.0, convergence=0.0),
        critics=(HIFI_GAN_PERIODS, HIFI_GAN_SCALES, DAC_BANDS),
        adversarial_from=0.0,
        window=1.0,
    ),
    optimizer=AdamW(lr=2e-4, betas=(0.9, 0.999)),
    schedule=Cosine(),
    budget=Steps(1_000_000),
)
recipe = Recipe(
    name="wavtokenizer_40",
    tokenizers=(WAVTOKENIZER_40,),
    vocoder=WAVTOKENIZER_40.vocoder(),
    training=(training,),
)
