"""SpeechX: one codec language model for what is done to speech: speak, clean. Wang et al. 2023, arXiv:2308.06873.

VALL-E with a symbol for the task and a recording that is to be changed: the tasks `tts` (a recording gives the voice
alone) and `noise_suppression` (the words may be left out: give --text ""). Values as VALL-E, from which the paper
starts. Noise is white here; the paper's other tasks need recordings of several speakers.
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Say
from oration.recipes.vall_e import recipe as vall_e
from oration.tasks import Task
from oration.tokenizers import Channels

ar, nar = vall_e.lms
phonemes, codec = vall_e.tokenizers
both = Channels(of=codec, cut="noise")
tts = Task(
    name="tts", layout=Layout((Line("phonemes"), Say((0,), "task", size=2), Line("codec.0"))), predict=("codec.0",)
)
noise_suppression = Task(
    name="noise_suppression",
    layout=Layout((Line("phonemes"), Say((1,), "task", size=2), Line("user.codec.0"), Line("codec.0"))),
    predict=("codec.0",),
)

recipe = replace(
    vall_e,
    name="speechx",
    tokenizers=(phonemes, both),
    lms=(replace(ar, tasks=(tts, noise_suppression)), nar),
    vocoder=both.vocoder(),
    training=(replace(vall_e.training[0], part="codec.inner"), *vall_e.training[1:]),
)
