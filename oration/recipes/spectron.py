"""Spectron: hears vectors, writes them down, goes on in text, then speaks mels. Nachmani et al. 2023, arXiv:2305.15255.

The beginning of a recording comes in as vectors; its words, the words to come and the log-mels to come are predicted. A
frame goes in through a narrow net and comes out through another (`Regress`), whose loss is on frames and differences.
From memory of the paper: 128 bands every 12.5 ms, loss weight 0.1 of the frames, 350 M for the language model (beside
an encoder of 600 M). Its layers are not published: 24 of 1024 come near 350 M with the table of a text of 32,000
pieces. What deviates: our encoder is far smaller and is not trained along; 25 vectors a second (there 20); the model
starts fresh (there: from a text LM); nothing is known of its optimizer here.
"""

from dataclasses import replace

from oration.layouts import Layout, Line
from oration.lms import LM, Regress, Rows, Transformer
from oration.objectives import Bpe, CrossEntropy, Standardise
from oration.recipe import Recipe
from oration.recipes.units_cpc import recipe as units_cpc
from oration.recipes.voicebox import recipe as voicebox
from oration.streams import TakeTurns
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, Mel, Speech, TextPieces
from oration.train import AdamW, Cosine, Crops, Packed, Steps, Texts, Train

answer = Task(
    name="continue",
    operations=(TakeTurns(("speech", "text", "mel")),),
    layout=Layout((Line("user.speech"), Line("user.text"), Line("text"), Line("mel"))),
    predict=("user.text", "text", "mel"),
)
lm = LM(
    name="lm",
    tasks=(answer,),
    body=Transformer(layers=24, dim=1024, heads=16, ffn=2736, dropout=0.1),
    head=Regress(streams=("mel",), symbols=Rows(tied=True)),
    context=2048,
    shared={"user.text": "text"},
)
scale = Train(
    part="speech",
    objective=Standardise(),
    feed=Crops(streams=("wave",), seconds=4.0, batch=8),
    budget=Steps(200),
    precision="fp32",
)
letters = Train(part="text", objective=Bpe(), feed=Texts(), budget=Steps(1), precision="fp32")
training = Train(
    part="lm",
    feed=Packed(length=2048, batch=64),
    objective=CrossEntropy(weights={"mel": 0.1}),
    optimizer=AdamW(lr=3e-4),
    schedule=Cosine(warmup=2000),
    budget=Steps(100_000),
)

recipe = Recipe(
    name="spectron",
    tokenizers=(Speech(encoder=CpcEncoder(), stack=2), Mel(bands=128, hop=200), TextPieces(size=32_000)),
    lms=(lm,),
    vocoder=replace(voicebox.vocoder, hop=200, fft=800),
    training=(
        replace(units_cpc.training[0], part="speech.encoder"),
        scale,
        letters,
        replace(voicebox.training[2], feed=Crops(streams=("wave", "mel"), seconds=0.6, batch=16)),
        training,
    ),
    published={"lm": 350e6},
    instead={"speech": "a Conformer of 600 M", "lm": "a text LM of 350 M, from its weights", "vocoder": "WaveFit"},
)
