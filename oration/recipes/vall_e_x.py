"""VALL-E X: VALL-E across languages. Zhang et al. 2023, arXiv:2303.03926.

The prefix holds what the prompt says and what is to be said, then how the prompt sounds; a symbol names the language of
what comes. Values: sections 4 and 5.2 there. The paper adds a vector of the language to every step of speech; here one
symbol says it before. `--task` picks the language to speak: `english` (symbol 0) or `chinese` (1).
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Say
from oration.recipes.vall_e import recipe as vall_e
from oration.tasks import Task
from oration.train import Linear, Packed

ar, nar = vall_e.lms
english = Task(
    name="english",
    layout=Layout((Line("phonemes"), Say((0,), "language", size=2), Line("codec.0"))),
    predict=("codec.0",),
)
chinese = replace(
    english,
    name="chinese",
    layout=Layout((Line("phonemes"), Say((1,), "language", size=2), Line("codec.0"))),
)

recipe = replace(
    vall_e,
    name="vall_e_x",
    lms=(replace(ar, tasks=(english, chinese)), nar),
    training=(
        vall_e.training[0],
        replace(
            vall_e.training[1], schedule=Linear(warmup=8000), feed=Packed(length=4096, batch=1, tasks=("english",))
        ),
        replace(vall_e.training[2], schedule=Linear(warmup=8000)),
    ),
    instead={"phonemes": "phones of two languages (BiCiDian); here English"},
)
