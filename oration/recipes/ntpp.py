"""NTPP: both speakers' next tokens as a pair, one step a frame. Wang et al. 2025, arXiv:2506.00975.

Two rows, the agent's units and the user's, both predicted, each from the past of both and neither from the other's
present. Values: github.com/Chaos96/NTPP, train/sft.py and model/dual_llama.py (Llama-3-8B, 1000 units at 50 Hz, 4096
steps). Not here: that repository lets a channel's own vector into queries and keys; here each row has embeddings of its
own. Its learning rate for pairs, 2e-7, looks like a placeholder; 2e-5 here.
"""

from dataclasses import replace

from oration.layouts import Layout, Stack
from oration.lms import LM, FromText, TextBody
from oration.lms.families import LLAMA_3_8B
from oration.objectives import CrossEntropy
from oration.recipe import Recipe
from oration.recipes.gslm import recipe as gslm
from oration.tasks import Task
from oration.tokenizers import Channels
from oration.train import AdamW, Cosine, Packed, Steps, Train
from oration.vocoders import UnitHifiGan

both = Channels(of=replace(gslm.tokenizers[0], clusters=1000))
talk = Task(
    name="talk",
    layout=Layout((Stack(("units", "user.units"), end="never"),)),
    predict=("units", "user.units"),
)
encoder, clusters, vocoder, prosody, ulm = gslm.training

recipe = Recipe(
    name="ntpp",
    tokenizers=(both,),
    lms=(
        LM(
            name="lm",
            tasks=(talk,),
            body=TextBody("llama-3-8b", config=LLAMA_3_8B),
            start=FromText(),
            context=4096,
        ),
    ),
    vocoder=UnitHifiGan(needs=("units",), upsample=(5, 4, 4, 2, 2), kernels=(11, 8, 8, 4, 4)),
    training=(
        replace(encoder, part="units.inner.encoder"),
        replace(clusters, part="units.inner"),
        replace(vocoder, feed=replace(vocoder.feed, streams=("wave", "units"))),
        Train(
            part="lm",
            feed=Packed(length=4096, batch=4),
            objective=CrossEntropy(),
            optimizer=AdamW(lr=2e-5),
            schedule=Cosine(warmup=100),
            budget=Steps(20_000),
        ),
    ),
    instead={"units": "HuBERT (mHuBERT, layer 11), 1000 clusters", "vocoder": "unit HiFi-GAN of several speakers"},
)
