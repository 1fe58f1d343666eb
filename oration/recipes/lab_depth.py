"""`lab_parallel` (this repository) with a small Transformer over a step's levels, as UniAudio, arXiv:2310.00704."""

from dataclasses import replace

from oration.lms import Depth
from oration.recipes.lab_parallel import recipe as lab_parallel

head = Depth(layers=2, dim=128, heads=4, ffn=352)

recipe = replace(lab_parallel, name="lab_depth", lms=(replace(lab_parallel.lms[0], head=head),))
