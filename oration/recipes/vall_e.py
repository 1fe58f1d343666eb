"""VALL-E: speech from phonemes in the voice of a short recording. Wang et al. 2023, arXiv:2301.02111.

One model draws the first level of the codec step by step; another fills in the other seven, a level at a pass, and is
told the level through its norms. Say the recording's own words first, then those to be spoken.
Values: sections 4 and 5.1; both models have 12 layers. Not given there: the activation (ReLU here), and how the two
kinds of symbols share positions (one count here). Crops of 10 to 20 s of Libri-Light; here a clip is what it is.
"""

from dataclasses import replace

from oration.generate import Levels
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Layer, Rows, Transformer
from oration.objectives import CrossEntropy, NextLevel
from oration.recipe import Recipe
from oration.recipes.encodec_24k_6kbps import recipe as encodec
from oration.tasks import Task
from oration.tokenizers import Phonemes
from oration.train import AdamW, Linear, Packed, Steps, Train

rest = ("codec.1", "codec.2", "codec.3", "codec.4", "codec.5", "codec.6", "codec.7")
tts = Task(name="tts", layout=Layout((Line("phonemes"), Line("codec.0"))), predict=("codec.0",))
fill = Task(name="fill", layout=Layout((Line("phonemes", row="text"), Stack(("codec.0", *rest)))), predict=rest)
layer = Layer(norm="layer", norm_eps=1e-5, mlp="relu", mlp_bias=True, out_bias=True)
body = Transformer(
    layers=12, dim=1024, heads=16, ffn=4096, dropout=0.1, bias=True, positions="sine", layer=layer
)  # fmt: skip
ar = LM(name="ar", tasks=(tts,), body=body, head=Rows(tied=True), context=4096)
nar = LM(
    name="nar",
    tasks=(fill,),
    body=replace(body, causal=False, layer=replace(layer, condition=1024)),
    head=Rows(tied=True),
    generator=Levels(),
    context=4096,
)
training = Train(
    part="ar",
    feed=Packed(length=4096, batch=1),
    objective=CrossEntropy(),
    optimizer=AdamW(lr=5e-4, betas=(0.9, 0.95)),
    schedule=Linear(warmup=32_000),
    budget=Steps(800_000),
)

recipe = Recipe(
    name="vall_e",
    tokenizers=(Phonemes(), *encodec.tokenizers),
    lms=(ar, nar),
    vocoder=encodec.vocoder,
    training=(*encodec.training, training, replace(training, part="nar", objective=NextLevel())),
)
