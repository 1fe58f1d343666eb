"""Sound: samples that carry their rate. Reading and writing files is `oration.audio`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oration.core.errors import BadInput


@dataclass(frozen=True, eq=False)
class Waveform:
    """One channel of sound. No function of the toolkit takes a bare array of audio."""

    samples: np.ndarray
    """float32[T], nominally in [-1, 1]; louder is allowed (decoded lossy audio overshoots), NaN is not."""
    rate: int
    """Samples per second, Hz."""

    def __post_init__(self) -> None:
        samples = np.ascontiguousarray(self.samples, dtype=np.float32)
        if samples.ndim != 1:
            raise BadInput(
                f"a waveform has one channel, float[T], but got shape {samples.shape}; "
                "pass the channels one by one, or mix them with oration.audio.mono"
            )
        if self.rate <= 0:
            raise BadInput(f"a waveform's rate is in samples per second and above 0, but got {self.rate}")
        if not np.isfinite(samples).all():
            bad = int(np.flatnonzero(~np.isfinite(samples))[0])
            raise BadInput(
                f"sample {bad} of {len(samples)} is {samples[bad]}, expected a finite number; "
                "repair the recording or cut that part out"
            )
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "rate", int(self.rate))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def cut(self, start: float = 0.0, stop: float | None = None) -> Waveform:
        """The part from `start` to `stop` seconds (to the end if None); what lies outside is left out."""
        first = max(0, round(start * self.rate))
        last = len(self) if stop is None else max(first, round(stop * self.rate))
        return Waveform(self.samples[first:last], self.rate)

    def __repr__(self) -> str:
        return f"Waveform({self.seconds:.3f} s at {self.rate} Hz)"
