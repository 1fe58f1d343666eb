"""Recordings that once went through a program which takes bytes for text: found, and mended as far as they can be.

Such a program turns every byte 0D (carriage return) into 0A, and the two bytes 0D 0A into one 0A. In 16-bit sound

    0D as the upper byte      the sample drops by 768: a click, at values 3328 .. 3583 only
    0D 0A                     one byte is lost: all that follows is read one byte late, which is loud noise

The TIMIT sample that circulates is such a corpus: no recording of it has an upper byte 0D, and 22 of 120 hold stretches
of noise, a tenth of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oration.core import Waveform

_DROP = 768
"""0D00 - 0A00"""
_SWITCH = 80.0
"""Bits of smoothness that a change of alignment must gain; a right one gains about 5 a sample."""
_ORDER, _FRAME = 16, 512


@dataclass(frozen=True)
class Mended:
    """A recording, and what was done to it."""

    wave: Waveform
    lost_bytes: int
    """Bytes put back, each where a stretch of noise began or ended."""
    clicks: int
    """Samples raised by 768."""


def mend_newlines(wave: Waveform) -> Mended:
    """Mend one recording of 16-bit samples; one that was never harmed comes back as it is.

    A lost byte is put back to within some samples of its place; of the clicks more than nine in ten are found.
    """
    samples = np.round(wave.samples.astype(np.float64) * 32768).clip(-32768, 32767).astype(np.int16)
    straight, lost = _realign(samples)
    if not lost and (samples >> 8 == 0x0D).any():
        return Mended(wave, 0, 0)
    raised = _unclick(straight.astype(np.float64))
    return Mended(Waveform(raised / 32768, wave.rate), lost, int((raised != straight).sum()))


def _rough(samples: np.ndarray) -> np.ndarray:
    """Size in bits of the step to the next sample: about 14 in misread sound, below 10 in most speech."""
    return np.log2(1 + np.abs(np.diff(samples.astype(np.float64))))


def _changes(data: np.ndarray) -> list[int]:
    """Samples at which alignment changes between right and one byte late, by the smoothest path through both."""
    late = np.frombuffer(data[1:-1].tobytes(), "<i2")
    gain = _rough(np.frombuffer(data.tobytes(), "<i2"))[: len(late) - 1] - _rough(late)
    if not len(gain):
        return []
    # Viterbi with two states; `lead` is how much better the late one is so far, kept within the price of a change.
    lead, came = -np.inf, np.zeros((2, len(gain)), bool)
    for at, step in enumerate(gain.tolist()):
        came[1, at], came[0, at] = lead < -_SWITCH, lead > _SWITCH
        lead = min(max(lead, -_SWITCH), _SWITCH) + step
    state, found = int(lead > 0), []
    for at in range(len(gain) - 1, -1, -1):
        if came[state, at]:
            found.append(at)
            state = 1 - state
    return found[::-1]


def _realign(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Put lost bytes back: int16[T] -> int16[T, or some more], and how many they were."""
    changes = _changes(np.frombuffer(samples.astype("<i2").tobytes(), np.uint8))
    if not changes:
        return samples, 0
    data = np.frombuffer(samples.astype("<i2").tobytes(), np.uint8)
    if (data == 0x0D).any():
        # None was left, so something came after: a copy by way of floating point, which shrinks what is above half of
        # full scale by one. Noise is, and its low bytes are the high bytes of the sound.
        wide = samples.astype(np.int32)
        wide += np.where(np.abs(wide) > 16383, np.sign(wide), 0)
        data = np.frombuffer(wide.clip(-32768, 32767).astype("<i2").tobytes(), np.uint8)
    for number, change in enumerate(changes):
        about = 2 * change + number
        near = np.arange(max(0, about - 24), min(len(data), about + 24))
        newlines = near[data[near] == 0x0A]
        tries = [np.insert(data, place, 0x0D) for place in (newlines if len(newlines) else [about])]
        data = min(tries, key=lambda one: _local(one, about))
    return np.frombuffer(data[: len(data) // 2 * 2].tobytes(), "<i2").astype(np.int16), len(changes)


def _local(data: np.ndarray, about: int) -> float:
    """Roughness around a byte."""
    first = max(0, about // 2 - 40) * 2
    part = data[first : first + 160]
    return float(_rough(np.frombuffer(part[: len(part) // 2 * 2].tobytes(), "<i2")).sum())


def _unclick(samples: np.ndarray, passes: int = 3) -> np.ndarray:
    """Raise the samples in 2560 .. 2815 that fit their neighbours better 768 higher, float64[T].

    Clicks come in rows, so all doubtful samples of a stretch are foretold together from the sure ones around them, by
    the least-squares interpolation of Janssen et al. (1986): with the prediction filter a of the stretch and b = a
    correlated with itself, they solve sum over k of b[t - k] x[k] = 0 for every doubtful t.
    """
    doubtful = np.flatnonzero((samples >= 0x0A00) & (samples < 0x0B00))
    doubtful = doubtful[(doubtful >= _ORDER) & (doubtful < len(samples) - _ORDER)]
    reach = np.arange(-_ORDER, _ORDER + 1)
    raised = samples
    for _ in range(passes):
        before, raised = raised, samples.copy()
        sure = samples.copy()
        sure[doubtful] = 0
        for here in np.split(doubtful, np.flatnonzero(np.diff(doubtful // _FRAME)) + 1):
            if not len(here):
                continue
            start = here[0] // _FRAME * _FRAME
            weights = _predictor(before[max(0, start - _FRAME // 2) : start + _FRAME + _FRAME // 2])
            gap = np.abs(here[:, None] - here)
            known = sure[here[:, None] + reach] @ weights
            foretold = -np.linalg.solve(np.where(gap <= _ORDER, weights[_ORDER + np.minimum(gap, _ORDER)], 0), known)
            higher = np.abs(samples[here] + _DROP - foretold) < np.abs(samples[here] - foretold)
            raised[here] = samples[here] + _DROP * higher
    return raised


def _predictor(window: np.ndarray) -> np.ndarray:
    """b[k] / b[0] for k = -order .. order."""
    shaped = window * np.hanning(len(window) + 2)[1:-1]
    correlation = np.array([shaped[lag:] @ shaped[: len(shaped) - lag] for lag in range(_ORDER + 1)])
    correlation[0] = correlation[0] * (1 + 1e-6) + 1
    lags = np.abs(np.arange(_ORDER)[:, None] - np.arange(_ORDER))
    filter_ = np.r_[1.0, -np.linalg.solve(correlation[lags], correlation[1:])]
    return np.correlate(filter_, filter_, "full") / (filter_ @ filter_)
