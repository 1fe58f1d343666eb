"""VoxtLM: recognition, synthesis, and going on with speech or text, in one model. Maiti et al. 2023, arXiv:2309.07937.

Merged units and text, both in pieces learned from the corpus, in the body of OPT-1.3B; a symbol at the beginning names
the task, and only the answer is predicted. Published: 1.3 B, as OPT is named.
Values: espnet/espnet, egs2/voxtlm_v1/lm1 (conf/train_transformer_opt350.yaml, which is for the smaller model: lr 3e-4,
warm-up 2,500, 10,000 x 20 x 4 symbols a step). What deviates: 1,000 units; there one vocabulary of 10,000 pieces spans
units and text, here each has 5,000; there the learning rate follows 1 / sqrt after warm-up, as here, with label
smoothing 0.1, which is not here; the updates are a guess. The vocoder there hears the speaker (x-vector).
`--set lms.0.body.folder=PATH` names OPT's folder.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Say
from oration.lms import LM, FromText, TextBody
from oration.lms.families import OPT_1_3B
from oration.objectives import Bpe, UnitBpe
from oration.recipes.gslm import recipe as gslm
from oration.tasks import Task
from oration.tokenizers import TextPieces, UnitPieces
from oration.train import AdamW, InverseSqrt, Packed, Steps, Texts, Train, Whole

ulm = gslm.training[-1]
spoken, written, kind = Line("pieces"), Line("text"), Say((0,), stream="kind", size=4)
speech = Task(name="speech", layout=Layout((kind, spoken)), predict=("pieces",))
words = Task(name="text", layout=Layout((replace(kind, ids=(1,)), written)), predict=("text",))
asr = replace(words, name="asr", layout=Layout((replace(kind, ids=(2,)), spoken, written)))
tts = replace(speech, name="tts", layout=Layout((replace(kind, ids=(3,)), written, spoken)))
letters = Train(part="text", objective=Bpe(), feed=Texts(), budget=Steps(1), precision="fp32")
pieces = Train(part="pieces", objective=UnitBpe(), feed=Whole(), budget=Steps(1), precision="fp32")
training = replace(
    ulm,
    part="lm",
    feed=Packed(length=2048, batch=400),
    optimizer=AdamW(lr=3e-4, decay=1e-6, clip=1.0),
    schedule=InverseSqrt(warmup=2500),
    budget=Steps(100_000),
)

recipe = replace(
    gslm,
    name="voxtlm",
    tokenizers=(
        replace(gslm.tokenizers[0], clusters=1000),
        *gslm.tokenizers[1:],
        UnitPieces(of="units.runs", units=1000, size=5000),
        TextPieces(size=5000),
    ),
    lms=(
        LM(
            name="lm",
            tasks=(speech, words, asr, tts),
            body=TextBody("opt-1.3b", config=OPT_1_3B),
            start=FromText(streams=()),
            context=2048,
        ),
    ),
    training=(*gslm.training[:-1], letters, pieces, training),
    published={"lm": 1.3e9},
    instead={"units": "HuBERT, 1,000 clusters of layer 6", "vocoder": "a HiFi-GAN of units and x-vectors"},
)
