"""SLAM-Omni: a text LM that hears, and answers in text and three units a step. Chen et al. 2024, arXiv:2412.15649.

Four rows without delays: text, and the first, second and third of every three units at 50 Hz. What is heard stands
before them as vectors at 10 Hz. Values: section 3.2 (groups of three), the section on training (one stage, AdamW 1e-4,
warm-up 1,000, then linear, 100,000 updates of batch 24), X-LANCE/SLAM-LLM, examples/s2s (4,096 units, tied tables);
Qwen2-0.5B is 0.5 B by name. It draws greedily with repetition penalties of 1.2. What deviates: each row of units has
logits of its own (there: one row of logits, widened to three by a linear layer of 52 M); the projector of what is heard
is linear; no history of a dialogue is read; the vocoder knows one voice (there: flow matching, with a prompt for the
timbre). Data there: VoiceAssistant-400K, UltraChat-300K. `--set lms.0.body.folder=PATH` and `--set
tokenizers.0.file=PATH` name the folder of Qwen2-0.5B.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Stack
from oration.recipes.gslm import vocoder
from oration.recipes.mini_omni import recipe as mini_omni
from oration.recipes.units_cpc import recipe as units_cpc
from oration.streams import Group, TakeTurns
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, Speech
from oration.train import AdamW, Crops, Linear, Packed, Steps
from oration.vocoders import UnitHifiGan

group = Group("units", 3)
spoken = ("text", *group.gives)
answer = Task(
    name="answer",
    operations=(TakeTurns(("speech", "text", "units")), group),
    layout=Layout((Line("user.speech", row="text"), Stack(spoken))),
    predict=spoken,
)

recipe = replace(
    mini_omni,
    name="slam_omni",
    tokenizers=(
        mini_omni.tokenizers[0],
        Speech(encoder=CpcEncoder(), stack=5),
        replace(units_cpc.tokenizers[0], clusters=4096),
    ),
    lms=(replace(mini_omni.lms[0], tasks=(answer,), context=3000),),
    vocoder=UnitHifiGan(needs=("units",), upsample=(5, 4, 4, 2, 2), kernels=(11, 8, 8, 4, 4)),
    training=(
        *mini_omni.training[:2],
        *units_cpc.training,
        replace(vocoder, feed=Crops(streams=("wave", "units"), seconds=0.56, batch=16)),
        replace(
            mini_omni.training[-1],
            feed=Packed(length=None, batch=24),
            optimizer=AdamW(lr=1e-4),
            schedule=Linear(warmup=1000),
            budget=Steps(100_000),
        ),
    ),
    instead={
        "speech": "the encoder of Whisper-small",
        "units": "CosyVoice's supervised tokens, 4,096 at 50 Hz",
        "vocoder": "CosyVoice's flow matching with HiFi-GAN",
    },
)
