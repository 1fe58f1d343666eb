"""HiFi-Codec, 16 kHz, more data: configuration B2, hifi_16k_320d_large_uni. Yang et al. 2023, arXiv:2305.02765.

The codec of `hificodec_16k`, trained on more recordings by its authors: the data that is given makes the difference.
"""

from dataclasses import replace

from oration.recipes.hificodec_16k import recipe as hificodec_16k

recipe = replace(hificodec_16k, name="hificodec_16k_large")
