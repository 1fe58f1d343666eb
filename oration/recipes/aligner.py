"""The CTC aligner of `oration prepare --aligner ctc`: phones from transcripts, on the encoder of the shipped units.

Its shape is of this repository; its loss is that of Graves et al. 2006, https://doi.org/10.1145/1143844.1143891.
"""

from oration.objectives import CtcPhones
from oration.recipe import Recipe
from oration.tokenizers import HeardPhones, Phonemes
from oration.train import AdamW, Cosine, Mix, Steps, Train, Utterances

recipe = Recipe(
    name="aligner",
    tokenizers=(HeardPhones(), Phonemes()),
    training=(
        Train(
            part="heard",
            data=Mix({"kathleen": 0.4, "speechocean762": 0.6}),
            objective=CtcPhones(),
            feed=Utterances(batch=16, longest=12.0),
            budget=Steps(900),
            optimizer=AdamW(lr=2e-3),
            schedule=Cosine(warmup=50, final=0.0),
            save_every=100,
            dev_every=300,
            dev_batches=4,
        ),
    ),
    weights="float16",
)
