"""LauraGPT: hears vectors, says text or the first level of a codec. Du et al. 2023, arXiv:2310.04673.

Input, a symbol for the task, output; only the output is predicted. Recognition is the first task, synthesis the second.
Values: sections 3 and 4: vectors every 60 ms, a codec of 25 Hz of which one level of 1,024 is said, Qwen-1.8B. The
optimizer and its schedule were not found there: guesses. Published: 2 B in all; 1.8 B is Qwen's share, and the encoder
(32 Conformer layers of 512, about 0.17 B) the rest. What deviates: our encoder is smaller and stays as `cpc` left it
(there: trained along); sound is made of the first level, and no Transformer adds to it what its 31 others would say.
`--set lms.0.body.folder=PATH` and `--set tokenizers.2.file=PATH` name Qwen's folder.
"""

from dataclasses import replace

from oration.codecs.funcodec import FUNCODEC_DS640
from oration.layouts import Layout, Line, Say
from oration.lms import LM, FromText, TextBody
from oration.lms.families import QWEN_1_8B
from oration.objectives import CrossEntropy, Standardise
from oration.recipe import Recipe
from oration.recipes.funcodec_en_ds640 import recipe as funcodec
from oration.recipes.units_cpc import recipe as units_cpc
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, Speech, TextPieces
from oration.train import AdamW, Cosine, Crops, Packed, Steps, Train

codec = replace(FUNCODEC_DS640, levels=1)
kind = Say((0,), stream="kind", size=2)
asr = Task(name="asr", layout=Layout((Line("speech"), kind, Line("text"))), predict=("text",))
tts = Task(
    name="tts", layout=Layout((Line("text"), replace(kind, ids=(1,)), Line("codec.0"))), predict=("codec.0",)
)  # fmt: skip
lm = LM(
    name="lm",
    tasks=(asr, tts),
    body=TextBody("qwen-1.8b", config=QWEN_1_8B),
    start=FromText(),
    context=2048,
)
scale = Train(
    part="speech",
    objective=Standardise(),
    feed=Crops(streams=("wave",), seconds=4.0, batch=8),
    budget=Steps(200),
    precision="fp32",
)
training = Train(
    part="lm",
    feed=Packed(length=2048, batch=64),
    objective=CrossEntropy(),
    optimizer=AdamW(lr=5e-5),
    schedule=Cosine(warmup=2000),
    budget=Steps(100_000),
)

recipe = Recipe(
    name="lauragpt",
    tokenizers=(Speech(encoder=CpcEncoder(), stack=3), codec, TextPieces(size=151_936, file="qwen-1.8b")),
    lms=(lm,),
    vocoder=codec.vocoder(),
    training=(
        replace(units_cpc.training[0], part="speech.encoder"),
        scale,
        *funcodec.training,
        training,
    ),
    published={"lm": 1.8e9},
    instead={
        "speech": "32 Conformer layers over log-mels",
        "vocoder": "a Transformer that makes the sum of FunCodec's 32 levels of the first, then FunCodec's decoder",
    },
)
