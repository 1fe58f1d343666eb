"""The codec that comes with the toolkit: 16 kHz, 25 frames a second, twelve levels of 250 bit/s each, causal.

Nets over spectra (FunCodec, arXiv:2309.07405, section 2.2; Vocos, arXiv:2306.00814) around EnCodec's quantizer
(arXiv:2210.13438, section 3.2). So few bits say no phases: the encoder is given magnitudes alone, and the decoder names
the pitch of each frame, taught by a pitch tracker, and shapes harmonics of it and noise. A log-mel spectrum goes past
the nets by linear layers, which are right before the nets have learnt anything. The first level is also taught the
shipped model's phonetic units, as SpeechTokenizer's is HuBERT's (arXiv:2308.16692, section 3.3), so that a language
model finds what is said there. Sizes are this repository's own; docs/model-card.md says what they reach.
"""

from oration.codecs import Bypass, Codec, SpectralDecoder, SpectralEncoder, Voice
from oration.nn.quantize import Rvq
from oration.objectives import Gan
from oration.objectives.distil import Distil
from oration.recipe import Recipe
from oration.recipes.pocket import recipe as pocket
from oration.tokenizers import F0
from oration.train import AdamW, Cosine, Crops, Steps, Train

units, voice, bypass = pocket.tokenizers[0], Voice(), Bypass()
codec = Codec(
    encoder=(
        SpectralEncoder(
            dim=256, width=256, inner=768, layers=(3, 3, 2), magnitudes=(320, 1024), voice=voice, bypass=bypass
        ),
    ),
    quantizer=Rvq(levels=12, size=1024, dim=64, decay=0.995, pool=16, dropout=0.4),
    decoder=(SpectralDecoder(dim=256, width=320, inner=896, layers=(3, 3, 3), back=480, voice=voice, bypass=bypass),),
    dim=256,
    rate=16_000,
)
training = Train(
    part="codec",
    feed=Crops(streams=("wave", "units", "f0"), seconds=0.96, batch=6),
    objective=Gan(
        adversarial_from=0.735,
        own={"commitment": 0.05, "pitch": 0.3, "envelope": 1.0},
        distil=Distil(stream="units", weight=0.1),
    ),
    optimizer=AdamW(lr=8e-4, betas=(0.8, 0.99)),
    schedule=Cosine(warmup=300),
    budget=Steps(9_000),
    save_every=500,
    dev_every=500,
)
recipe = Recipe(
    name="pocket_codec",
    tokenizers=(codec, units, F0(bins=voice.bins, floor=voice.floor, ceiling=voice.ceiling)),
    vocoder=codec.vocoder(),
    training=(training,),
    weights="int8",
)
