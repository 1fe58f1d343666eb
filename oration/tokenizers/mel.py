"""Log-mel frames as a continuous stream: what flow and diffusion vocoders, and Griffin-Lim, are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from oration.audio.live import AtRate, pieces
from oration.audio.mel import LogMel
from oration.core import Example, Spec, Stream, Waveform


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
        live = LiveMel(self)
        yield from map(live.frames, pieces(wave))
        yield live.rest()

    def live(self) -> LiveMel:
        """The streaming form, without delay."""
        return LiveMel(self)


class LiveMel:
    """One recording to log-mel, in pieces of any length and at any one rate."""

    def __init__(self, numbers: Mel) -> None:
        self.numbers, self.mel = numbers, numbers.logmel.live()
        self.sound = AtRate(numbers.rate)

    def frames(self, wave: Waveform) -> np.ndarray:
        """A piece -> float32[f, bands]"""
        return self.mel.push(self.sound.push(wave)).numpy()

    def rest(self) -> np.ndarray:
        """The last frames, float32[f, bands]. Afterwards it is ready for another recording."""
        return np.concatenate([self.mel.push(self.sound.flush()).numpy(), self.mel.flush().numpy()])

    def push(self, wave: Waveform) -> list[Example]:
        """A piece at any rate, the same for all pieces of a recording."""
        return self._example(self.frames(wave))

    def flush(self) -> list[Example]:
        """What is left. Afterwards it is ready for another recording."""
        return self._example(self.rest())

    def _example(self, frames: np.ndarray) -> list[Example]:
        return [{self.numbers.stream: Stream.dense(frames)}] if len(frames) else []
