"""AnyGPT: a text LM that says the first level of a codec, then a codec filled in. Zhan et al. 2024, arXiv:2402.12226.

Spoken chat: the question's first level, its words, the answer's words, the answer's first level, all but the question
predicted; then seven levels are filled in by confidence, in 4 passes for the first of them. Values: OpenMOSS/AnyGPT,
scripts/stage1_pretrain.sh and stage2_sft.sh (lr 3e-5 and 2e-5, cosine, 3 % warm-up, length 4500), infer/voice_clone.py
(12 layers of 1024, 8 heads of 128). The updates, the batches and the passes of each level but the first are guesses.
Not here: images and music. There the level that is said is taught by HuBERT, here by nobody; a
plain bidirectional Transformer for a Conformer. Clips with one speaker are cut in two, as question and answer. 7 B is
in the released model's name.
"""

from dataclasses import replace

from oration.codecs.speechtokenizer import SPEECHTOKENIZER as CODEC
from oration.generate import Confidence
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, FromText, TextBody, Transformer
from oration.lms.families import LLAMA_2_7B
from oration.objectives import CrossEntropy, Masked
from oration.recipe import Recipe
from oration.recipes.speechtokenizer import plain as speechtokenizer
from oration.streams import TakeTurns
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import AdamW, Cosine, Packed, Steps, Train

spoken, written = Line("codec.0"), Line("text")
chat = Task(
    name="chat",
    operations=(TakeTurns(("codec.0", "text")),),
    layout=Layout((Line("user.codec.0"), Line("user.text"), written, spoken)),
    predict=("user.text", "text", "codec.0"),
)
asr = Task(name="asr", layout=Layout((spoken, written)), predict=("text", "codec.0"))
tts = replace(asr, name="tts", layout=Layout((written, spoken)))
fill = Task(name="fill", layout=Layout((Stack(CODEC.streams, end="never"),)), predict=CODEC.streams[1:])
lm = LM(
    name="lm",
    tasks=(chat, asr, tts),
    body=TextBody("llama-2-7b", config=LLAMA_2_7B),
    start=FromText(),
    context=4096,
    shared={"user.text": "text", "user.codec.0": "codec.0"},
)
body = Transformer(layers=12, dim=1024, heads=8, ffn=2736, dropout=0.1, causal=False)
acoustic = LM(name="acoustic", tasks=(fill,), body=body, generator=Confidence(steps=(4, 1)), context=1500)
first = Train(
    part="lm",
    feed=Packed(length=4096, batch=64, tasks=("asr", "tts")),
    objective=CrossEntropy(),
    optimizer=AdamW(lr=3e-5),
    schedule=Cosine(warmup=2400),
    budget=Steps(80_000),
)

recipe = Recipe(
    name="anygpt",
    tokenizers=(CODEC, TextPieces(size=32_000, file="llama-2-7b")),
    lms=(lm, acoustic),
    vocoder=CODEC.vocoder(),
    training=(
        speechtokenizer,
        first,
        replace(first, feed=Packed(length=4096, batch=64, tasks=("chat",)), optimizer=AdamW(lr=2e-5)),
        replace(first, part="acoustic", feed=Packed(length=1500, batch=32), objective=Masked()),
    ),
    published={"lm": 7e9},
    instead={"codec": "the same, its first level taught by HuBERT"},
)
