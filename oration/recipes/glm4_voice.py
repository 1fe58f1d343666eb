"""GLM-4-Voice: a chatbot that answers in 13 pieces of text, 26 units, and so on. Zeng et al. 2024, arXiv:2412.02612.

First `zeng`'s training, then spoken questions: user.units, then text and units by turns of 13 and 26; when the text is
over, units go on alone. Values: sections 3 and 4; the ratio: THUDM/GLM-4-Voice, web_demo.py (which samples at
temperature 0.2, top-p 0.8). There the answers are trained for 20 epochs of speech and 4 of text; the number of updates
here is a guess. Clips with one speaker are cut in two, as question and answer. Published: 9.5 B, from memory of the
model's page.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Ratio, Weave
from oration.recipes.zeng import recipe as zeng
from oration.streams import TakeTurns, Timed
from oration.tasks import Task
from oration.train import AdamW, Linear, Packed, Steps

lm, before = zeng.lms[0], zeng.training[-1]
chat = Task(
    name="chat",
    operations=(Timed("units"), TakeTurns(("units.timed", "text"))),
    layout=Layout((Line("user.units.timed"), Weave(("text", "units.timed"), by=Ratio((13, 26))))),
    predict=("text", "units.timed"),
)

recipe = replace(
    zeng,
    name="glm4_voice",
    lms=(replace(lm, tasks=(chat, *lm.tasks), shared={"user.units.timed": "units.timed"}),),
    training=(
        *zeng.training[:-1],
        replace(before, feed=replace(before.feed, tasks=("interleaved", "speech", "text", "asr", "tts"))),
        replace(
            before,
            feed=Packed(length=8192, batch=64, tasks=("chat",)),
            optimizer=AdamW(lr=1e-5, betas=(0.9, 0.95), decay=0.1, clip=1.0),
            schedule=Linear(warmup=100, final=0.1),
            budget=Steps(10_000),
        ),
    ),
    published={"lm": 9.5e9},
)
