"""FunCodec, 16 kHz, 25 Hz, English: configuration F4, en_libriTTS_16k_nq32ds640. Du et al. 2023, arXiv:2309.07405.

As `funcodec_en_ds320` with one stride more: 32 levels, 0.25 to 8 kbit/s.
"""

from dataclasses import replace

from oration.codecs.funcodec import FUNCODEC_DS640
from oration.recipes.funcodec_en_ds320 import recipe as funcodec_en_ds320

recipe = replace(
    funcodec_en_ds320,
    name="funcodec_en_ds640",
    tokenizers=(FUNCODEC_DS640,),
    vocoder=FUNCODEC_DS640.vocoder(),
    published={"codec": 57.83e6},
)
