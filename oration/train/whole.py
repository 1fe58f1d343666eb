"""Whole streams of many clips at once, the same in every batch: for parts that are fitted rather than trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput, Spec, Specs
from oration.train.feed import Mix, Source, generator


@dataclass(frozen=True, kw_only=True)
class Whole:
    """`clips` clips, drawn by the mix, each at most once."""

    streams: tuple[str, ...] = ("units",)
    """Discrete ones, as tokenizers and labels give them."""
    clips: int = 5000

    def tiny(self) -> Whole:
        return replace(self, clips=min(self.clips, 8))

    def reads(self, specs: Specs) -> tuple[str, ...]:
        """The streams of a recording that it needs."""
        return self.streams

    def specs(self, source: Source) -> dict[str, Spec]:
        """Those of the source: it adds none."""
        return dict(source.specs)

    def batches(self, source: Source, mix: Mix, seed: int, part: Any = None) -> Callable[[int], dict[str, Tensor]]:
        """A function step -> batch: each stream long[N], clips end to end, and `<stream>/lengths` long[clips].

        Raises:
            BadInput: a stream that nothing gives, or one of vectors.
        """
        for name in self.streams:
            if name not in source.specs or source.specs[name].dim:
                raise BadInput(
                    f"Whole brings discrete streams, but {name!r} is none that is known; "
                    f"there are {[n for n, spec in source.specs.items() if not spec.dim]}"
                )
        weights = mix.weights(source.clips)
        count = min(self.clips, int(np.count_nonzero(weights)))
        chosen = np.sort(generator(seed).choice(len(weights), count, replace=False, p=weights))
        examples = [source.example(int(index)) for index in chosen]
        batch = {}
        for name in self.streams:
            batch[name] = torch.from_numpy(np.concatenate([example[name].ids for example in examples]))
            batch[f"{name}/lengths"] = torch.tensor([len(example[name]) for example in examples])
        return lambda step: batch
