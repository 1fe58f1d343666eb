"""Pitch as symbols: the logarithm of F0 in bins, and one symbol for frames without voice.

Polyak et al. 2021 (arXiv:2104.00355) quantise F0 with a learned code; bins need no training and say what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from oration.audio.f0 import f0
from oration.core import BadInput, Example, Spec, Stream, Waveform

BLOCK, MARGIN = 60.0, 1.0
"""Seconds analysed at once, and seconds of sound around them that the analysis sees as well."""
FINE = 100
"""Hz at which pitch is looked for where symbols are rarer than 50 a second."""


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
    rate: float = 100
    """A second. Below 50, a symbol is the median of the voiced frames of 10 ms in its span, or unvoiced where these are
    less than half (SpiRit-LM, arXiv:2402.05755, has 12.5 learned symbols a second)."""
    stream: str = "f0"
    method: Literal["dio", "harvest"] = "dio"
    """`harvest` is slower and makes fewer octave errors."""
    needs = ("wave",)

    def __post_init__(self) -> None:
        if self.bins < 1 or not 0 < self.floor < self.ceiling:
            raise BadInput(
                f"F0 needs bins >= 1 and 0 < floor < ceiling, got {self.bins}, {self.floor}, {self.ceiling} Hz"
            )
        whole = self.rate > 0 and (FINE / self.rate if self.rate < 50 else self.rate) % 1 == 0
        if not whole or BLOCK * self.rate % 1:
            raise BadInput(
                f"F0 has the rate {self.rate}, expected a whole number from 50 a second on, or {FINE} divided by a "
                "whole number, such as 12.5; set that"
            )

    def tiny(self) -> F0:
        """The same with few bins."""
        return replace(self, bins=min(self.bins, 8))

    def specs(self) -> dict[str, Spec]:
        return {self.stream: Spec(self.bins + 1, self.rate)}

    @property
    def unvoiced(self) -> int:
        """The symbol of frames without voice."""
        return self.bins

    @property
    def frames(self) -> int:
        """Frames of the analysis per symbol."""
        return round(FINE / self.rate) if self.rate < 50 else 1

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
        """Recordings at any rate -> ceil(seconds * rate) symbols each, analysed a minute at a time."""
        examples = []
        for wave in waves:
            live = self.live()
            found = [*live.push(wave), *live.flush()]
            ids = [example[self.stream].ids for example in found]
            examples.append({self.stream: Stream(np.concatenate(ids) if ids else np.zeros(0, np.int64))})
        return examples

    def live(self) -> LiveF0:
        """The streaming form, to bound memory: the analysis looks at a whole minute, and lags behind by that much."""
        return LiveF0(self)

    def analyse(self, wave: Waveform) -> np.ndarray:
        """Hz, float32[ceil(seconds * rate * frames)], before frames are put together; 0 where unvoiced."""
        rate = round(self.rate * self.frames)
        return f0(wave, frame_rate=rate, floor=self.floor, ceiling=self.ceiling, method=self.method)

    def together(self, hertz: np.ndarray) -> np.ndarray:
        """`frames` frames as one: Hz float32[T] -> float32[ceil(T / frames)]"""
        if self.frames == 1:
            return hertz
        spans = np.pad(hertz, (0, -len(hertz) % self.frames)).reshape(-1, self.frames)
        voiced = spans > 0
        middles = [
            np.median(span[on]) if 2 * on.sum() >= len(on) else 0.0 for span, on in zip(spans, voiced, strict=True)
        ]
        return np.array(middles, np.float32)


class LiveF0:
    """One recording in pieces of any length and at any one rate -> its symbols, a block at a time."""

    def __init__(self, config: F0) -> None:
        self.config = config
        self._reset()

    def _reset(self) -> None:
        self.rate, self.pieces = 0, list[np.ndarray]()
        self.held, self.dropped, self.block = 0, 0, 0
        """Samples held and dropped so far, and the number of the block to analyse next."""

    def push(self, wave: Waveform) -> list[Example]:
        """The symbols that this piece completes, if any.

        Raises:
            BadInput: its rate differs from that of the piece before.
        """
        if self.rate not in (0, wave.rate):
            raise BadInput(f"a live piece has {wave.rate} Hz, expected {self.rate} Hz as before; flush first")
        self.rate = wave.rate
        self.pieces.append(wave.samples)
        self.held += len(wave)
        found = []
        while self.dropped + self.held >= ((self.block + 1) * BLOCK + MARGIN) * self.rate:
            found.append(self._analyse(last=False))
        return found

    def flush(self) -> list[Example]:
        """The rest, so that there are ceil(seconds * rate) in all. Afterwards it is ready for another recording."""
        found = []
        while self.rate and self.dropped + self.held > self.block * BLOCK * self.rate:
            found.append(self._analyse(last=self.dropped + self.held <= (self.block + 1) * BLOCK * self.rate))
        self._reset()
        return found

    def _analyse(self, last: bool) -> Example:
        """One block, seen with a margin on both sides; what no later block sees is dropped."""
        rate, config = self.rate, self.config
        samples = np.concatenate(self.pieces)
        start = round(max(0.0, self.block * BLOCK - MARGIN) * rate)
        stop = round(((self.block + 1) * BLOCK + MARGIN) * rate)
        seen = samples[start - self.dropped : stop - self.dropped]
        track = config.analyse(Waveform(seen, rate))
        fine = round(config.rate * config.frames)
        first = round((self.block * BLOCK - start / rate) * fine)
        track = track[first:] if last else track[first : first + round(BLOCK * fine)]
        self.block += 1
        keep = round(max(0.0, self.block * BLOCK - MARGIN) * rate)
        self.pieces = [samples[keep - self.dropped :].copy()]
        self.held, self.dropped = len(self.pieces[0]), min(keep, self.dropped + len(samples))
        return {config.stream: Stream(config.ids(config.together(track)))}
