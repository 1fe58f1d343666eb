"""What streaming tokenizers share: pieces of a recording at any rate, brought to the rate of an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from oration.audio.resample import Resampler
from oration.core import BadInput, Waveform

BLOCK = 20.0
"""Seconds that are worked on at once: memory does not grow with the recording."""


class LiveFeatures(Protocol):
    """Samples -> features, piece by piece."""

    def push(self, samples: Tensor) -> Tensor:
        """float[T] at the encoder's rate -> float[f, dim], the frames this piece completes."""
        ...

    def flush(self) -> Tensor:
        """The rest, so that there are ceil(T / hop) in all. Afterwards it is ready for another recording."""
        ...


class Features(Protocol):
    """An encoder's module: sound to vectors."""

    rate: int
    """Hz of the samples it takes."""
    hop: int
    """Samples per vector."""

    @property
    def dim(self) -> int: ...

    def live(self) -> LiveFeatures: ...


@contextmanager
def at_rest(module: nn.Module) -> Iterator[None]:
    """No dropout and no gradients inside; the module's mode is put back afterwards."""
    training = module.training
    if training:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if training:
            module.train()


def pieces(wave: Waveform, seconds: float = BLOCK) -> Iterator[Waveform]:
    """A recording in blocks, each a view."""
    size = max(1, round(seconds * wave.rate))
    for start in range(0, len(wave), size):
        yield Waveform(wave.samples[start : start + size], wave.rate)


class AtRate:
    """Pieces at one rate, whichever it is -> samples at `rate` Hz."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.resampler: Resampler | None = None

    def push(self, wave: Waveform) -> Tensor:
        """A piece -> float[t].

        Raises:
            BadInput: its rate differs from that of the piece before.
        """
        if self.resampler is None:
            self.resampler = Resampler(wave.rate, self.rate)
        if wave.rate != self.resampler.from_rate:
            before = self.resampler.from_rate
            raise BadInput(f"a live piece has {wave.rate} Hz, expected {before} Hz as those before; flush first")
        return torch.from_numpy(np.array(self.resampler.push(wave.samples)))

    def flush(self) -> Tensor:
        """The samples still inside the filter. Afterwards it is ready for another recording, at any rate."""
        rest = np.zeros(0, np.float32) if self.resampler is None else self.resampler.flush()
        self.resampler = None
        return torch.from_numpy(np.array(rest))


class LiveVectors:
    """One recording through an encoder, in pieces of any length and at any one rate."""

    def __init__(self, encoder: Features) -> None:
        self.sound, self.encoder = AtRate(encoder.rate), encoder.live()

    def push(self, wave: Waveform) -> Tensor:
        """A piece -> float[f, D]"""
        return self.encoder.push(self.sound.push(wave))

    def flush(self) -> Tensor:
        """The rest, float[f, D]. Afterwards it is ready for another recording."""
        return torch.cat([self.encoder.push(self.sound.flush()), self.encoder.flush()])

    def whole(self, wave: Waveform) -> Iterator[Tensor]:
        """All vectors of a recording, block by block."""
        yield from map(self.push, pieces(wave))
        yield self.flush()
