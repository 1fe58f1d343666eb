"""What a released SpeechTokenizer calls its tensors: as EnCodec's package does. Zhang et al. 2023, arXiv:2308.16692.

`fnlp/SpeechTokenizer` comes as a pickle, which this package never opens: save its tensors as safetensors, under the
names they have, in a place that may run it.
"""

from __future__ import annotations

from oration.codecs.released_encodec import IGNORED as ENCODEC_IGNORED
from oration.codecs.released_encodec import package
from oration.core.released import Carry

IGNORED = (*ENCODEC_IGNORED, "transform.*")
"""Also the projection to the width of the teacher, which only training needs."""


def release() -> list[Carry]:
    """The names of `SpeechTokenizer.pt`.

    >>> [rule.theirs for rule in release() if rule.ours == "encoder.layers.0.layers.{i}.lstm.bias_hh_l{k}_reverse"]
    [('encoder.model.{i}.lstm.bias_hh_l{k}_reverse',)]
    """
    return package()
