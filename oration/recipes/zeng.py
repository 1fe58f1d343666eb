"""Synthetic interleaving: a text LM that learns speech from mixed sentences. Zeng et al. 2024, arXiv:2411.17607.

Units at 12.5 Hz, not merged, and the text of GLM-4-9B; spans of 10 words on average become speech until it is 0.3 of
all words, and text and speech go on in turns. Beside these: speech alone, text alone, recognition and synthesis, in
even shares (there: by their amounts, text 30 %). All of it is predicted, but what is recognised or read aloud. There
the spoken spans are made from text alone by a model of 1.5 B, so that no recording is needed; here they are cut from
recordings by word times (10 and 0.3 are from memory of the paper). Optimizer and schedule: GLM-4-Voice,
arXiv:2412.02612, sections 3 and 4; 1 T tokens at an assumed 4 M a step. 9.4 B is what GLM-4-9B has alone. `--set
lms.0.body.folder=PATH` and `--set tokenizers.1.file=PATH` name its folder.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Time, Weave
from oration.lms import LM, FromText, TextBody
from oration.lms.families import GLM_4_9B
from oration.recipes.twist import recipe as twist
from oration.streams import Alternate, Scattered, Timed
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, Grouped, TextPieces, Units
from oration.train import AdamW, Crops, Linear, Packed, Steps
from oration.vocoders import UnitHifiGan

cpc, clusters, vocoder, prosody, lm = twist.training
both, spoken, written = ("text", "units.timed"), Line("units.timed"), Line("text")
mixed = Task(
    name="interleaved",
    operations=(Timed("units"), Alternate(units=("units.timed",), spans=Scattered(mean=10, share=0.3))),
    layout=Layout((Weave(both, by=Time()),)),
    predict=both,
)
speech = replace(mixed, name="speech", operations=(Timed("units"),), layout=Layout((spoken,)), predict=both[1:])
words = Task(name="text", layout=Layout((written,)), predict=("text",))
asr = replace(speech, name="asr", layout=Layout((spoken, written)), predict=("text",))
tts = replace(speech, name="tts", layout=Layout((written, spoken)))

recipe = replace(
    twist,
    name="zeng",
    tokenizers=(
        Units(encoder=Grouped(encoder=CpcEncoder(), frames=4, mean=True), clusters=16_384, rate=12.5),
        TextPieces(size=151_552, file="glm-4-9b"),
    ),
    lms=(
        LM(
            name="lm",
            tasks=(mixed, speech, words, asr, tts),
            body=TextBody("glm-4-9b", config=GLM_4_9B),
            start=FromText(),
            context=8192,
        ),
    ),
    prosody=None,
    vocoder=UnitHifiGan(needs=("units",), upsample=(5, 4, 4, 4, 2, 2), kernels=(11, 8, 8, 8, 4, 4)),
    training=(
        cpc,
        clusters,
        replace(vocoder, feed=Crops(streams=("wave", "units"), seconds=0.64, batch=16)),
        replace(
            lm,
            part="lm",
            feed=Packed(length=8192, batch=512),
            optimizer=AdamW(lr=6e-5, betas=(0.9, 0.95), decay=0.1),
            schedule=Linear(warmup=1000, final=0.1),
            budget=Steps(240_000),
        ),
    ),
    published={"lm": 9.4e9},
    instead={
        "units": "a Whisper encoder with a quantizer of 16,384 symbols inside, trained to recognise speech",
        "vocoder": "flow matching and HiFi-GAN, as in CosyVoice",
    },
)
