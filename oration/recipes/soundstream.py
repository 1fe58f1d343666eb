"""SoundStream: convolutions, residual codebooks, discriminators. Zeghidour et al. 2021, arXiv:2107.03312.

24 kHz, causal, 75 frames a second; trained for 1 to 24 levels at once, 18 kbit/s, of which 8 are streams here, 6
kbit/s. Values: sections III-A to III-E. The paper's discriminators look at the wave at three scales, as MelGAN's, and
at one complex spectrum (here of 1024 samples, its layers EnCodec's); its weights are 1 for the spectra and the
discriminators and 100 for their activations, which are of another scale here. Batch, updates and learning rate are
not stated: guesses. How wide a vector is could not be checked, nor how many parameters there are. It was never
released.
"""

from dataclasses import replace

from oration.codecs.soundstream import SOUNDSTREAM
from oration.objectives import Distance, Gan
from oration.recipe import Recipe
from oration.train import AdamW, Cosine, Crops, Steps, Train
from oration.vocoders.discriminators import ENCODEC_SPECTRA, MELGAN_SCALES

training = Train(
    part="codec",
    feed=Crops(streams=("wave",), seconds=1.0, batch=32),
    objective=Gan(
        distance=Distance(ffts=(2048, 1024, 512, 256, 128), bands=(64,) * 5, stft=0.0, convergence=0.0),
        critics=(MELGAN_SCALES, replace(ENCODEC_SPECTRA, ffts=(1024,))),
        adversarial=1.0,
        features=1.0,
        adversarial_from=0.0,
        window=1.0,
    ),
    optimizer=AdamW(lr=1e-4, betas=(0.5, 0.9), decay=0.0),
    schedule=Cosine(warmup=1000),
    budget=Steps(1_000_000),
)
recipe = Recipe(
    name="soundstream", tokenizers=(SOUNDSTREAM,), vocoder=SOUNDSTREAM.vocoder(), training=(training,)
)  # fmt: skip
