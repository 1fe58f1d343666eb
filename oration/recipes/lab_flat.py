"""`lab_parallel` (this repository) with the levels of a frame one by one in one row, as AudioLM: arXiv:2209.03143."""

from dataclasses import replace

from oration.layouts import Layout, Ratio, Weave
from oration.recipes.lab_parallel import recipe as lab_parallel
from oration.train import Packed

lm = lab_parallel.lms[0]
talk = replace(lm.tasks[0], layout=Layout((Weave(lm.tasks[0].predict, by=Ratio((1, 1, 1, 1))),)))
codec, training = lab_parallel.training

recipe = replace(
    lab_parallel,
    name="lab_flat",
    lms=(replace(lm, tasks=(talk,)),),
    training=(codec, replace(training, feed=Packed(length=2048, batch=4))),
)
