"""`lab_parallel` (this repository) with each level a step later than the one above, as MusicGen: arXiv:2306.05284."""

from dataclasses import replace

from oration.layouts import Layout, Stack
from oration.recipes.lab_parallel import recipe as lab_parallel

lm = lab_parallel.lms[0]
levels = lm.tasks[0].predict
talk = replace(lm.tasks[0], layout=Layout((Stack(levels, (0, 1, 2, 3)),)))

recipe = replace(lab_parallel, name="lab_delay", lms=(replace(lm, tasks=(talk,)),))
