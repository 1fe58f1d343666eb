"""Whole clips with their recordings, of about one length in a batch: for what is learned from a clip's transcript."""

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
class Utterances:
    """`batch` clips that follow one another in the order of duration; those without a transcript are passed over."""

    streams: tuple[str, ...] = ("phonemes",)
    """Discrete ones, beside the wave."""
    batch: int = 16
    longest: float = 15.0
    """Seconds; longer clips are passed over."""

    def tiny(self) -> Utterances:
        return replace(self, batch=2)

    def reads(self, specs: Specs) -> tuple[str, ...]:
        """The streams of a recording that it needs."""
        return self.streams

    def specs(self, source: Source) -> dict[str, Spec]:
        """Those of the source: it adds none."""
        return dict(source.specs)

    def batches(self, source: Source, mix: Mix, seed: int, part: Any = None) -> Callable[[int], dict[str, Tensor]]:
        """A function step -> batch: `wave` float[B, T], `seconds` float[B], streams long[B, N] padded with -1.

        Raises:
            BadInput: no clip will do, or nothing gives a stream.
        """
        for name in self.streams:
            if name not in source.specs or source.specs[name].dim:
                raise BadInput(f"nothing gives the discrete stream {name!r} that training asks for; add its tokenizer")
        weights = mix.weights(source.clips)
        fit = [
            n for n, clip in enumerate(source.clips) if weights[n] > 0 and clip.text and clip.seconds <= self.longest
        ]
        if not fit:
            raise BadInput(
                f"none of {len(source.clips)} clips has a transcript and lasts at most {self.longest} s; "
                "write texts into the manifest, or raise feed.longest"
            )
        order = np.array(sorted(fit, key=lambda n: (source.clips[n].seconds, n)))
        cumulative = np.cumsum(weights[order])

        def batch(step: int) -> dict[str, Tensor]:
            middle = np.searchsorted(cumulative, generator(seed, step).random() * cumulative[-1], side="right")
            first = min(max(0, int(middle) - self.batch // 2), max(0, len(order) - self.batch))
            return self._collate(source, order[first : first + self.batch])

        return batch

    def _collate(self, source: Source, chosen: np.ndarray) -> dict[str, Tensor]:
        waves = [source.wave(int(n)).samples for n in chosen]
        examples = [source.example(int(n)) for n in chosen]
        rows = {"wave": _padded(waves, 0.0)}
        rows["seconds"] = torch.tensor([len(wave) / source.rate for wave in waves], dtype=torch.float32)
        for name in self.streams:
            rows[name] = _padded([example[name].ids for example in examples], -1)
        return rows


def _padded(rows: list[np.ndarray], fill: float) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(np.array(r)) for r in rows], True, fill)
