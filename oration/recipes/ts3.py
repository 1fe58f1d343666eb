"""TS3-Codec: Transformers that look back, and linear layers; one codebook. Wu et al. 2024, arXiv:2411.18803.

16 kHz, causal, 50 codes of 65,536 a second, 0.8 kbit/s. Trained like BigCodec, in crops of 10 s with 2e-4 to 2e-5 for
500,000 updates, and a weight of the codebook's losses that grows with its size, here 32 beside mels of 15: as
summaries of the paper tell, which itself could not be checked, nor could its sizes, so that no size is compared.
"""

from dataclasses import replace

from oration.codecs.ts3 import TS3
from oration.recipe import Recipe
from oration.recipes.bigcodec import training as bigcodec
from oration.train import AdamW, Crops, Steps

training = replace(
    bigcodec,
    feed=Crops(streams=("wave",), seconds=10.0, batch=16),
    objective=replace(bigcodec.objective, own={"codebook": 32 / 15, "commitment": 32 / 15}),
    optimizer=AdamW(lr=2e-4, betas=(0.8, 0.9)),
    budget=Steps(500_000),
)
recipe = Recipe(name="ts3", tokenizers=(TS3,), vocoder=TS3.vocoder(), training=(training,))
