"""A small full-duplex model: it hears and speaks at once, 25 steps a second.

Moshi's kind (Défossez et al. 2024, arXiv:2410.00037, sections 3.3 and 3.4) on the shipped codec, without text: in each
step the first four levels of what the user says are given, and six levels of what the agent says are drawn by a small
Transformer of their own. No level comes late, so that a step is all it waits. It learns from made-up dialogues
(`oration converse`) when to speak, to stop and to keep silent; what it says is one of the sentences of its voice. Sizes
are this repository's own. No weights come with the toolkit yet.
"""

from dataclasses import replace

from oration.layouts import Layout, Stack
from oration.lms import LM, Depth, Transformer
from oration.objectives import CrossEntropy
from oration.recipe import Recipe
from oration.recipes.pocket_codec import codec as pocket_codec
from oration.streams import Excerpt
from oration.tasks import Task
from oration.tokenizers import Channels
from oration.train import AdamW, Cosine, Packed, Steps, Train

codec = replace(pocket_codec, levels=6)
both = Channels(of=codec)
agent, user = codec.streams, replace(codec, levels=4, prefix="user.").streams
talk = Task(
    name="talk",
    operations=(Excerpt((*agent, *user), 16.0),),
    layout=Layout((Stack((*agent, *user), end="never"),)),
    predict=agent,
)

recipe = Recipe(
    name="pocket_duplex",
    tokenizers=(both,),
    lms=(
        LM(
            name="lm",
            tasks=(talk,),
            body=Transformer(layers=5, dim=256, heads=4, kv_heads=2, ffn=704, dropout=0.1, window=250),
            head=Depth(layers=1, dim=160, heads=4, ffn=448, rows=agent),
            context=None,
        ),
    ),
    vocoder=both.vocoder(),
    training=(
        Train(
            part="lm",
            feed=Packed(length=400, batch=4),
            objective=CrossEntropy(),
            optimizer=AdamW(lr=1.5e-3, betas=(0.9, 0.95), decay=0.1),
            schedule=Cosine(warmup=100),
            budget=Steps(4_000),
            save_every=500,
            dev_every=500,
        ),
    ),
    weights="int8",
)
