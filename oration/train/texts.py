"""The transcripts alone, all of them in every batch: for parts that are fitted rather than trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput, Spec, Specs
from oration.text.normal import normalise
from oration.train.feed import Mix, Source


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Each clip's transcript once, in the order of the manifest; clips without one are passed over."""

    def tiny(self) -> Texts:
        return self

    def reads(self, specs: Specs) -> tuple[str, ...]:
        """No stream: transcripts are read as they are."""
        return ()

    def specs(self, source: Source) -> dict[str, Spec]:
        """Those of the source: it adds none."""
        return dict(source.specs)

    def batches(self, source: Source, mix: Mix, seed: int, part: Any = None) -> Callable[[int], dict[str, Tensor]]:
        """A function step -> batch: `text` uint8[N], UTF-8 end to end, and `bytes` long[n], how long each text is.

        Raises:
            BadInput: no clip of the mix has a transcript.
        """
        drawn = zip(source.clips, mix.weights(source.clips), strict=True)
        texts = [normalise(clip.text).encode() for clip, weight in drawn if clip.text and weight > 0]
        if not texts:
            raise BadInput(
                f"none of the {len(source.clips)} clips has a transcript, but text is to be learned from them; "
                "write their texts into the manifest"
            )
        batch = {
            "text": torch.from_numpy(np.frombuffer(b"".join(texts), np.uint8).copy()),
            "bytes": torch.tensor([len(text) for text in texts]),
        }
        return lambda step: batch
