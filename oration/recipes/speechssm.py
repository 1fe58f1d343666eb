"""SpeechSSM: speech without end, on a state of fixed size. Park et al. 2024, arXiv:2412.18603.

Semantic units at 25 Hz, repeats kept, no end among them; the body is Griffin, RecurrentGemma's, without positions. What
is said becomes sound by SoundStorm (`soundstorm`). Values: section 3 and RecurrentGemma-2B's (26 layers of 2560, window
2048): 2.1 B parameters with tied units; the paper says 2B, RecurrentGemma's name. Training: 100,000 updates of 768,000
units (pieces of 4 minutes), lr 5e-4, cosine, decay 0.6. It starts from RecurrentGemma-2B there, from nothing here. The
tokenizer there reads overlapping windows of 30 s, since it is not causal; here it is. SoundStorm too works in windows
there, with 3 s of the prompt before each; here its context of 2048 frames bounds a reply to 40 s.
"""

from dataclasses import replace

from oration.layouts import Layout, Stack
from oration.lms import LM, Griffin, Rows
from oration.recipes.soundstorm import recipe as soundstorm
from oration.streams import Excerpt
from oration.tasks import Task
from oration.train import AdamW, Cosine, Packed, Steps

go_on = Task(
    name="continue",
    operations=(Excerpt(("units",), 240.0),),
    layout=Layout((Stack(("units",), end="never"),)),
    predict=("units",),
)
*tokens, stage, acoustic = soundstorm.training

recipe = replace(
    soundstorm,
    name="speechssm",
    tokenizers=(replace(soundstorm.tokenizers[0], clusters=32_768), *soundstorm.tokenizers[1:]),
    lms=(LM(name="ssm", tasks=(go_on,), body=Griffin(), head=Rows(tied=True), context=None), soundstorm.lms[1]),
    training=(
        *tokens,
        replace(
            stage,
            part="ssm",
            feed=Packed(length=6000, batch=128),
            optimizer=AdamW(lr=5e-4, decay=0.6),
            schedule=Cosine(),
            budget=Steps(100_000),
        ),
        acoustic,
    ),
    published={},
    instead={**soundstorm.instead, "units": "USM v2, 32,768 clusters", "ssm": "weights of RecurrentGemma-2B IT"},
)
