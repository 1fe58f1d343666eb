"""VioLA: recognition, synthesis and translation as one codec language model. Wang et al. 2023, arXiv:2305.16107.

Every task is two lines of one row, after a symbol that says which: `tts`, `asr`, and `mt` between phonemes. Levels 1 to
7 come from VALL-E's second model. Not checked: 18 layers, and that recognition reads the sum of all eight levels (here
a stack of them, given, on rows of their own).
"""

from dataclasses import replace

from oration.layouts import Layout, Line, Say, Stack
from oration.recipes.vall_e import recipe as vall_e
from oration.tasks import Task

ar, nar = vall_e.lms
levels = ("codec.0", "codec.1", "codec.2", "codec.3", "codec.4", "codec.5", "codec.6", "codec.7")
rows = ("main", *levels[1:])
tts = Task(
    name="tts",
    layout=Layout((Say((0,), "task", size=2), Line("phonemes"), Line("codec.0"))),
    predict=("codec.0",),
)
asr = Task(
    name="asr",
    layout=Layout((Say((1,), "task", size=2), Stack(levels, rows=rows), Line("phonemes"))),
    predict=("phonemes",),
)

recipe = replace(
    vall_e,
    name="viola",
    lms=(replace(ar, tasks=(tts, asr), body=replace(ar.body, layers=18)), nar),
)
