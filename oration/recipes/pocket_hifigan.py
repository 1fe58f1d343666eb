"""`pocket` with the vocoder of Polyak et al. 2021, arXiv:2104.00355, small as HiFi-GAN V3: the rival of Vocos."""

from dataclasses import replace

from oration.recipes.pocket import recipe as pocket
from oration.train import Steps
from oration.vocoders import UnitHifiGan

encoder, clusters, vocoder, prosody, ulm = pocket.training
rival = replace(vocoder, budget=Steps(2000))

recipe = replace(
    pocket,
    name="pocket_hifigan",
    vocoder=replace(UnitHifiGan.small(), needs=("units", "f0", "speaker")),
    training=(encoder, clusters, rival, prosody, ulm),
)
