"""IntrinsicVoice: units in groups of five, text between question and answer. Zhang et al. 2024, arXiv:2410.08035.

The LM hears a group a step, writes the answer, then says it, a group a step: five steps a second for speech as for
text. Values: Qwen2-7B, groups of five, units at 25 Hz, repeats kept; from memory of the paper, as is that there are
1,000 units; lr and numbers of updates are guesses. What deviates: the five units of a group are drawn by a projection
each from one vector (there: GroupFormer, a small Transformer that is not causal, with learned queries); what is heard
is the sum of five embeddings (there: a network of its own); the words of the question are not written. `--set
lms.0.body.folder=PATH` and `--set tokenizers.0.file=PATH` name the folder of Qwen2-7B.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Stack
from oration.lms.families import QWEN2_7B
from oration.recipes.kimi_audio import recipe as kimi_audio
from oration.recipes.llama_omni2 import recipe as llama_omni2
from oration.streams import Group, TakeTurns
from oration.tasks import Task

lm, units = kimi_audio.lms[0], replace(llama_omni2.tokenizers[2], clusters=1000)
heard, said = Group("user.units", 5, into="user.group"), Group("units", 5)
answer = Task(
    name="answer",
    operations=(TakeTurns(("units", "text")), heard, said),
    layout=Layout((Stack(heard.gives, rows=said.gives), Line("text", "text"), Stack(said.gives))),
    predict=("text", *said.gives),
)

recipe = replace(
    llama_omni2,
    name="intrinsic_voice",
    tokenizers=(llama_omni2.tokenizers[0], units),
    lms=(
        replace(
            lm,
            tasks=(answer,),
            body=replace(lm.body, folder="qwen2-7b", config=QWEN2_7B),
            shared={
                "user.group.0": "group.0",
                "user.group.1": "group.1",
                "user.group.2": "group.2",
                "user.group.3": "group.3",
                "user.group.4": "group.4",
            },
        ),
    ),
    training=(*llama_omni2.training[2:5], kimi_audio.training[-1]),
    published={},
    instead={
        "units": "HuBERT at 25 Hz",
        "lm": "GroupFormer, a Transformer that draws the five units of a group",
        "vocoder": "a unit HiFi-GAN",
    },
)
