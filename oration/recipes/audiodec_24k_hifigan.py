"""AudioDec, 24 kHz, with HiFi-GAN as its decoder. Wu et al. 2023, arXiv:2305.16608, section 2.3.

The causal generator with grouped convolutions of `AudioDec_v1_symAD_libritts_24000_hop300_clean`, for the codes of
`audiodec_24k`. There it is trained for codes of a model whose own decoder is thrown away; here the encoder learns with
it from the start and then stays as it is. The released configuration is otherwise followed as in `audiodec_24k`.
"""

from dataclasses import replace

from oration.codecs.audiodec import AUDIODEC_24K_HIFIGAN as CODEC
from oration.recipes.audiodec_24k import recipe as audiodec_24k

recipe = replace(
    audiodec_24k, name="audiodec_24k_hifigan", tokenizers=(CODEC,), vocoder=CODEC.vocoder()
)  # fmt: skip
