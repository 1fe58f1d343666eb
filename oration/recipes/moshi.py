"""Moshi: listens and speaks at once, with an inner monologue of text. Défossez et al. 2024, arXiv:2410.00037.

At 12.5 Hz, a step holds a piece of the agent's text or padding, its eight levels of the codec and the user's eight;
all but the first level of each party come a step late. A temporal Transformer draws the text, a small one of as many
steps as levels, with weights for each, the agent's levels; the user's are given. Values: sections 3.2 to 3.4, 4 and
table 1; kyutai-labs/moshi, moshi/models/loaders.py (sizes; text: padding is 3, its end 0) and moshi-finetune (padding
counts half). The text LM is Helium, here fresh. In pre-training it has levels two steps late, text alone in half of
the batches, and a rate of its own for the small Transformer (2e-4), none of which is here; the learning rates are from
memory of table 1. Clips with one speaker are cut in two, as question and answer. It samples levels at temperature 0.8,
top-k 250, text at 0.7, top-k 25. Released weights load (`oration.lms.released_moshi`).
"""

from dataclasses import replace

from oration.codecs.mimi import MIMI
from oration.layouts import Layout, Stack
from oration.lms import LM, Depth, Layer, Transformer
from oration.objectives import CrossEntropy
from oration.recipe import Recipe
from oration.recipes.mimi import plain as mimi
from oration.streams import SpreadWords, WhoSays
from oration.tasks import Task
from oration.tokenizers import Channels, TextPieces
from oration.train import AdamW, Cosine, Packed, Steps, Train

agent, user = MIMI.streams, replace(MIMI, prefix="user.").streams
late = (0, 1, 1, 1, 1, 1, 1, 1)
talk = Task(
    name="talk",
    operations=(WhoSays(("text",)), SpreadWords(pad=3, end_pad=0)),
    layout=Layout((Stack(("text.frames", *agent, *user), delays=(0, *late, *late), end="never"),)),
    predict=("text.frames", *agent),
)
training = Train(
    part="lm",
    feed=Packed(length=3000, batch=16),
    objective=CrossEntropy(weights={"codec.0": 100.0}, pads=(("text.frames", 3),), pad_weight=0.5),
    optimizer=AdamW(lr=3e-5, betas=(0.9, 0.95), decay=0.1),
    schedule=Cosine(warmup=1000),
    budget=Steps(1_000_000),
)

recipe = Recipe(
    name="moshi",
    tokenizers=(Channels(of=MIMI, floor=True), TextPieces(size=32_000, file="helium")),
    lms=(
        LM(
            name="lm",
            tasks=(talk,),
            body=Transformer(
                layers=32, dim=4096, heads=32, ffn=11_264, window=3000, positions="rotary_interleaved",
                layer=Layer(norm_eps=1e-8),
            ),
            head=Depth(
                layers=6, dim=1024, heads=16, ffn=2816, rows=agent, independent=("text.frames",),
                weights_per_row=True, rope_base=None, norm_eps=1e-8, final_norm=False,
            ),
            context=None,
        ),
    ),
    vocoder=Channels(of=MIMI).vocoder(),
    training=(
        replace(mimi, part="codec.inner"),
        training,
        replace(training, optimizer=replace(training.optimizer, lr=3e-6), budget=Steps(100_000)),
        replace(training, optimizer=replace(training.optimizer, lr=2e-6), budget=Steps(40_000)),
    ),
    published={"lm": 7.69e9},
    instead={"codec": "the same, its first level taught by WavLM"},
)  # fmt: skip
