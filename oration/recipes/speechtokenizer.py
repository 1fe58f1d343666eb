"""SpeechTokenizer: level 0 says what is said; configuration A of the overview. Zhang et al. 2023, arXiv:2308.16692.

16 kHz, 50 frames a second, 8 levels, 4 kbit/s. HuBERT's features teach the first level, each dimension over time; the
others have what is left. Values: section 3 and the released training configuration (config/spt_base_cfg.json: mels 45
and 1, samples 500, commitment 10, distillation 120, crops of 3 s, batch 6, learning rate 1e-4), weights relative to
that of the mels; the updates are a guess, there it is 10 epochs. The teacher here is `units_cpc`'s encoder. Its
encoder reads backwards too: a recording is held until its end. 103.7 M parameters were counted in the authors'
package (speechtokenizer 1.0.1), 0.8 M of these for the distillation. Weights load
(`oration.codecs.released_speechtokenizer`).
"""

from dataclasses import replace

from oration.codecs.speechtokenizer import SPEECHTOKENIZER
from oration.objectives import Distance, Distil, Gan
from oration.recipe import Recipe
from oration.recipes.units_cpc import recipe as units_cpc
from oration.tokenizers import CpcEncoder, Speech
from oration.train import AdamW, Cosine, Crops, Steps, Train
from oration.vocoders.discriminators import ENCODEC_SPECTRA, HIFI_GAN_PERIODS, HIFI_GAN_SCALES

plain = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=3.0, batch=6),
    objective=Gan(
        distance=Distance(ffts=(1024,), bands=(80,), wave=500 / 45, stft=0.0, convergence=0.0),
        critics=(HIFI_GAN_PERIODS, HIFI_GAN_SCALES, ENCODEC_SPECTRA),
        adversarial_from=0.0,
        window=1.0,
        own={"commitment": 10 / 45},
    ),
    optimizer=AdamW(lr=1e-4, betas=(0.9, 0.99), decay=0.0),
    schedule=Cosine(),
    budget=Steps(500_000),
)
training = replace(
    plain,
    feed=replace(plain.feed, streams=("wave", "speech")),
    objective=replace(plain.objective, distil=Distil(stream="speech", axis="time", weight=120 / 45)),
)
recipe = Recipe(
    name="speechtokenizer",
    tokenizers=(SPEECHTOKENIZER, Speech(encoder=CpcEncoder(), stack=1)),
    vocoder=SPEECHTOKENIZER.vocoder(),
    training=(replace(units_cpc.training[0], part="speech.encoder"), training),
    published={"codec": 103.7e6},
    instead={"speech": "HuBERT base, the mean of its layers"},
)
