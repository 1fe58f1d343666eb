"""WavTokenizer, 75 tokens a second: one codebook of 4096. Ji et al. 2024, arXiv:2408.16532.

As `wavtokenizer_40`, 0.9 kbit/s.
"""

from dataclasses import replace

from oration.codecs.wavtokenizer import WAVTOKENIZER_75
from oration.recipes.wavtokenizer_40 import recipe as wavtokenizer_40

recipe = replace(
    wavtokenizer_40,
    name="wavtokenizer_75",
    tokenizers=(WAVTOKENIZER_75,),
    vocoder=WAVTOKENIZER_75.vocoder(),
)
