"""The phonetic encoder: features that tell phones apart, learned from phone labels (`objectives.FrameCrossEntropy`).

Labels at training time only. It sees 60 ms ahead, which is where the next phone begins to show.
"""

from __future__ import annotations

from dataclasses import dataclass

from oration.tokenizers.encoder import CausalEncoder


@dataclass(frozen=True, kw_only=True)
class PhoneticEncoder(CausalEncoder):
    """A `CausalEncoder` with 3 frames (60 ms) of look-ahead; `build()` gives a `CausalEncoderModel`."""

    lookahead: int = 3
