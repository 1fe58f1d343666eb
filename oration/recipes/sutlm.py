"""SUTLM: one language model of speech units and of text. Chou et al. 2023, arXiv:2310.08715.

Five kinds of sequences, told apart by their first symbol: speech, text, one after the other in both orders, and both in
turns at word boundaries (by the times of the words). A reply goes on in turns. All of it is predicted.
From memory of the paper: 2,000 units with repeats merged, a model of the size of OPT-350M. Not checked: its pieces of
units and of text (here none, and OPT's), how long the spans of each kind are (here 1 to 10 words), and its training
(here that of `twist`). `--set lms.0.body.folder=PATH` names OPT's folder, `--set tokenizers.2.file=PATH` too.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Say, Time, Weave
from oration.lms import LM, FromText, TextBody
from oration.lms.families import OPT_350M
from oration.recipes.gslm import recipe as gslm
from oration.recipes.twist import recipe as twist
from oration.streams import Alternate, Dedup, InTurn
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import Packed

units, text, both = Line("units.runs"), Line("text"), ("text", "units.runs")
kind = Say((0,), stream="kind", size=5)
mixed = Task(
    name="alternate",
    operations=(Dedup(), Alternate(spans=InTurn(text=(1, 10), speech=(1, 10)))),
    layout=Layout((kind, Weave(both, by=Time()))),
    predict=both,
)
plain = replace(mixed, name="speech", operations=(Dedup(),))
speech = replace(plain, layout=Layout((replace(kind, ids=(1,)), units)), predict=("units.runs",))
words = replace(plain, name="text", operations=(), layout=Layout((replace(kind, ids=(2,)), text)), predict=("text",))
heard = replace(plain, name="speech_text", layout=Layout((replace(kind, ids=(3,)), units, text)), predict=both)
read = replace(plain, name="text_speech", layout=Layout((replace(kind, ids=(4,)), text, units)), predict=both)

recipe = replace(
    gslm,
    name="sutlm",
    tokenizers=(
        replace(gslm.tokenizers[0], clusters=2000),
        *gslm.tokenizers[1:],
        TextPieces(size=50_272, file="opt-350m"),
    ),
    lms=(
        LM(
            name="ulm",
            tasks=(mixed, speech, words, heard, read),
            body=TextBody("opt-350m", config=OPT_350M),
            start=FromText(),
            context=2048,
        ),
    ),
    training=(*gslm.training[:-1], replace(twist.training[-1], feed=Packed(length=2048, batch=64))),
    instead={
        "units": "HuBERT, 2,000 clusters, with pieces of units",
        "text": "pieces learned from the training text",
    },
)
