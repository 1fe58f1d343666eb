"""EnCodec, 48 kHz, two channels, all 16 levels, 24 kbit/s. Défossez et al. 2022, arXiv:2210.13438.

Segments of a second that overlap by 1 %, each of its own loudness, told by the stream `codec.scale`; nets that see all
of a segment, with norms over time. Values: sections 3.1 to 3.4 and 4.1, as for `encodec_24k`, but windows of
discriminators are doubled and these learn every second update. Music in stereo there, each channel judged by itself;
here one channel, heard on both. All of `facebook/encodec_48khz` but the codebooks are the counted 14.9 M parameters
(encodec 0.1.1); released weights load (`oration.codecs.released_encodec`, normed=False).
"""

from dataclasses import replace

from oration.codecs.encodec import ENCODEC_48K
from oration.objectives.gan import ENCODEC_GAN
from oration.recipe import Recipe
from oration.recipes.encodec_24k import training as encodec_24k
from oration.vocoders.discriminators import ENCODEC_SPECTRA

spectra = replace(ENCODEC_SPECTRA, ffts=(4096, 2048, 1024, 512, 256))
training = replace(encodec_24k, objective=replace(ENCODEC_GAN, critics=(spectra,), critic_share=0.5))
recipe = Recipe(
    name="encodec_48k",
    tokenizers=(ENCODEC_48K,),
    vocoder=ENCODEC_48K.vocoder(),
    training=(training,),
    published={"codec": 14.9e6},
)
