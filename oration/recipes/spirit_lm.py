"""SpiRit-LM: speech and text as one sequence that switches at word boundaries. Nguyen et al. 2024, arXiv:2402.05755.

Merged units at 25 Hz and the text of Llama 2, each slice opened by a mark; spans of 10 to 30 words of text and 5 to 15
of speech. Text alone and speech alone make up two thirds of the training, drawn evenly; all of it is predicted. Values:
appendix A and table 2 (200,000 updates of 1 M tokens, lr 3e-5, rotary base 100,000); facebookresearch/spiritlm:
spiritlm/model/README.md (it samples at temperature 0.9, top-p 0.95). The warm-up is a guess. Text needs word times
here, even alone. `--set lms.0.body.folder=PATH` and `--set tokenizers.2.file=PATH` name the folder of Llama 2, in whose
config.json rope_theta must be 100000. 7 B is the size by which the authors name it.
"""

from dataclasses import replace

from oration.layouts import Layout, Time, Weave
from oration.lms import LM, FromText, TextBody
from oration.lms.families import LLAMA_2_7B_SPIRIT
from oration.recipes.twist import recipe as twist
from oration.streams import Alternate, Dedup
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import AdamW, Constant, Packed, Steps

both = ("text", "units.runs")
mixed = Task(
    name="alternate", operations=(Dedup(), Alternate()), layout=Layout((Weave(both, by=Time()),)), predict=both
)
speech = Task(
    name="speech",
    operations=(Dedup(),),
    layout=Layout((Weave(("units.runs",), by=Time()),)),
    predict=("units.runs",),
)
words = Task(name="text", layout=Layout((Weave(("text",), by=Time()),)), predict=("text",))

recipe = replace(
    twist,
    name="spirit_lm",
    tokenizers=(*twist.tokenizers, TextPieces(size=32_000, file="llama-2-7b")),
    lms=(
        LM(
            name="ulm",
            tasks=(mixed, speech, words),
            body=TextBody("llama-2-7b", config=LLAMA_2_7B_SPIRIT),
            start=FromText(),
            context=4096,
        ),
    ),
    training=(
        *twist.training[:-1],
        replace(
            twist.training[-1],
            feed=Packed(length=4096, batch=256),
            optimizer=AdamW(lr=3e-5),
            schedule=Constant(warmup=100),
            budget=Steps(200_000),
        ),
    ),
    published={"ulm": 7e9},
    instead={
        "units": "HuBERT at 25 Hz, trained on several languages, 500 clusters",
        "vocoder": "a unit HiFi-GAN with a duration predictor, four voices and without pitch",
    },
)
