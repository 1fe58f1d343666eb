"""CSM: text, then speech in frames of 32 levels from a small decoder. Sesame 2025, https://github.com/SesameAILabs/csm.

A Transformer of the size of Llama-3.2-1B reads text and goes on with frames; it draws the first level of a frame
itself, the decoder of 100 M the other 31, and a frame of zeros ends the speech. Say the recording's own words first,
then those to be spoken; with `--task turn` the other party's words and speech come first, in the same rows. Values:
the sizes and the rotary positions of sesame/csm-1b (transformers, models/csm); a context of 2048 steps, five epochs of
a million hours, the decoder trained on 1/16 of the frames (sesame.com/research, on the uncanny valley of voice). 1.63
B are released, 79 M of these are Mimi's. Not published: optimizer, batch and steps (ours). Not here: the number of the
speaker, which the released text begins with. It samples at temperature 0.9, top-k 50. Weights of the released names
load (`oration.lms.released_csm`).
"""

from dataclasses import replace

from oration.codecs.mimi import MIMI
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Depth, Layer, Rope, Transformer
from oration.objectives import CrossEntropy
from oration.recipe import Recipe
from oration.recipes.mimi import plain as mimi
from oration.streams import TakeTurns
from oration.tasks import Task
from oration.tokenizers import TextPieces
from oration.train import AdamW, Cosine, Packed, Steps, Train

codec = replace(MIMI, levels=32)
theirs = replace(codec, prefix="user.")
words, frames = Line("text", row="text"), Stack(codec.streams, end="zeros")
before = (Line("user.text", row="text"), Stack(theirs.streams, end="zeros", rows=codec.streams))
say = Task(name="say", layout=Layout((words, frames)), predict=codec.streams)
turn = Task(
    name="turn",
    operations=(TakeTurns(("text", *codec.streams)),),
    layout=Layout((*before, words, frames)),
    predict=codec.streams,
)

recipe = Recipe(
    name="csm",
    tokenizers=(codec, TextPieces(size=128_256, file="llama-3.2-1b")),
    lms=(
        LM(
            name="lm",
            tasks=(say, turn),
            body=Transformer(
                layers=16, dim=2048, heads=32, kv_heads=8, ffn=8192, layer=Layer(norm_eps=1e-5),
                rope_base=Rope(base=500_000.0, factor=32.0, low=0.125, high=0.5, context=1024),
            ),
            head=Depth(
                layers=4, dim=1024, heads=8, kv_heads=2, ffn=8192, rows=codec.streams[1:],
                independent=codec.streams[:1], inputs="sequence", norm_eps=1e-5,
                rope_base=Rope(base=500_000.0, factor=32.0, low=0.001953125, high=0.0078125, context=16),
            ),
            shared={"user.text": "text", **dict(zip(theirs.streams, codec.streams, strict=True))},
            context=2048,
        ),
    ),
    vocoder=codec.vocoder(),
    training=(
        mimi,
        Train(
            part="lm",
            feed=Packed(length=2048, batch=64),
            objective=CrossEntropy(share=0.0625),
            optimizer=AdamW(lr=3e-4),
            schedule=Cosine(warmup=2000),
            budget=Steps(500_000),
        ),
    ),
    published={"lm": 1.553e9},
    instead={"codec": "the same, its first level taught by WavLM"},
)  # fmt: skip
