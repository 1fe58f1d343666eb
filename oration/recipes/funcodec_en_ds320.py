"""FunCodec, 16 kHz, 50 Hz, English: configuration F3, en_libriTTS_16k_nq32ds320. Du et al. 2023, arXiv:2309.07405.

EnCodec's nets that look ahead, with norms over time; 32 levels, 0.5 to 16 kbit/s. Values: section 2 and the published
recipe (egs/LibriTTS/codec/conf: 60 times 10,000 updates, batches of 16 crops of 2.5 s, 3e-4; the discriminators there
are EnCodec's, while the paper allows those of periods and scales as well). Weights of the losses are EnCodec's. Not
here: codes of what a transcript leaves over (section 2.3). It holds a recording until its end. Parameters: the
README's.
"""

from oration.codecs.funcodec import FUNCODEC_DS320
from oration.objectives.gan import ENCODEC_GAN
from oration.recipe import Recipe
from oration.train import AdamW, Constant, Crops, Steps, Train

training = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=2.5, batch=16),
    objective=ENCODEC_GAN,
    optimizer=AdamW(lr=3e-4, betas=(0.5, 0.9), decay=0.0, clip=0.0),
    schedule=Constant(),
    budget=Steps(600_000),
)
recipe = Recipe(
    name="funcodec_en_ds320",
    tokenizers=(FUNCODEC_DS320,),
    vocoder=FUNCODEC_DS320.vocoder(),
    training=(training,),
    published={"codec": 14.85e6},
)
