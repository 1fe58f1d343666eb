"""`lab_parallel` (this repository) with each whole level before the next finer one, after AudioLM: arXiv:2209.03143."""

from dataclasses import replace

from oration.layouts import Layout, Line
from oration.recipes.lab_flat import recipe as lab_flat

lm = lab_flat.lms[0]
talk = replace(lm.tasks[0], layout=Layout((Line("codec.0"), Line("codec.1"), Line("codec.2"), Line("codec.3"))))

recipe = replace(lab_flat, name="lab_coarse", lms=(replace(lm, tasks=(talk,)),))
