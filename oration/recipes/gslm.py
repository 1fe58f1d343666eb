"""GSLM: a language model of speech without text. Lakhotia et al. 2021, arXiv:2102.01192.

CPC units with repeats merged, a decoder-only Transformer, a unit vocoder.
Values: fairseq, examples/textless_nlp/gslm/ulm/README.md and its architecture transformer_lm_big. The encoders there
saw 6,000 hours; ours is the CPC of `units_cpc`. A gated feed-forward of 2736 has as many weights as the paper's 4096.
The vocoder there was Tacotron 2 with WaveGlow; here it is that of Polyak et al. 2021 (arXiv:2104.00355, its windows and
learning rate), and `prosody` gives what units do not say: durations and pitch.
"""

from dataclasses import replace

from oration.layouts import Layout, Line
from oration.lms import LM, Fresh, Transformer
from oration.objectives import CrossEntropy, Gan, ProsodyLoss
from oration.recipes.units_cpc import recipe as units_cpc
from oration.streams import Dedup
from oration.tasks import Task
from oration.tokenizers import F0
from oration.train import AdamW, Crops, InverseSqrt, Packed, Steps, Train
from oration.vocoders import Prosody, UnitHifiGan

keep_talking = Task(
    name="continue", operations=(Dedup(),), layout=Layout((Line("units.runs"),)), predict=("units.runs",)
)

vocoder = Train(
    part="vocoder",
    feed=Crops(streams=("wave", "units", "f0"), seconds=0.56, batch=16),
    objective=Gan(),
    optimizer=AdamW(lr=2e-4, betas=(0.8, 0.99)),
    budget=Steps(400_000),
)
prosody = Train(
    part="prosody",
    feed=Crops(streams=("units", "f0"), seconds=4.0, batch=8),
    objective=ProsodyLoss(),
    budget=Steps(40_000),
)
ulm = Train(
    part="ulm",
    feed=Packed(length=3072, batch=4),
    objective=CrossEntropy(),
    optimizer=AdamW(lr=5e-4, betas=(0.9, 0.98), clip=1.0),
    schedule=InverseSqrt(warmup=4000),
    budget=Steps(500_000),
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
    training=(*units_cpc.training, vocoder, prosody, ulm),
    instead={"units": "HuBERT, CPC or wav2vec 2.0 trained on 6,000 hours", "vocoder": "Tacotron 2 and WaveGlow"},
)
