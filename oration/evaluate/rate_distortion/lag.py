"""How late a system's sound comes: one constant delay over all clips, found by the same rule for every system.

1. Loudness in 20 mel bands, a thousand frames a second, is correlated between recordings and copies, all bands and
   clips together, at delays of up to 100 ms to either side. Copies that keep no phase (Griffin-Lim, parametric codecs)
   still have it. A delay counts only if it correlates well, and clearly better than none.
2. The samples are correlated within 4 ms of that, the mean over clips. The best delay counts only where copies follow
   the wave at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oration.core import BadInput, Waveform

RATE = 16_000
BOUND = 0.100
"""Seconds to either side."""
FINE = 0.004
"""Seconds around the coarse delay that the samples are searched in."""
GAIN = 0.01
"""By how much a correlation must be above that of the delay it replaces."""
FOLLOWS = 0.5
"""Correlation from which copies are said to follow the loudness, or the wave, at all."""


@dataclass(frozen=True)
class Lag:
    """How much later than the recordings their copies are."""

    samples: int
    """At 16 kHz; below 0 where the copies come early."""
    loudness: float
    """Correlation of loudness at that delay, to the millisecond."""
    wave: float
    """Mean correlation of samples at that delay."""

    @property
    def seconds(self) -> float:
        return self.samples / RATE


def find(originals: Sequence[Waveform], copies: Sequence[Waveform]) -> Lag:
    """The delay of `copies` against `originals`, all at 16 kHz.

    Raises:
        BadInput: another rate, or not one copy a recording.
    """
    if len(originals) != len(copies) or not originals:
        raise BadInput(f"{len(copies)} copies of {len(originals)} recordings; expected one a recording, in order")
    if any(wave.rate != RATE for wave in (*originals, *copies)):
        raise BadInput(f"delays are found at {RATE} Hz; resample the recordings and their copies first")
    step, reach = RATE // 1000, round(1000 * BOUND)
    loud = np.zeros(2 * reach + 1)
    energy = np.zeros(2)
    for original, copy in zip(originals, copies, strict=True):
        one, two = _loudness(original, step), _loudness(copy, step)
        loud += _correlate(one, two, reach)
        energy += np.square(one).sum(), np.square(two).sum()
    loud /= max(float(np.sqrt(energy.prod())), 1e-12)
    coarse = _best(loud, reach)
    if loud[coarse] < FOLLOWS:
        coarse = reach
    reach_fine, bound = round(FINE * RATE), round((BOUND + FINE) * RATE)
    fine = np.zeros(2 * bound + 1)
    for original, copy in zip(originals, copies, strict=True):
        size = float(np.linalg.norm(original.samples) * np.linalg.norm(copy.samples))
        fine += _correlate(original.samples[:, None], copy.samples[:, None], bound) / max(size, 1e-12) / len(copies)
    middle = bound + (coarse - reach) * step
    near = fine[middle - reach_fine : middle + reach_fine + 1]
    at = _best(near, reach_fine)
    if near[at] < FOLLOWS:
        at = reach_fine
    return Lag((coarse - reach) * step + at - reach_fine, float(loud[coarse]), float(near[at]))


def undo(copy: Waveform, lag: Lag, length: int) -> Waveform:
    """A copy at 16 kHz without its delay, `length` samples long: what is missing at an end is silence."""
    samples = copy.samples[lag.samples :] if lag.samples > 0 else np.pad(copy.samples, (-lag.samples, 0))
    return Waveform(np.pad(samples[:length], (0, max(0, length - len(samples)))), RATE)


def _best(correlations: np.ndarray, none: int) -> int:
    """Where they are highest, but `none` unless that is clearly higher."""
    at = int(correlations.argmax())
    return at if correlations[at] > correlations[none] + GAIN else none


def _loudness(wave: Waveform, step: int) -> np.ndarray:
    """float64[F, 20], each band without its mean."""
    import torch

    from oration.audio.mel import LogMel

    # 60 dB below full scale: the hiss of a pause says nothing about time.
    mel = LogMel(rate=RATE, bands=20, window=20 * step, hop=step, fft=512, floor=1e-3)
    loud = mel(torch.from_numpy(wave.samples)).double().numpy()
    return np.asarray(loud - loud.mean(0))


def _correlate(one: np.ndarray, two: np.ndarray, reach: int) -> np.ndarray:
    """float[T, B], float[U, B] -> float64[2 * reach + 1]: sums of one[t] * two[t + lag], lag = -reach .. reach."""
    size = 1 << (max(len(one), len(two)) + reach).bit_length()
    product = np.fft.rfft(one, size, axis=0).conj() * np.fft.rfft(two, size, axis=0)
    both = np.fft.irfft(product.sum(1), size)
    return np.concatenate([both[-reach:], both[: reach + 1]])
