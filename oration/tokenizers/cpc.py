"""The CPC encoder: features that predict their own future, learned without labels (`objectives.Cpc`).

van den Oord et al. 2018, arXiv:1807.03748. The encoder of this toolkit, so that units with and without labels can be
compared: log-mel instead of the paper's convolutions over samples, a causal Transformer instead of its recurrent net.
"""

from __future__ import annotations

from dataclasses import dataclass

from oration.tokenizers.encoder import CausalEncoder


@dataclass(frozen=True, kw_only=True)
class CpcEncoder(CausalEncoder):
    """A `CausalEncoder` without look-ahead; `build()` gives a `CausalEncoderModel`.

    `layer` defaults to the middle: the last layer knows more of the sound to come than of the sound there is.
    """

    layer: int | None = 2
