"""k-means over MFCC with slopes, the first iteration of HuBERT: Hsu et al. 2021, arXiv:2106.07447.

Values: section III-B there (39-dimensional MFCC); 512 clusters here, so that all units of this repository compare.
"""

from oration.objectives import KMeans
from oration.recipe import Recipe
from oration.tokenizers import MfccFeatures, Units
from oration.train import Crops, Steps, Train

clusters = Train(
    part="units",
    objective=KMeans(),
    feed=Crops(streams=("wave",), seconds=4.0, batch=8),
    budget=Steps(400),
    precision="fp32",
)
recipe = Recipe(name="units_mfcc", tokenizers=(Units(encoder=MfccFeatures(), clusters=512),), training=(clusters,))
