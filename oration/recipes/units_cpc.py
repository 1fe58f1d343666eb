"""Units without any label: contrastive predictive coding, then k-means. van den Oord et al. 2018, arXiv:1807.03748.

The encoder is the phonetic one's (`pocket`), so that the two differ in their objective alone.
"""

from dataclasses import replace

from oration.objectives import Cpc
from oration.recipes.units_mfcc import recipe as units_mfcc
from oration.tokenizers import CpcEncoder
from oration.train import AdamW, Cosine, Crops, Steps, Train

tokenizer = replace(units_mfcc.tokenizers[0], encoder=CpcEncoder())
encoder = Train(
    part="units.encoder",
    objective=Cpc(),
    feed=Crops(streams=("wave",), seconds=3.0, batch=8),
    optimizer=AdamW(lr=5e-4),
    schedule=Cosine(warmup=200),
    budget=Steps(2000),
)
recipe = replace(units_mfcc, name="units_cpc", tokenizers=(tokenizer,), training=(encoder, *units_mfcc.training))
