"""Log-mel frames as a continuous stream: what flow and diffusion vocoders, and Griffin-Lim, are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from oration.audio.mel import LogMel
from oration.audio.resample import Resampler
from oration.core import BadInput, Example, Spec, Stream, Waveform

BLOCK = 20.0
"""Seconds computed at once."""


@dataclass(frozen=True, kw_only=True)
class Mel:
    """Vectors of `bands` natural-log magnitudes, `rate / hop` a second (100)."""

    bands: int = 80
    rate: int = 16000
    """Hz the recording is brought to."""
    hop: int = 160
    """Samples from frame to frame."""
    stream: str = "mel"
    needs = ("wave",)

    @classmethod
    def tiny(cls) -> Mel:
        return cls(bands=20)

    @property
    def logmel(self) -> LogMel:
        """The transform, as `griffin_lim` wants it."""
        return LogMel(rate=self.rate, bands=self.bands, hop=self.hop)

    def specs(self) -> dict[str, Spec]:
        return {self.stream: Spec(1, self.rate / self.hop, self.bands)}

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings at any rate -> ceil(seconds * 100) vectors each."""
        return [{self.stream: Stream.dense(np.concatenate(list(self._encode(wave))))} for wave in waves]

    def _encode(self, wave: Waveform) -> Iterator[np.ndarray]:
        live, size = LiveMel(self), max(1, round(BLOCK * wave.rate))
        for start in range(0, len(wave), size):
            yield live.frames(Waveform(wave.samples[start : start + size], wave.rate))
        yield live.last()

    def live(self) -> LiveMel:
        """The streaming form, without delay."""
        return LiveMel(self)


class LiveMel:
    """One recording to log-mel, in pieces of any length and at any one rate."""

    def __init__(self, numbers: Mel) -> None:
        self.numbers, self.mel = numbers, numbers.logmel.live()
        self.resampler: Resampler | None = None

    def frames(self, wave: Waveform) -> np.ndarray:
        """A piece -> float32[f, bands].

        Raises:
            BadInput: its rate differs from that of the piece before.
        """
        if self.resampler is None:
            self.resampler = Resampler(wave.rate, self.numbers.rate)
        if wave.rate != self.resampler.from_rate:
            before = self.resampler.from_rate
            raise BadInput(f"a live piece has {wave.rate} Hz, expected {before} Hz as those before; flush first")
        return self._frames(self.resampler.push(wave.samples))

    def _frames(self, samples: np.ndarray) -> np.ndarray:
        return self.mel.push(torch.from_numpy(np.array(samples))).numpy()

    def last(self) -> np.ndarray:
        """The rest, float32[f, bands]. Afterwards it is ready for another recording."""
        parts = [] if self.resampler is None else [self._frames(self.resampler.flush())]
        self.resampler = None
        return np.concatenate([*parts, self.mel.flush().numpy()])

    def push(self, wave: Waveform) -> list[Example]:
        """A piece at any rate, the same for all pieces of a recording."""
        return self._example(self.frames(wave))

    def flush(self) -> list[Example]:
        return self._example(self.last())

    def _example(self, frames: np.ndarray) -> list[Example]:
        return [{self.numbers.stream: Stream.dense(frames)}] if len(frames) else []
