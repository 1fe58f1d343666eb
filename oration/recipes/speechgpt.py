"""SpeechGPT: a spoken question, its words, the answer's words, the spoken answer. Zhang et al. 2023, arXiv:2305.11000.

Merged units at 50 Hz in a LLaMA-7B. A chain of modality: user.units, then user.text, text and units, all predicted.
Training in three stages: units alone; then recognition and synthesis; then the chain. Values: 0nutation/SpeechGPT,
speechgpt/scripts (lengths 1024, 512, 1024; lr 5e-5, then 2e-5; epochs there, so the numbers of updates are guesses).
The third stage there trains LoRA of rank 8 on queries and values; here the whole model, since a body is trained in one
way. It samples at temperature 0.7, top-p 0.8, top-k 50. Clips with one speaker are cut in two, as question and answer.
`--set lms.0.body.folder=PATH` and `--set tokenizers.2.file=PATH` name LLaMA's folder. 7 B is LLaMA's name for its size.
"""

from dataclasses import replace

from oration.layouts import Layout, Line
from oration.lms import LM, FromText, TextBody
from oration.lms.families import LLAMA_7B
from oration.recipes.gslm import recipe as gslm
from oration.streams import Dedup, TakeTurns
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import AdamW, Cosine, Packed, Steps

spoken, written = Line("units.runs"), Line("text")
chain = Task(
    name="chain",
    operations=(TakeTurns(("units", "text")), Dedup(), Dedup(stream="user.units")),
    layout=Layout((Line("user.units.runs"), Line("user.text"), written, spoken)),
    predict=("user.text", "text", "units.runs"),
)
speech = Task(name="speech", operations=(Dedup(),), layout=Layout((spoken,)), predict=("units.runs",))
asr = replace(speech, name="asr", layout=Layout((spoken, written)), predict=("text",))
tts = replace(speech, name="tts", layout=Layout((written, spoken)))
stage = replace(
    gslm.training[-1],
    part="lm",
    feed=Packed(length=1024, batch=192, tasks=("speech",)),
    optimizer=AdamW(lr=5e-5),
    schedule=Cosine(warmup=300),
    budget=Steps(10_000),
)
second = replace(stage, feed=Packed(length=512, batch=576, tasks=("asr", "tts")), optimizer=AdamW(lr=2e-5))
third = replace(second, feed=Packed(length=1024, batch=384, tasks=("chain",)))

recipe = replace(
    gslm,
    name="speechgpt",
    tokenizers=(
        replace(gslm.tokenizers[0], clusters=1000),
        *gslm.tokenizers[1:],
        TextPieces(size=32_000, file="llama-7b"),
    ),
    lms=(
        LM(
            name="lm",
            tasks=(chain, speech, asr, tts),
            body=TextBody("llama-7b", config=LLAMA_7B),
            start=FromText(),
            context=2048,
            shared={"user.text": "text", "user.units.runs": "units.runs"},
        ),
    ),
    training=(*gslm.training[:-1], stage, second, third),
    published={"lm": 7e9},
    instead={
        "units": "HuBERT, trained on three languages, 1,000 clusters of layer 11",
        "vocoder": "a unit HiFi-GAN with a duration predictor and without pitch",
    },
)
