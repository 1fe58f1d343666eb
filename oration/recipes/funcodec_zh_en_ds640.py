"""FunCodec, 16 kHz, 25 Hz, Chinese, English: configuration F6, zh_en_16k_nq32ds640. Du et al. 2023, arXiv:2309.07405.

The codec of `funcodec_en_ds640`, trained on 25,000 hours of both languages by its authors: the data that is given
makes the difference.
"""

from dataclasses import replace

from oration.recipes.funcodec_en_ds640 import recipe as funcodec_en_ds640

recipe = replace(funcodec_en_ds640, name="funcodec_zh_en_ds640")
