"""GPST: units, then all levels of a codec by a Transformer in a Transformer. Zhu et al. 2024, arXiv:2406.00976.

One sequence: merged units, then a step for each frame of the codec, whose eight levels a small Transformer draws one by
one. Values: appendix A.2 and tables 1 and 4 (9 global layers of 1024, 12 local ones of 512, 190 M parameters, crops of
10 s, Adam 5e-4, warm-up 10,000, batch 64, a million updates) and youngsheen/GPST, fairseq_user/GPST/model.py. There,
labels are smoothed by 0.1, positions are learned, and the local Transformer has one projection for all levels.
"""

from dataclasses import replace

from oration.codecs.encodec import ENCODEC_24K_6KBPS as CODEC
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Depth, Transformer
from oration.recipes.encodec_24k_6kbps import recipe as encodec
from oration.recipes.gslm import recipe as gslm
from oration.streams import Dedup, Excerpt
from oration.tasks import Task
from oration.train import AdamW, InverseSqrt, Packed, Steps

keep_talking = Task(
    name="continue",
    operations=(Excerpt(("units", *CODEC.streams), 10.0), Dedup()),
    layout=Layout((Line("units.runs"), Stack(CODEC.streams))),
    predict=("units.runs", *CODEC.streams),
)
encoder, clusters, _, _, ulm = gslm.training

recipe = replace(
    gslm,
    name="gpst",
    tokenizers=(replace(gslm.tokenizers[0], clusters=10_000), CODEC),
    lms=(
        LM(
            name="gpst",
            tasks=(keep_talking,),
            body=Transformer(layers=9, dim=1024, heads=16, ffn=2736, dropout=0.1),
            head=Depth(layers=12, dim=512, heads=8, ffn=1368, independent=("main",)),
            context=2048,
        ),
    ),
    prosody=None,
    vocoder=CODEC.vocoder(),
    training=(
        encoder,
        clusters,
        *encodec.training,
        replace(
            ulm,
            part="gpst",
            feed=Packed(length=2048, batch=64),
            optimizer=AdamW(lr=5e-4),
            schedule=InverseSqrt(warmup=10_000),
            budget=Steps(1_000_000),
        ),
    ),
    published={"gpst": 190e6},
    instead={"units": "XLSR v2, 10,000 clusters"},
)
