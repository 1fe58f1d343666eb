"""SpeechGPT-Gen: what is said by an LLM, how it sounds by a flow. Zhang et al. 2024, arXiv:2401.13527.

The chain of `speechgpt` on units that are not merged, then a flow from noise to the sound beside the units. Values:
0nutation/SpeechGPT, speechgpt-gen/README.md: LLaMA-2-7B-Chat and a flow model of about 1 B, 8 B in all. Its layers are
not published (here 18 of 2048), nor its training (here `voicebox`'s, and `speechgpt`'s for the chain).
What deviates: units stand for the first level of SpeechTokenizer, which is taught by HuBERT, at 50 Hz, 1,024 symbols;
the flow makes log-mels (there: the sum of the seven other levels), from plain noise (there: noise around the first
level); nothing gives it a voice to speak in.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Stack
from oration.lms import TextBody
from oration.lms.families import LLAMA_2_7B
from oration.recipes.speechgpt import recipe as speechgpt
from oration.recipes.voicebox import recipe as voicebox
from oration.streams import Dedup, Frames, TakeTurns
from oration.tasks import Task
from oration.tokenizers import Mel, TextPieces

base, flow, stages = speechgpt.lms[0], voicebox.lms[1], speechgpt.training
spoken, written = Line("units"), Line("text")
chain = Task(
    name="chain",
    operations=(TakeTurns(("units", "text")),),
    layout=Layout((Line("user.units"), Line("user.text"), written, spoken)),
    predict=("user.text", "text", "units"),
)
speech = Task(name="speech", layout=Layout((spoken,)), predict=("units",))
asr = replace(speech, name="asr", layout=Layout((spoken, written)), predict=("text",))
tts = replace(speech, name="tts", layout=Layout((written, spoken)))
sound = Task(
    name="sound",
    operations=(Dedup(), Frames(stream="units.runs", rate=100, like="units")),
    layout=Layout((Stack(("units.runs.frames", "mel")),)),
    predict=("mel",),
)
body = replace(flow.body, layers=18, dim=2048, heads=16, ffn=8192)

recipe = replace(
    speechgpt,
    name="speechgpt_gen",
    tokenizers=(
        replace(speechgpt.tokenizers[0], clusters=1024),
        TextPieces(size=32_000, file="llama-2-7b-chat"),
        Mel(),
    ),
    lms=(
        replace(
            base,
            tasks=(chain, speech, asr, tts),
            body=TextBody("llama-2-7b-chat", config=LLAMA_2_7B),
            context=4096,
            shared={"user.text": "text", "user.units": "units"},
        ),
        replace(flow, name="flow", tasks=(sound,), body=body),
    ),
    prosody=None,
    vocoder=voicebox.vocoder,
    training=(
        *stages[:2],
        *stages[-3:],
        replace(voicebox.training[1], part="flow"),
        voicebox.training[2],
    ),
    published={"lm": 7e9, "flow": 1e9},
    instead={
        "units": "the first level of SpeechTokenizer",
        "flow": "a flow to the sum of SpeechTokenizer's other levels",
        "vocoder": "SpeechTokenizer's decoder",
    },
)
