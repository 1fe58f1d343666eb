"""GSLM: a language model of speech without text. Lakhotia et al. 2021, arXiv:2102.01192.

CPC units with repeats merged, a decoder-only Transformer, a unit vocoder.
Values: fairseq, examples/textless_nlp/gslm/ulm/README.md and its architecture transformer_lm_big. The encoders there
saw 6,000 hours; ours is the CPC of `units_cpc`. A gated feed-forward of 2736 has as many weights as the paper's 4096.
The vocoder there was Tacotron 2 with WaveGlow; here it is that of Polyak et al. 2021.
"""

from dataclasses import replace

from oration.layouts import Layout, Line
from oration.lms import LM, Fresh, Transformer
from oration.objectives import CrossEntropy
from oration.recipes.units_cpc import recipe as units_cpc
from oration.streams import Dedup
from oration.tasks import Task
from oration.tokenizers import F0
from oration.train import AdamW, InverseSqrt, Packed, Steps, Train
from oration.vocoders import Prosody, UnitHifiGan

keep_talking = Task(
    name="continue", operations=(Dedup(),), layout=Layout((Line("units.runs"),)), predict=("units.runs",)
)

recipe = replace(
    units_cpc,
    name="gslm",
    tokenizers=(replace(units_cpc.tokenizers[0], clusters=100), F0()),
    lms=(
        LM(
            name="ulm",
            tasks=(keep_talking,),
            body=Transformer(layers=12, dim=1024, heads=16, ffn=2736, dropout=0.1),
            start=Fresh(),
            context=3072,
        ),
    ),
    prosody=Prosody(),
    vocoder=UnitHifiGan(),
    training=(
        *units_cpc.training,
        Train(
            part="ulm",
            feed=Packed(length=3072, batch=4),
            objective=CrossEntropy(),
            optimizer=AdamW(lr=5e-4, betas=(0.9, 0.98), clip=1.0),
            schedule=InverseSqrt(warmup=4000),
            budget=Steps(500_000),
        ),
    ),
)
