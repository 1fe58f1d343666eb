"""Mimi: Moshi's codec, 12.5 frames a second, the first level taught by WavLM. Défossez et al. 2024, arXiv:2410.00037.

24 kHz, causal, 8 levels, 1.1 kbit/s. Values: section 3.3: Transformers before and after the codebooks; a codebook of
its own for the first level, compared with the teacher by cosine; half of the rows are not quantised; batches of 128
crops of 12 s, four million updates, decay for the Transformers only (here: for all). The released model learns from
discriminators and their activations alone; here EnCodec's distances stay besides. Learning rates and weights are from
memory of the paper. The teacher here is `units_cpc`'s encoder. 79.3 M parameters were counted in the authors' package
(moshi 0.2.13). Weights load (`oration.codecs.released_mimi`).
"""

from dataclasses import replace

from oration.codecs.mimi import MIMI
from oration.objectives import Distil
from oration.objectives.gan import ENCODEC_GAN
from oration.recipe import Recipe
from oration.recipes.units_cpc import recipe as units_cpc
from oration.tokenizers import CpcEncoder, Speech
from oration.train import AdamW, Cosine, Crops, Steps, Train

plain = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=12.0, batch=128),
    objective=replace(ENCODEC_GAN, adversarial=4.0, features=4.0, critic_share=1.0),
    optimizer=AdamW(lr=8e-4, betas=(0.5, 0.9), decay=0.05),
    schedule=Cosine(warmup=2000),
    budget=Steps(4_000_000),
)
training = replace(
    plain,
    feed=replace(plain.feed, streams=("wave", "speech")),
    objective=replace(plain.objective, distil=Distil(stream="speech")),
)
recipe = Recipe(
    name="mimi",
    tokenizers=(MIMI, Speech(encoder=CpcEncoder(), stack=1)),
    vocoder=MIMI.vocoder(),
    training=(replace(units_cpc.training[0], part="speech.encoder"), training),
    published={"codec": 79.3e6},
    instead={"speech": "WavLM large"},
)
