"""AudioGen: sounds from a description. Kreuk et al. 2022, arXiv:2209.15352.

The released model of this name is `musicgen`'s, 48 layers of 1536, at 16 kHz and with pieces of 10 s. Values:
facebookresearch/audiocraft, config/solver/audiogen (AdamW 5e-4, 1 / sqrt, warm-up 3,000, batch 256); the updates and
the share of dropped descriptions are `musicgen`'s, and so is what stands in.
"""

from dataclasses import replace

from oration.codecs.encodec import ENCODEC_16K
from oration.recipes.musicgen import recipe as musicgen
from oration.train import AdamW, InverseSqrt, Packed

lm = musicgen.lms[0]

recipe = replace(
    musicgen,
    name="audiogen",
    tokenizers=(musicgen.tokenizers[0], ENCODEC_16K),
    lms=(replace(lm, body=replace(lm.body, layers=48, dim=1536, heads=24, ffn=6144)),),
    vocoder=ENCODEC_16K.vocoder(),
    training=(
        *musicgen.training[:-1],
        replace(
            musicgen.training[-1],
            feed=Packed(length=1024, batch=256),
            optimizer=AdamW(lr=5e-4, betas=(0.9, 0.95), decay=0.1, clip=1.0),
            schedule=InverseSqrt(warmup=3000),
        ),
    ),
    instead={"text": "T5, heard by cross-attention"},
)
