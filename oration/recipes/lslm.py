"""LSLM: a speaker that listens while it speaks. Ma et al. 2024, arXiv:2408.02622.

It reads a text aloud, unit by unit, and hears the other channel at every step: what it hears enters every layer (the
middle fusion, the best in the paper; `early` and `late` are `--set lms.0.fusion.where=...`). Values: sections 4 and 5;
12 layers of 768; units of vq-wav2vec, how many is not said (1000 here). The paper's symbol for being interrupted needs
dialogues with interruptions; here the end of the units says so.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Fusion, Transformer
from oration.objectives import CrossEntropy
from oration.recipes.gslm import recipe as gslm
from oration.recipes.ntpp import recipe as ntpp
from oration.tasks import Task
from oration.tokenizers import Channels, CpcEncoder, Phonemes, Speech
from oration.train import AdamW, Cosine, Packed, Steps, Train

heard = Channels(of=Speech(encoder=CpcEncoder(), stack=1))
talk = Task(
    name="talk",
    layout=Layout((Line("phonemes", row="units"), Stack(("units", "user.speech")))),
    predict=("units",),
)

recipe = replace(
    ntpp,
    name="lslm",
    tokenizers=(Channels(of=replace(gslm.tokenizers[0], clusters=1000)), heard, Phonemes()),
    lms=(
        LM(
            name="lm",
            tasks=(talk,),
            body=Transformer(layers=12, dim=768, heads=12, ffn=2048),
            fusion=Fusion(rows=("user.speech",), where="middle"),
            context=2048,
        ),
    ),
    training=(
        *ntpp.training[:-1],
        Train(
            part="lm",
            feed=Packed(length=2048, batch=4),
            objective=CrossEntropy(),
            optimizer=AdamW(lr=5e-4, decay=0.0),
            schedule=Cosine(warmup=5000),
            budget=Steps(200_000),
        ),
    ),
    instead={"units": "vq-wav2vec, quantized", "speech": "vq-wav2vec", "vocoder": "CTX-vec2wav"},
)
