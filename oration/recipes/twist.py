"""TWIST: GSLM that starts from a text LM. Hassid et al. 2023, arXiv:2305.13009.

The paper's units: HuBERT at 25 Hz, 500 clusters; here `gslm`'s encoder with 500 clusters. Values: slamkit, config/.
`--set lms.0.body.folder=PATH` names a folder in transformers' format, such as OPT-125M's.
"""

from dataclasses import replace

from oration.lms import FromText, TextBody
from oration.recipes.gslm import recipe as gslm

recipe = replace(
    gslm,
    name="twist",
    tokenizers=(replace(gslm.tokenizers[0], clusters=500), *gslm.tokenizers[1:]),
    lms=(replace(gslm.lms[0], body=TextBody("opt-125m"), start=FromText(), context=2048),),
)
