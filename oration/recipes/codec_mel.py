"""A codec of this repository's own: levels of k-means over log-mel frames, and Griffin-Lim on the way back.

It was made in place of neural codecs (EnCodec, arXiv:2210.13438; SoundStream, arXiv:2107.03312) and needs no training
worth the name: `lab_*` use it for that, and `freeze_omni` and `mini_omni2` at the rate, the levels and the sizes of the
codec it stands for.
"""

from oration.objectives import KMeans
from oration.recipe import Recipe
from oration.tokenizers import MelRvq
from oration.train import Crops, Steps, Train

codec = MelRvq(levels=8, size=1024, rate=75)
fitting = Train(
    part="codec",
    objective=KMeans(),
    feed=Crops(streams=("wave",), seconds=4.0, batch=8),
    budget=Steps(400),
    precision="fp32",
)
recipe = Recipe(name="codec_mel", tokenizers=(codec,), vocoder=codec.vocoder(), training=(fitting,))
