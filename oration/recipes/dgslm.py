"""dGSLM: two speakers on two channels, each listening to the other. Nguyen et al. 2022, arXiv:2203.16502.

Every frame of both channels is on the grid: the unit where it begins, and one step later for how long, as the paper's
"edge units" and "delayed durations". Values: fairseq, examples/textless_nlp/dgslm/README.md and its architecture
speech_dlm (6 layers, of which 4 look at the other channel, one set of weights; Adam 5e-4, 250,000 updates). There, held
frames repeat their unit on the way in and are not in the loss, durations are numbers under an L1 loss, and a drawn unit
is held for its duration; here a held frame is a symbol, which the model draws, and durations are symbols too. The data
there is Fisher, in two channels; here `Channels` makes both of one recording, by a cut in a pause, without overlap.
"""

from dataclasses import replace

from oration.layouts import Layout, Stack
from oration.lms import LM, Rows, TwoTowers
from oration.objectives import CrossEntropy
from oration.recipes.gslm import recipe as gslm
from oration.streams import Edges, Excerpt
from oration.tasks import Task
from oration.tokenizers import Channels
from oration.train import Crops, InverseSqrt, Packed, Steps
from oration.vocoders import UnitHifiGan

rows = ("units.edges", "units.lasts", "user.units.edges", "user.units.lasts")
keep_talking = Task(
    name="continue",
    operations=(Excerpt(("units", "user.units"), 120.0), Edges(), Edges(stream="user.units")),
    layout=Layout((Stack(rows, delays=(0, 1, 0, 1), end="never"),)),
    predict=rows,
)
cpc, clusters, vocoder, _, ulm = gslm.training

recipe = replace(
    gslm,
    name="dgslm",
    tokenizers=(Channels(of=replace(gslm.tokenizers[0], clusters=500)),),
    lms=(LM(name="dlm", tasks=(keep_talking,), body=TwoTowers(), head=Rows(tied=True), context=6144),),
    prosody=None,
    vocoder=UnitHifiGan(needs=("units",), upsample=(5, 4, 4, 2, 2), kernels=(11, 8, 8, 4, 4)),
    training=(
        replace(cpc, part="units.inner.encoder"),
        replace(clusters, part="units.inner"),
        replace(vocoder, feed=Crops(streams=("wave", "units"), seconds=0.56, batch=16)),
        replace(
            ulm,
            part="dlm",
            feed=Packed(length=6144, batch=96),
            objective=CrossEntropy(pads=(("units.lasts", 0), ("user.units.lasts", 0)), pad_weight=0.1),
            schedule=InverseSqrt(warmup=20_000),
            budget=Steps(250_000),
        ),
    ),
    instead={"units": "HuBERT trained on Fisher, layer 12", "dlm": "durations as numbers, held by the decoder"},
)
