"""MinMo: a text LM that hears, a talker that reads five pieces, then says fifteen. Chen et al. 2025, arXiv:2501.06282.

As `llama_omni2` with other slices: five vectors and pieces of the answer, fifteen units at 25 Hz; Qwen2.5-7B learns by
LoRA. Values: the sections on the model (five to fifteen, 6,561 codes, LoRA; its rank is a guess, and so are rates and
numbers of updates). About 8 B in all, from memory: an encoder of 636 M, a projector of 170 M and a voice LM of 370 M
besides Qwen2.5-7B. What deviates: text and vectors stand one after the other (there: summed); the projector is linear;
no predictor tells when to speak (18 M there); turns are cut out of speech by one.
"""

from dataclasses import replace

from oration.layouts import Layout, Ratio, Weave
from oration.lms import Lora
from oration.recipes.llama_omni2 import recipe as llama_omni2
from oration.tasks import Task

lm, talker = llama_omni2.lms
speak = Task(
    name="speak",
    layout=Layout((Weave(("text", "text.hidden", "units"), by=Ratio((5, 5, 15))),)),
    predict=("units",),
)

recipe = replace(
    llama_omni2,
    name="minmo",
    lms=(
        replace(lm, body=replace(lm.body, trained="lora", lora=Lora(rank=16, alpha=32.0))),
        replace(talker, tasks=(speak,)),
    ),
    instead={**llama_omni2.instead, "speech": "SenseVoice-large's encoder and a projector of two layers"},
)
