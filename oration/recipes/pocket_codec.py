"""The codec that comes with the toolkit: 16 kHz, 25 frames a second, twelve levels of 250 bit/s each, causal.

Nets over spectra (FunCodec, arXiv:2309.07405, section 2.2; Vocos, arXiv:2306.00814) around EnCodec's quantizer
(arXiv:2210.13438, section 3.2). The first level is also taught the shipped model's phonetic units, as SpeechTokenizer's
is HuBERT's (arXiv:2308.16692, section 3.3), so that a language model finds what is said there. Sizes are this
repository's own; docs/model-card.md says what they reach.
"""

from oration.codecs import Codec, SpectralDecoder, SpectralEncoder
from oration.nn.quantize import Rvq
from oration.objectives import Gan
from oration.objectives.distil import Distil
from oration.recipe import Recipe
from oration.recipes.pocket import recipe as pocket
from oration.train import AdamW, Cosine, Crops, Steps, Train

units = pocket.tokenizers[0]
codec = Codec(
    encoder=(SpectralEncoder(dim=256, width=256, inner=768, layers=(3, 3, 2)),),
    quantizer=Rvq(levels=12, size=1024, dim=64, dropout=0.5),
    decoder=(SpectralDecoder(dim=256, width=320, inner=960, layers=(3, 2, 4), back=240),),
    dim=256,
    rate=16_000,
)
training = Train(
    part="codec",
    feed=Crops(streams=("wave", "units"), seconds=0.96, batch=6),
    objective=Gan(
        adversarial_from=0.47,
        own={"commitment": 0.05},
        distil=Distil(stream="units", weight=0.1),
    ),
    optimizer=AdamW(lr=8e-4, betas=(0.8, 0.99)),
    schedule=Cosine(warmup=300),
    budget=Steps(8_800),
    save_every=500,
    dev_every=500,
)
recipe = Recipe(
    name="pocket_codec",
    tokenizers=(codec, units),
    vocoder=codec.vocoder(),
    training=(training,),
    weights="int8",
)
