"""Change of sampling rate by soxr, whole recordings or piece by piece with the same result."""

from __future__ import annotations

import numpy as np
import soxr

from oration.core import BadInput, Waveform


def resample(wave: Waveform, rate: int) -> Waveform:
    """`wave` at `rate` Hz: soxr's high quality, ceil(T * rate / wave.rate) samples, no shift in time."""
    if rate <= 0:
        raise BadInput(f"cannot resample to {rate} Hz, expected a rate above 0 such as 16000")
    if rate == wave.rate:
        return wave
    live = Resampler(wave.rate, rate)
    return Waveform(np.concatenate([live.push(wave.samples), live.flush()]), rate)


class Resampler:
    """Pieces of a recording -> the same recording at another rate, within a filter's delay (some milliseconds)."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        if from_rate <= 0 or to_rate <= 0:
            raise BadInput(f"sampling rates are above 0, but got {from_rate} and {to_rate} Hz; give Hz such as 16000")
        self.from_rate, self.to_rate = from_rate, to_rate
        self._reset()

    def _reset(self) -> None:
        self.taken, self.given = 0, 0
        same = self.from_rate == self.to_rate
        self.stream = None if same else soxr.ResampleStream(self.from_rate, self.to_rate, 1, "float32", "HQ")

    def _count(self, samples: np.ndarray) -> np.ndarray:
        """Never more samples than the rates allow for what came in."""
        due = -(-self.taken * self.to_rate // self.from_rate)
        samples = samples[: max(0, due - self.given)]
        self.given += len(samples)
        return samples

    def push(self, samples: np.ndarray) -> np.ndarray:
        """float32[T] at `from_rate` -> float32[t] at `to_rate`; t lags behind by the filter's delay."""
        samples = np.ascontiguousarray(samples, np.float32)
        if self.stream is None:
            return samples
        self.taken += len(samples)
        return self._count(self.stream.resample_chunk(samples))

    def flush(self) -> np.ndarray:
        """What is still inside the filter, float32[t]. Afterwards it is ready for another recording."""
        if self.stream is None:
            return np.zeros(0, np.float32)
        rest = self._count(self.stream.resample_chunk(np.zeros(0, np.float32), last=True))
        missing = -(-self.taken * self.to_rate // self.from_rate) - self.given
        self._reset()
        return np.pad(rest, (0, missing))
