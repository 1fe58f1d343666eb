"""tGSLM: a language model of speech in vectors as long as words. Algayres et al. 2023, arXiv:2310.05224.

A vector for each 200 ms goes in and comes out; no symbols. Values: the abstract and section 3 for the segments, `gslm`
for the Transformer and its training, which the paper shares. What deviates: the vectors are means of a CPC encoder
(there: a net trained to embed segments); the next vector is regressed (there: three contrastive heads and a draw among
the nearest of a bank of segments), so a continuation has no chance in it; the MLP that hears a vector stands for the
lexical embedder; `prosody` looks up the units of the nearest segment heard (there: a Transformer, then Tacotron 2).
"""

from dataclasses import replace

from oration.layouts import Layout, Line
from oration.lms import Regress
from oration.objectives import Remember, Standardise
from oration.recipes.gslm import recipe as gslm
from oration.tasks import Task
from oration.tokenizers import CpcEncoder, Segments
from oration.train import Crops, Steps, Train
from oration.vocoders import Recall, UnitHifiGan

keep_talking = Task(name="continue", layout=Layout((Line("words"),)), predict=("words",))

cpc, clusters, vocoder, prosody, ulm = gslm.training

scale = Train(
    part="words",
    objective=Standardise(),
    feed=Crops(streams=("wave",), seconds=4.0, batch=8),
    budget=Steps(200),
    precision="fp32",
)
bank = Train(
    part="prosody",
    objective=Remember(),
    feed=Crops(streams=("words", "units"), seconds=4.0, batch=8),
    budget=Steps(200),
    precision="fp32",
)

recipe = replace(
    gslm,
    name="tgslm",
    tokenizers=(Segments(encoder=CpcEncoder()), gslm.tokenizers[0]),
    lms=(replace(gslm.lms[0], tasks=(keep_talking,), head=Regress(prenet=(1024,), postnet=(), deltas=0)),),
    prosody=Recall(),
    vocoder=UnitHifiGan(needs=("units",), upsample=(5, 4, 4, 2, 2), kernels=(11, 8, 8, 4, 4)),
    training=(
        replace(cpc, part="words.encoder"),
        scale,
        cpc,
        clusters,
        bank,
        replace(vocoder, feed=Crops(streams=("wave", "units"), seconds=0.56, batch=16)),
        ulm,
    ),
    instead={
        "words": "wav2vec 2.0 and a net that embeds segments (SSE)",
        "ulm": "three contrastive heads, and a draw among the nearest segments of the corpus",
        "prosody": "a Transformer from vectors to units",
        "vocoder": "Tacotron 2",
    },
)
