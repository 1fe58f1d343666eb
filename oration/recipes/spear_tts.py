"""SPEAR-TTS: reading, then speaking in the voice of a prompt. Kharitonov et al. 2023, arXiv:2302.03540.

First text to merged semantic units at 25 Hz; then the prompt's units, the new ones and the prompt's codec to the new
codec, three levels one item after another. In training a recording is cut in two, and its first part is the prompt.
Values: sections 3 and 5 of the paper for units, codec and the second model (12 layers, 768, 12 heads, 2048), whose 97 M
parameters are from GPST's table 1 (arXiv:2406.00976). The first model there is an encoder and decoder of T5-Large's 24
layers, pre-trained to restore deleted units and fed by back-translation; here it is one decoder of that depth, trained
on transcribed speech. The best of three samples by DNSMOS, a beam of 10, Adafactor: left out; training is `audiolm`'s.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Ratio, Weave
from oration.lms import LM, Transformer
from oration.recipes.audiolm import codec as twelve
from oration.recipes.audiolm import recipe as audiolm
from oration.streams import Dedup, Excerpt, Rename, TakeTurns
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import Packed

codec = replace(twelve, quantizer=replace(twelve.quantizer, levels=3))
theirs = replace(codec, prefix="user.")
body = Transformer(layers=12, dim=768, heads=12, ffn=2048, dropout=0.1)
by = Ratio((1, 1, 1))

read = Task(
    name="read",
    operations=(Rename({"text": "user.text"}, keep=True), Dedup()),
    layout=Layout((Line("user.text"), Line("units.runs"))),
    predict=("units.runs",),
)
speak = Task(
    name="speak",
    operations=(
        Excerpt(("units", *codec.streams), 10.0),
        TakeTurns(("units", *codec.streams)),
        Dedup(),
        Dedup(stream="user.units"),
    ),
    layout=Layout(
        (Line("user.units.runs"), Line("units.runs"), Weave(theirs.streams, by=by), Weave(codec.streams, by=by))
    ),
    predict=codec.streams,
)
encoder, clusters, codebooks, stage, *_ = audiolm.training

recipe = replace(
    audiolm,
    name="spear_tts",
    tokenizers=(replace(audiolm.tokenizers[0], clusters=512), codec, TextPieces()),
    lms=(
        LM(name="reading", tasks=(read,), body=Transformer(layers=24, dim=1024, heads=16, ffn=2816), context=2048),
        LM(name="speaking", tasks=(speak,), body=body, context=4096),
    ),
    vocoder=codec.vocoder(),
    training=(
        encoder,
        clusters,
        codebooks,
        replace(stage, part="reading", feed=Packed(length=2048, batch=64)),
        replace(stage, part="speaking", feed=Packed(length=4096, batch=64)),
    ),
    published={"speaking": 97e6},
    instead={
        "units": "w2v-BERT, layer 7, 25 Hz",
        "reading": "an encoder and decoder (T5-Large), pre-trained on units",
    },
)
