"""Parrot: NTPP before it had the name. Meng et al. 2024, described in the survey arXiv:2410.03751, section 4.3.

First a language of units with one speaker, then pairs. Values as `ntpp`; not checked against the workshop paper.
"""

from dataclasses import replace

from oration.layouts import Layout, Line
from oration.recipes.ntpp import recipe as ntpp
from oration.tasks import Task
from oration.train import Packed

alone = Task(name="alone", layout=Layout((Line("units"),)), predict=("units",))
pairs = ntpp.training[-1]

recipe = replace(
    ntpp,
    name="parrot",
    lms=(replace(ntpp.lms[0], tasks=(*ntpp.lms[0].tasks, alone)),),
    training=(
        *ntpp.training[:-1],
        replace(pairs, feed=Packed(length=1024, batch=8, tasks=("alone",))),
        replace(pairs, feed=Packed(length=4096, batch=4, tasks=("talk",))),
    ),
)
