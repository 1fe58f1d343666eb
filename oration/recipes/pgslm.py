"""pGSLM: GSLM that also predicts how long units last and how the voice moves. Kharitonov et al. 2021, arXiv:2109.03264.

Three rows: merged units, their durations (at most 20 frames) and the mean log F0 of each run less the speaker's mean;
the last two one step late, so that a unit is known when its prosody is drawn. Values: fairseq,
examples/textless_nlp/pgslm/README.md; the loss weights 1, 0.5, 0.5 are from memory of the paper (the README's example
has 0 for F0). 70 epochs there; the updates here are `gslm`'s. The discrete variant: its continuous one has a Laplace
loss. `RunF0` says how its bins differ from the paper's. It samples at temperatures 0.7, 0.25 and 0.7.
"""

from dataclasses import replace

from oration.layouts import Layout, Stack
from oration.objectives import CrossEntropy
from oration.recipes.gslm import recipe as gslm
from oration.streams import Dedup, RunF0
from oration.tasks import Task

keep_talking = Task(
    name="continue",
    operations=(Dedup(longest=20, clip=True), RunF0()),
    layout=Layout((Stack(("units.runs", "units.durations", "units.f0"), delays=(0, 1, 1)),)),
    predict=("units.runs", "units.durations", "units.f0"),
)

cpc, clusters, vocoder, prosody, ulm = gslm.training

recipe = replace(
    gslm,
    name="pgslm",
    lms=(replace(gslm.lms[0], tasks=(keep_talking,)),),
    prosody=None,
    training=(
        cpc,
        clusters,
        vocoder,
        replace(ulm, objective=CrossEntropy(weights={"units.runs": 1.0, "units.durations": 0.5, "units.f0": 0.5})),
    ),
    instead={"units": "HuBERT, 100 clusters"},
)
