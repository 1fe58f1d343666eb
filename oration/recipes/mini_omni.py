"""Mini-Omni: a text LM that hears, and answers in text and speech at once. Xie & Wu 2024, arXiv:2408.16725.

Eight rows: text, and seven codes a frame, each a step later than the row above; what is heard stands before them as
vectors. Task `answer` takes turns; `asr` and `tts` are the first stage of training, as in the paper. Values:
Qwen2-0.5B with tied tables (0.5 B is the size by which the authors name it), section 4 (cosine from 4e-4 to 4e-6,
batch 192, 40,000 updates an epoch), gpt-omni/mini-omni, litgpt/config.py and inference.py (delays, 4,096 codes,
temperature 0.9). A frame of 85 ms has seven codes of SNAC's three levels: one at 12 Hz, two at 23, four at 47. What
deviates: the adapter of what is heard is linear (there: a gated MLP); every stage trains everything (there: adapters
first, then the LM without them); no second sequence helps out with text (batch-parallel decoding). Data there:
LibriTTS, VCTK, Multilingual LibriSpeech, VoiceAssistant-400K. `--set lms.0.body.folder=PATH` and `--set
tokenizers.0.file=PATH` name the folder of Qwen2-0.5B.
"""

from dataclasses import replace

from oration.codecs.snac import SNAC_24K
from oration.layouts import Layout, Line, Say, Stack
from oration.lms import LM, FromText, Rows, TextBody
from oration.lms.families import QWEN2_0_5B
from oration.objectives import CrossEntropy, Standardise
from oration.recipe import Recipe
from oration.recipes.snac_24k import recipe as snac
from oration.recipes.units_cpc import recipe as units_cpc
from oration.streams import Group, Rename, TakeTurns
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, Speech, TextPieces
from oration.train import AdamW, Cosine, Crops, Packed, Steps, Train

apart = (Group("codec.1", 2, into="half"), Group("codec.2", 4, into="quarter"))
seven = ("codec.0", "half.0", "quarter.0", "quarter.1", "half.1", "quarter.2", "quarter.3")
spoken = ("text", *seven)
heard = Line("user.speech", row="text")
asks = Rename({"speech": "user.speech"})
says, codes = Stack(spoken, delays=(0, 1, 2, 3, 4, 5, 6, 7)), Stack(seven, delays=(0, 1, 2, 3, 4, 5, 6))

answer = Task(
    name="answer",
    operations=(*apart, TakeTurns(("speech", *spoken))),
    layout=Layout((heard, Say((0,), "task", "text", 3), says)),
    predict=spoken,
)
asr = Task(
    name="asr", operations=(asks,), layout=Layout((heard, Say((1,), "task", "text", 3), Line("text", "text"))),
    predict=("text",),
)  # fmt: skip
tts = Task(
    name="tts", operations=apart, layout=Layout((Line("text", "text"), Say((2,), "task", "text", 3), codes)),
    predict=seven,
)  # fmt: skip

hearing = Train(
    part="speech",
    objective=Standardise(),
    feed=Crops(streams=("wave",), seconds=4.0, batch=8),
    budget=Steps(200),
    precision="fp32",
)
aligning = Train(
    part="lm",
    feed=Packed(length=2048, batch=192, tasks=("asr", "tts")),
    objective=CrossEntropy(),
    optimizer=AdamW(lr=4e-4),
    schedule=Cosine(warmup=400, final=0.01),
    budget=Steps(40_000),
)

recipe = Recipe(
    name="mini_omni",
    tokenizers=(TextPieces(size=151_936, file="qwen2-0.5b"), Speech(encoder=CpcEncoder(), stack=1), SNAC_24K),
    lms=(
        LM(
            name="lm",
            tasks=(answer, asr, tts),
            body=TextBody("qwen2-0.5b", config=QWEN2_0_5B),
            head=Rows(tied=True),
            start=FromText(),
            context=2048,
        ),
    ),
    vocoder=SNAC_24K.vocoder(),
    training=(
        replace(units_cpc.training[0], part="speech.encoder"),
        hearing,
        *snac.training,
        aligning,
        replace(aligning, feed=Packed(length=2048, batch=192), optimizer=AdamW(lr=5e-5)),
    ),
    published={"lm": 0.5e9},
    instead={"speech": "the encoder of Whisper-small"},
)
