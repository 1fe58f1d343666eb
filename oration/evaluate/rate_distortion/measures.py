"""The measures of one clip and its copy, as what the clip adds to a quotient of sums.

All hear the pair at 16 kHz, one as long as the other. A measure is a quotient over clips (errors by words, distances by
frames), so that intervals and paired differences come from the same sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from oration.audio.resample import resample
from oration.core import OrationError, Waveform
from oration.evaluate.asr import PocketSphinx, count_errors, plain_english
from oration.evaluate.quality import dnsmos_of, voices
from oration.evaluate.signal import mel_gap, pesq_of, pitch_gap, si_sdr_of, stoi_of

if TYPE_CHECKING:
    from oration.audio.mel import LogMel

RATE = 16_000

Sums = tuple[float, float]
"""What a clip adds above and below the line."""


@dataclass(frozen=True)
class Measure:
    """How one measure is read."""

    name: str
    label: str
    better: Literal["lower", "higher"]
    digits: int
    percent: bool = False
    alone: bool = False
    """It hears the copy alone, so that the recording has a value of its own."""
    root: bool = False
    """The value is the square root of the quotient."""

    def value(self, sums: np.ndarray) -> np.ndarray:
        """float[..., 2] sums -> float[...]"""
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = sums[..., 0] / sums[..., 1]
        return np.sqrt(quotient) if self.root else quotient


MEASURES = (
    Measure("pesq", "PESQ wide-band", "higher", 2),
    Measure("stoi", "STOI", "higher", 3),
    Measure("dnsmos", "DNSMOS overall", "higher", 2, alone=True),
    Measure("wer", "WER", "lower", 3, percent=True, alone=True),
    Measure("mel", "mel distance", "lower", 3),
    Measure("si_sdr", "SI-SDR, dB", "higher", 1),
    Measure("voice", "same voice", "higher", 3),
    Measure("f0", "F0 error, cents", "lower", 0, root=True),
    Measure("gross", "gross F0 errors", "lower", 3, percent=True),
    Measure("voicing", "voicing errors", "lower", 3, percent=True),
)
"""In the order of tables."""


def measure(
    original: Waveform, copy: Waveform | None, text: str | None, without: Sequence[str] = ()
) -> dict[str, Sums | None]:
    """All measures of one copy; of the recording itself, those that need no copy, where `copy` is None.

    Args:
        text: what is said; None leaves the words uncounted.
        without: measures to leave out.

    Returns:
        Measure -> sums; None where it finds no speech, or nothing that it could say anything about. A measure whose
        package is missing is left out (`missing` says which).
    """
    original = resample(original, RATE)
    heard = original if copy is None else resample(copy, RATE)
    found: dict[str, Sums | None] = {}

    def wanted(name: str) -> bool:
        return name not in without and not _why_not(name)

    def add(name: str, score: Callable[[], Sums | float | None]) -> None:
        if wanted(name):
            value = score()
            found[name] = (value, 1.0) if isinstance(value, float) else value

    if not len(heard):
        return dict.fromkeys((one.name for one in MEASURES if wanted(one.name)), None)
    add("dnsmos", lambda: dnsmos_of(heard)[0])
    add("wer", lambda: None if text is None else _words(heard, text))
    if copy is None:
        return found
    one, two = original.samples, heard.samples
    sounds = bool(one.any() and two.any())
    add("pesq", lambda: pesq_of(one, two) if sounds else None)
    add("stoi", lambda: stoi_of(one, two) if sounds else None)
    add("mel", lambda: mel_gap(one, two, _mel()))
    add("si_sdr", lambda: si_sdr_of(one, two))
    add("voice", lambda: float(np.prod(voices([original, heard]), 0).sum()))
    square, gross, voiced, flips, frames = pitch_gap(one, two)
    for name, sums in {"f0": (square, voiced), "gross": (gross, voiced), "voicing": (flips, frames)}.items():
        if wanted(name):
            found[name] = sums
    return found


def _words(wave: Waveform, text: str) -> Sums | None:
    """Wrong words, and words."""
    errors = count_errors(plain_english(text), plain_english(PocketSphinx().transcribe([wave])[0]))
    return (float(errors.errors), float(errors.words)) if errors.words else None


@lru_cache(maxsize=1)
def _mel() -> LogMel:
    from oration.audio.mel import LogMel

    return LogMel()


def missing(without: Sequence[str] = ()) -> dict[str, str]:
    """Measure -> why it cannot be computed here: a package that is not installed; `without` are not tried."""
    found = {one.name: _why_not(one.name) for one in MEASURES if one.name not in without}
    return {name: why for name, why in found.items() if why}


@lru_cache(maxsize=len(MEASURES))
def _why_not(name: str) -> str:
    """Empty if it can be computed."""
    noise = Waveform(0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32), RATE)
    tries: dict[str, Callable[[], object]] = {
        "pesq": lambda: pesq_of(noise.samples, noise.samples),
        "stoi": lambda: stoi_of(noise.samples, noise.samples),
        "dnsmos": lambda: dnsmos_of(noise),
        "wer": lambda: (PocketSphinx().name, count_errors("a", "a")),
        "voice": lambda: voices([noise]),
    }
    try:
        tries.get(name, lambda: None)()
    except OrationError as failure:
        return str(failure)
    return ""
