"""FreqCodec, the smallest: configuration F1, en_libriTTS_16k_gr1nq32ds320. Du et al. 2023, arXiv:2309.07405.

As `freqcodec_gr8`, with convolutions of two channels at a time. Its settings are not public and could not be checked:
the README counts 0.52 M parameters, which here is the encoder alone; the decoder, whose transposed convolutions are not
in groups in the published code, has 3.4 M more. So no size is compared.
"""

from dataclasses import replace

from oration.codecs.funcodec import FREQCODEC_GR1
from oration.recipes.freqcodec_gr8 import recipe as freqcodec_gr8

recipe = replace(
    freqcodec_gr8,
    name="freqcodec_gr1",
    tokenizers=(FREQCODEC_GR1,),
    vocoder=FREQCODEC_GR1.vocoder(),
    published={},
)
