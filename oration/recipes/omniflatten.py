"""OmniFlatten: a dialogue in one row of chunks, of fewer kinds at each stage. Zhang et al. 2024, arXiv:2410.17799.

First recognition and speaking, then turns of four streams one after another, then chunks of three (the user's speech,
the agent's words and speech), and in the end of two. Values: Qwen2-0.5B, 4096 units at 25 Hz, chunks of 10 units
(0.4 s) and about 2 pieces of text. Here a chunk of text holds the pieces whose words begin in it, and no filling.
Not checked: learning rates and steps.
"""

from dataclasses import replace

from oration.layouts import Chunk, Layout, Line, Weave
from oration.lms import LM, FromText, Rows, TextBody
from oration.lms.families import QWEN2_0_5B
from oration.recipes.syncllm import recipe as syncllm
from oration.streams import WhoSays
from oration.tasks import Task
from oration.tokenizers import Channels, TextPieces
from oration.train import Packed

both = Channels(of=replace(syncllm.tokenizers[0].of, clusters=4096), floor=True)
talk = Task(
    name="talk", layout=Layout((Weave(("user.units", "units"), by=Chunk(0.4)),)), predict=("units",)
)  # fmt: skip
words = Task(
    name="words",
    operations=(WhoSays(("text",)),),
    layout=Layout((Weave(("user.units", "text", "units"), by=Chunk(0.4)),)),
    predict=("text", "units"),
)
turns = Task(
    name="turns",
    operations=(WhoSays(("text",)),),
    layout=Layout((Line("user.units"), Line("user.text"), Line("text"), Line("units"))),
    predict=("user.text", "text", "units"),
)
asr = Task(name="asr", layout=Layout((Line("units"), Line("text"))), predict=("text",))
tts = Task(name="tts", layout=Layout((Line("text"), Line("units"))), predict=("units",))
stage = syncllm.training[-1]

recipe = replace(
    syncllm,
    name="omniflatten",
    tokenizers=(both, TextPieces(size=151_646)),
    lms=(
        LM(
            name="lm",
            tasks=(talk, words, turns, asr, tts),
            body=TextBody("qwen2-0.5b", config=QWEN2_0_5B),
            head=Rows(tied=True),
            start=FromText(),
            context=8192,
            shared={"user.text": "text", "user.units": "units"},
        ),
    ),
    training=(
        *syncllm.training[:-2],
        replace(stage, feed=Packed(length=8192, batch=2, tasks=("asr", "tts"))),
        replace(stage, feed=Packed(length=8192, batch=2, tasks=("turns",))),
        replace(stage, feed=Packed(length=8192, batch=2, tasks=("words",))),
        replace(stage, feed=Packed(length=8192, batch=2, tasks=("talk",))),
    ),
    published={"lm": 5e8},
    instead={"units": "CosyVoice's supervised tokenizer", "vocoder": "flow matching and HiFT-GAN"},
)
