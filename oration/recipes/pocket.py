"""The model that comes with the toolkit: GSLM (`gslm`) in pocket size, on units taught by phone labels.

Trained on two CPU cores, on speech that may be given away: kathleen (CC0), speechocean762 (CC BY 4.0), flite's voices.
Sizes are this repository's own; docs/model-card.md says what they reach.
"""

from dataclasses import replace

from oration.lms import Transformer
from oration.objectives import CrossEntropy, FrameCrossEntropy, Gan, KMeans, ProsodyLoss
from oration.recipes.gslm import recipe as gslm
from oration.streams import Frames
from oration.tokenizers import F0, PhoneticEncoder, SpeakerTable, Units
from oration.train import AdamW, Cosine, Crops, Mix, Packed, Steps, Train
from oration.vocoders import Prosody, Vocos

voices = Mix({"kathleen": 0.7, "flite/slt": 0.1, "flite/rms": 0.1, "flite/awb": 0.1})

encoder = Train(
    part="units.encoder",
    data=Mix({"kathleen": 0.35, "speechocean762": 0.4, "flite": 0.25}),
    feed=Crops(streams=("wave", "phones.frames"), seconds=3.0, batch=8, operations=(Frames(stream="phones", rate=50),)),
    objective=FrameCrossEntropy(),
    optimizer=AdamW(lr=1e-3),
    schedule=Cosine(warmup=200),
    budget=Steps(6000),
)
clusters = Train(
    part="units",
    data=encoder.data,
    feed=Crops(streams=("wave",), seconds=4.0, batch=8),
    objective=KMeans(),
    budget=Steps(400),
    precision="fp32",
)
vocoder = Train(
    part="vocoder",
    data=voices,
    feed=Crops(streams=("wave", "units", "f0", "speaker"), seconds=0.96, batch=6),
    objective=Gan(),
    optimizer=AdamW(lr=8e-4, betas=(0.8, 0.99)),
    budget=Steps(11_000),
    save_every=500,
    dev_every=500,
)
prosody = Train(
    part="prosody",
    data=voices,
    feed=Crops(streams=("units", "f0", "speaker"), seconds=4.0, batch=8),
    objective=ProsodyLoss(),
    budget=Steps(3000),
)
ulm = Train(
    part="ulm",
    feed=Packed(length=256, batch=4),
    objective=CrossEntropy(),
    optimizer=AdamW(lr=1e-3, decay=0.1),
    budget=Steps(3600),
)

recipe = replace(
    gslm,
    name="pocket",
    tokenizers=(
        Units(encoder=PhoneticEncoder(), clusters=512, stickiness=0.2),
        F0(),
        SpeakerTable(names=("kathleen", "slt", "rms", "awb")),
    ),
    lms=(replace(gslm.lms[0], body=Transformer(layers=6, dim=256, heads=4, ffn=704, dropout=0.1)),),
    prosody=Prosody(needs=("units.runs", "speaker")),
    vocoder=Vocos(needs=("units", "f0", "speaker"), dilations=(8, 4, 2, 1, 1, 1, 1, 1)),
    voice="kathleen",
    pitch={"kathleen": 157.0, "slt": 172.0, "rms": 101.0, "awb": 124.0},
    training=(encoder, clusters, vocoder, prosody, ulm),
    weights="float16",
)
