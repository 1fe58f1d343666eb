"""The cascade: recognition, a text LM and synthesis in a row, what every system here is compared with.

Three language models over the same units and pieces of text, each reading what the one before it wrote: units of the
question to its words, these to the answer's words, these to merged units. No paper's: the shape is this repository's
own, the text LM has the size and the tokenizer of Qwen2.5-0.5B (Qwen Team 2024, arXiv:2412.15115, 0.49 B parameters),
the other two have that of `gslm`. Published comparisons put Whisper-large-v3, an LM of 8 B and CosyVoice here. Clips
with one speaker are cut in two, as question and answer; recognition and synthesis learn from whole ones. `--set
lms.1.body.folder=PATH` and `--set tokenizers.2.file=PATH` name the folder of Qwen2.5-0.5B.
"""

from dataclasses import replace

from oration.layouts import Layout, Line
from oration.lms import LM, FromText, Rows, TextBody
from oration.lms.families import QWEN2_5_0_5B
from oration.recipes.gslm import recipe as gslm
from oration.streams import Dedup, Rename, TakeTurns
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import AdamW, Cosine, Packed, Steps

asked, question, answer = Line("user.units"), Line("user.text"), Line("text")
heard = Task(
    name="asr",
    operations=(Rename({"units": "user.units", "text": "user.text"}),),
    layout=Layout((asked, question)),
    predict=("user.text",),
)
chat = Task(
    name="chat", operations=(TakeTurns(("text",)),), layout=Layout((question, answer)), predict=("text",)
)  # fmt: skip
tts = Task(
    name="tts", operations=(Dedup(),), layout=Layout((answer, Line("units.runs"))), predict=("units.runs",)
)  # fmt: skip
ulm, stage = gslm.lms[0], gslm.training[-1]

recipe = replace(
    gslm,
    name="cascade",
    tokenizers=(*gslm.tokenizers, TextPieces(size=151_936, file="qwen2.5-0.5b")),
    lms=(
        replace(ulm, name="asr", tasks=(heard,), head=Rows(tied=True)),
        LM(
            name="chat",
            tasks=(chat,),
            body=TextBody("qwen2.5-0.5b", config=QWEN2_5_0_5B),
            head=Rows(tied=True),
            start=FromText(),
            shared={"user.text": "text"},
            context=4096,
        ),
        replace(ulm, name="tts", tasks=(tts,), head=Rows(tied=True)),
    ),
    training=(
        *gslm.training[:-1],
        replace(stage, part="asr"),
        replace(
            stage, part="chat", feed=Packed(length=4096, batch=16), optimizer=AdamW(lr=1e-5),
            schedule=Cosine(warmup=100), budget=Steps(5000),
        ),
        replace(stage, part="tts"),
    ),
    published={"chat": 494e6},
    instead={"asr": "Whisper-large-v3, in published comparisons", "tts": "CosyVoice, in published comparisons"},
)  # fmt: skip
