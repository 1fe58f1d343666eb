"""TWIST: a language model of units that starts from a text LM. Hassid et al. 2023, arXiv:2305.13009.

Merged units at 25 Hz on OPT-350M, the smallest that the authors released (305 M parameters; slamkit, docs/SLAM.md).
`--set lms.0.body.folder=PATH` names its folder in transformers' format, without which training cannot start.
The text LM's own symbols are dropped, embeddings and logits are new, as in the paper. Context: OPT's.
Values of training: slamkit, config/ (lr, clip, warm-up); 400,000 updates are from memory of the paper. It samples at a
temperature of 0.8 among the 25 likeliest. The vocoder and `prosody` are `gslm`'s, at 25 units a second.
"""

from dataclasses import replace

from oration.lms import FromText, TextBody
from oration.lms.families import OPT_350M
from oration.recipes.gslm import recipe as gslm
from oration.tokenizers import CpcEncoder, Grouped, Units
from oration.train import AdamW, Cosine, Packed, Steps

cpc, clusters, vocoder, prosody, ulm = gslm.training

recipe = replace(
    gslm,
    name="twist",
    tokenizers=(
        Units(encoder=Grouped(encoder=CpcEncoder(), frames=2, mean=True), clusters=500, rate=25),
        *gslm.tokenizers[1:],
    ),
    lms=(replace(gslm.lms[0], body=TextBody("opt-350m", config=OPT_350M), start=FromText(), context=2048),),
    training=(
        replace(cpc, part="units.encoder.encoder"),
        clusters,
        vocoder,
        prosody,
        replace(
            ulm,
            feed=Packed(length=512, batch=64),
            optimizer=AdamW(lr=1e-3, clip=0.5),
            schedule=Cosine(warmup=4000),
            budget=Steps(400_000),
        ),
    ),
    published={"ulm": 305e6},
    instead={
        "units": "HuBERT at 25 Hz, trained on several languages, 500 clusters of layer 11",
        "vocoder": "a unit HiFi-GAN with a duration predictor and without pitch",
    },
)
