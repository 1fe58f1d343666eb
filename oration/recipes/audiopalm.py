"""AudioPaLM: a text LM that hears and says units, then a codec filled in. Rubenstein et al. 2023, arXiv:2306.12925.

Units at 25 Hz, not merged, among the symbols of a text LM whose input and output tables are one; a symbol names the
task. The first task is the paper's combined kind, in which intermediate steps are said in order: what was heard, its
words, and the speech again; with a corpus of translations the same lines give `[ASR AST S2ST English French]`. Then
`soundstorm`'s second model makes 12 levels of a codec from the units. Values: sections 3 and 4 (lr 5e-5, constant,
dropout 0.1 not here; Adafactor there). What deviates: PaLM-2's sizes are not published, so this is Llama 3's decoder
with PaLM-2's 256,000 symbols of text, 8 B as in the paper; there the task is written in plain text; nothing gives the
second stage a voice to speak in. 100,000 updates, and 64 lines a step, are guesses.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Say
from oration.lms import LM, FromText, Rows, TextBody
from oration.lms.families import LLAMA_3_8B
from oration.recipes.soundstorm import recipe as soundstorm
from oration.recipes.twist import recipe as twist
from oration.streams import Rename
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import AdamW, Constant, Packed, Steps

heard, kind = Rename({"units": "user.units"}, keep=True), Say((0,), stream="kind", size=4)
spoken, written = Line("units"), Line("text")
combined = Task(
    name="asr_s2s",
    operations=(heard,),
    layout=Layout((kind, Line("user.units"), written, spoken)),
    predict=("text", "units"),
)
asr = replace(
    combined,
    name="asr",
    layout=Layout((replace(kind, ids=(1,)), Line("user.units"), written)),
    predict=("text",),
)
tts = Task(name="tts", layout=Layout((replace(kind, ids=(2,)), written, spoken)), predict=("units",))
lm = LM(
    name="lm",
    tasks=(combined, asr, tts),
    body=TextBody("text-lm", config=LLAMA_3_8B),
    head=Rows(tied=True),
    start=FromText(),
    context=2048,
    shared={"user.units": "units"},
)
first = replace(
    twist.training[-1],
    part="lm",
    feed=Packed(length=2048, batch=64),
    optimizer=AdamW(lr=5e-5),
    schedule=Constant(),
    budget=Steps(100_000),
)

recipe = replace(
    soundstorm,
    name="audiopalm",
    tokenizers=(*soundstorm.tokenizers, TextPieces(size=256_000, file="text-lm")),
    lms=(lm, soundstorm.lms[1]),
    training=(*soundstorm.training[:-2], first, soundstorm.training[-1]),
    published={"lm": 8e9, "soundstorm": 350e6},
    instead={"units": "USM, 1,024 clusters", "lm": "PaLM-2, 8 B"},
)
