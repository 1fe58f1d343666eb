"""k-means over log-mel, the baseline of GSLM: Lakhotia et al. 2021, arXiv:2102.01192, section 3.1."""

from dataclasses import replace

from oration.recipes.units_mfcc import recipe as units_mfcc
from oration.tokenizers import LogMelFeatures

tokenizer = replace(units_mfcc.tokenizers[0], encoder=LogMelFeatures())
recipe = replace(units_mfcc, name="units_logmel", tokenizers=(tokenizer,))
