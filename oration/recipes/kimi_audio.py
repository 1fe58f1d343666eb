"""Kimi-Audio: a text LM that hears units and vectors, and answers in text and units. Kimi Team 2025, arXiv:2504.18425.

Two rows of 12.5 steps a second: text, and units six steps later. What is heard is units with vectors beside them,
added. Values: section 4 (lr 2e-5 to 2e-6, warm-up 1 %; its text tasks and interleaving are not here),
MoonshotAI/Kimi-Audio, kimia_infer/api/prompt_manager.py (delay, 16,384 units; it samples units at temperature 0.8 among
10, text greedily). What deviates: text and units come from one trunk, Qwen2.5-7B (there they part after 21 layers, six
of them for units alone, and two adapters make it 9.8 B); the adapter of what is heard is linear; the number of updates
is a guess (585 B tokens of speech there). `--set lms.0.body.folder=PATH` and `--set tokenizers.0.file=PATH` name the
folder of Qwen2.5-7B.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Say, Stack
from oration.lms import LM, FromText, TextBody
from oration.lms.families import QWEN2_5_7B
from oration.recipes.llama_omni2 import recipe as llama_omni2
from oration.recipes.mini_omni import recipe as mini_omni
from oration.streams import Rename, TakeTurns
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, Grouped, Speech, Units
from oration.train import AdamW, Cosine, Packed, Steps
from oration.vocoders import UnitHifiGan

both, rows = ("text", "units"), ("text", "audio")
heard = Stack(("user.speech", "user.units"), rows=rows)
asks = Rename({"speech": "user.speech", "units": "user.units"})

answer = Task(
    name="answer",
    operations=(TakeTurns(("speech", "units", "text")),),
    layout=Layout((heard, Say((0,), "task", "text", 3), Stack(both, delays=(0, 6), rows=rows))),
    predict=both,
)
asr = Task(
    name="asr",
    operations=(asks,),
    layout=Layout((heard, Say((1,), "task", "text", 3), Line("text", "text"))),
    predict=("text",),
)
tts = Task(
    name="tts",
    layout=Layout((Line("text", "text"), Say((2,), "task", "text", 3), Line("units", "audio"))),
    predict=("units",),
)

recipe = replace(
    llama_omni2,
    name="kimi_audio",
    tokenizers=(
        llama_omni2.tokenizers[0],
        Speech(encoder=CpcEncoder(), stack=4),
        Units(encoder=Grouped(encoder=CpcEncoder(), frames=4, mean=True), clusters=16_384, rate=12.5),
    ),
    lms=(
        LM(
            name="lm",
            tasks=(answer, asr, tts),
            body=TextBody("qwen2.5-7b", config=QWEN2_5_7B),
            start=FromText(),
            shared={"user.units": "units"},
            context=8192,
        ),
    ),
    vocoder=UnitHifiGan(needs=("units",), upsample=(5, 4, 4, 4, 4), kernels=(11, 8, 8, 8, 8)),
    training=(
        *llama_omni2.training[:5],
        replace(
            mini_omni.training[-1],
            feed=Packed(length=8192, batch=64),
            optimizer=AdamW(lr=2e-5),
            schedule=Cosine(warmup=1000, final=0.1),
            budget=Steps(100_000),
        ),
    ),
    published={},
    instead={
        "speech": "the encoder of Whisper-large-v3",
        "units": "GLM-4-Voice's supervised tokens, 16,384 at 12.5 Hz",
        "lm": "two branches of layers over one trunk, for text and for units",
        "vocoder": "flow matching with BigVGAN",
    },
)
