"""Pitch as symbols: the logarithm of F0 in bins, and one symbol for frames without voice.

Polyak et al. 2021 (arXiv:2104.00355) quantise F0 with a learned code; bins need no training and say what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from oration.audio.f0 import f0
from oration.core import BadInput, Example, Spec, Stream, Waveform

BLOCK, MARGIN = 60.0, 1.0
"""Seconds analysed at once, and seconds of sound around them that the analysis sees as well."""


@dataclass(frozen=True, kw_only=True)
class F0:
    """`bins` symbols from `floor` to `ceiling` Hz, then one for unvoiced; `rate` a second.

    >>> pitch = F0()
    >>> pitch.hertz(pitch.ids(np.array([0.0, 60.0, 200.0, 400.0]))).round(1)
    array([  0. ,  60.9, 199.3, 394.1])
    """

    bins: int = 64
    floor: float = 60.0
    """Hz; lower is taken as this."""
    ceiling: float = 400.0
    """Hz; higher is taken as this."""
    rate: int = 100
    stream: str = "f0"
    method: Literal["dio", "harvest"] = "dio"
    """`harvest` is slower and makes fewer octave errors."""
    needs = ("wave",)

    def __post_init__(self) -> None:
        if self.bins < 1 or not 0 < self.floor < self.ceiling:
            raise BadInput(
                f"F0 needs bins >= 1 and 0 < floor < ceiling, got {self.bins}, {self.floor}, {self.ceiling} Hz"
            )

    @classmethod
    def tiny(cls) -> F0:
        return cls(bins=8)

    def specs(self) -> dict[str, Spec]:
        return {self.stream: Spec(self.bins + 1, self.rate)}

    @property
    def unvoiced(self) -> int:
        """The symbol of frames without voice."""
        return self.bins

    def ids(self, hertz: np.ndarray) -> np.ndarray:
        """Hz float[T], 0 where unvoiced -> int64[T]"""
        octaves = np.log(np.maximum(hertz, self.floor) / self.floor) / math.log(self.ceiling / self.floor)
        bins = np.minimum((octaves * self.bins).astype(np.int64), self.bins - 1)
        return np.where(hertz > 0, bins, self.unvoiced)

    def hertz(self, ids: np.ndarray) -> np.ndarray:
        """int64[T] -> the middle of each bin in Hz, float64[T]; 0 where unvoiced."""
        middle = self.floor * (self.ceiling / self.floor) ** ((np.asarray(ids) + 0.5) / self.bins)
        return np.where(np.asarray(ids) == self.unvoiced, 0.0, middle)

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings at any rate -> ceil(seconds * rate) symbols each.

        Not live: the analysis looks at a whole utterance. Long recordings are analysed a minute at a time.
        """
        return [{self.stream: Stream(self.ids(self._track(wave)))} for wave in waves]

    def _track(self, wave: Waveform) -> np.ndarray:
        """Hz at each frame, float[T]."""
        frames = self.specs()[self.stream].length(wave.seconds)
        if not frames:
            return np.zeros(0)
        step, margin = round(BLOCK * self.rate), round(MARGIN * self.rate)
        tracks = []
        for start in range(0, frames, step):
            first = max(0, start - margin)
            part = wave.cut(first / self.rate, (start + step + margin) / self.rate)
            tracks.append(self._analyse(part)[start - first :][:step])
        track = np.concatenate(tracks)[:frames]
        return np.pad(track, (0, frames - len(track)))

    def _analyse(self, wave: Waveform) -> np.ndarray:
        return f0(wave, frame_rate=self.rate, floor=self.floor, ceiling=self.ceiling, method=self.method)
