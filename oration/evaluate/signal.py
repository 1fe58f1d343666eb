"""Distances between a recording and its copy that runs in step with it: mel, F0, STOI, PESQ, SI-SDR.

A copy may be longer or shorter; both are cut to the shorter. A copy with other timing (text to speech, a continuation)
has no such distance: use `asr` and `quality` there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from oration.audio.f0 import f0
from oration.audio.resample import resample
from oration.core import BadInput, Waveform, optional
from oration.evaluate.interval import Bootstrap, Estimate

if TYPE_CHECKING:
    from oration.audio.mel import LogMel

RATE = 16_000
GROSS = 0.2
"""A pitch that is off by more than this share is a gross error (usually an octave)."""


@dataclass(frozen=True)
class F0Error:
    """Over 10 ms frames; pitch by one tracker on both sides, so its own faults count too."""

    cents: Estimate
    """Root mean square difference where both are voiced; 100 cents are a semitone."""
    gross: Estimate
    """Share of the frames voiced in both whose pitch is off by more than 20 %."""
    voicing: Estimate
    """Share of all frames that one side calls voiced and the other not."""
    both_voiced: int
    frames: int


@dataclass(frozen=True)
class Aligned:
    """A score a clip and their mean; a clip that the measure refuses (no speech found) is left out and counted."""

    mean: Estimate
    missing: int
    scores: tuple[float | None, ...]
    measure: str


def pairs(
    references: Sequence[Waveform], copies: Sequence[Waveform], rate: int = RATE
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Both at `rate` and of one length: float32[T], float32[T] a clip.

    Raises:
        BadInput: another number of copies, or a clip of which nothing is left.
    """
    if len(references) != len(copies) or not references:
        raise BadInput(
            f"{len(copies)} copies of {len(references)} recordings; expected one a recording, in the same order"
        )
    found = []
    for number, (reference, copy) in enumerate(zip(references, copies, strict=True)):
        one, two = resample(reference, rate).samples, resample(copy, rate).samples
        length = min(len(one), len(two))
        if not length:
            raise BadInput(f"clip {number} or its copy is empty ({reference!r}, {copy!r}); leave it out")
        found.append((one[:length], two[:length]))
    return found


def mel_distance(
    references: Sequence[Waveform],
    copies: Sequence[Waveform],
    *,
    mel: LogMel | None = None,
    clusters: Sequence[Any] | None = None,
    bootstrap: Bootstrap | None = None,
) -> Estimate:
    """Mean absolute difference of natural-log mels (80 bands, 100 frames a second), over all frames and bands."""
    from oration.audio.mel import LogMel

    mel = mel or LogMel()
    sums, frames = zip(*(mel_gap(one, two, mel) for one, two in pairs(references, copies, mel.rate)), strict=True)
    return (bootstrap or Bootstrap()).ratio(sums, frames, clusters=clusters)


def mel_gap(one: np.ndarray, two: np.ndarray, mel: LogMel) -> tuple[float, int]:
    """What a pair, float32[T] each at `mel.rate`, adds to the mel distance: a sum over frames, and their number."""
    import torch

    gap = (mel(torch.from_numpy(one)) - mel(torch.from_numpy(two))).abs().mean(-1)
    return float(gap.double().sum()), len(gap)


def f0_error(
    references: Sequence[Waveform],
    copies: Sequence[Waveform],
    *,
    method: Literal["dio", "harvest"] = "dio",
    clusters: Sequence[Any] | None = None,
    bootstrap: Bootstrap | None = None,
) -> F0Error:
    """Pitch and voicing errors of copies, by the tracker `method` of `oration.audio.f0`.

    Where no frame is voiced in both, `cents` and `gross` are NaN.
    """
    rows = [pitch_gap(one, two, method) for one, two in pairs(references, copies)]
    square, gross, voiced, flips, frames = np.array(rows, np.float64).T
    bootstrap = bootstrap or Bootstrap()
    return F0Error(
        cents=bootstrap.ratio(square, voiced, clusters=clusters, then=np.sqrt),
        gross=bootstrap.ratio(gross, voiced, clusters=clusters),
        voicing=bootstrap.ratio(flips, frames, clusters=clusters),
        both_voiced=int(voiced.sum()),
        frames=int(frames.sum()),
    )


def pitch_gap(one: np.ndarray, two: np.ndarray, method: Literal["dio", "harvest"] = "dio") -> tuple[float, ...]:
    """What a pair, float32[T] each at 16 kHz, adds to pitch errors.

    Squared cents, gross errors and frames where both are voiced; frames where one is and the other not; all frames.
    """
    a, b = (f0(Waveform(samples, RATE), frame_rate=100, method=method).astype(np.float64) for samples in (one, two))
    both = (a > 0) & (b > 0)
    ratio = b[both] / a[both]
    gross = (np.abs(ratio - 1) > GROSS).sum()
    square = np.square(1200 * np.log2(ratio)).sum()
    return float(square), float(gross), float(both.sum()), float(((a > 0) != (b > 0)).sum()), float(len(a))


def _scores(
    name: str,
    measure: Callable[[np.ndarray, np.ndarray], float | None],
    references: Sequence[Waveform],
    copies: Sequence[Waveform],
    bootstrap: Bootstrap | None,
) -> Aligned:
    scores = tuple(measure(one, two) if one.any() and two.any() else None for one, two in pairs(references, copies))
    known = [score for score in scores if score is not None]
    if not known:
        raise BadInput(f"{name} refused all {len(scores)} clips; they hold too little speech for it")
    return Aligned((bootstrap or Bootstrap()).mean(known), len(scores) - len(known), scores, name)


def stoi(references: Sequence[Waveform], copies: Sequence[Waveform], *, bootstrap: Bootstrap | None = None) -> Aligned:
    """Short-time objective intelligibility (Taal et al. 2011) in 0 .. 1, by pystoi. For copies that keep the timing."""
    return _scores("STOI (pystoi)", stoi_of, references, copies, bootstrap)


def stoi_of(one: np.ndarray, two: np.ndarray) -> float | None:
    """Of one pair, float32[T] each at 16 kHz; None where it holds too little speech (0.4 s)."""
    pystoi = optional("pystoi", "eval", "STOI")
    import warnings

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        score = float(pystoi.stoi(one, two, RATE))
    # With too little speech it warns and answers 0.00001, which is no score.
    return None if any("Not enough" in str(one.message) for one in said) else score


def pesq(references: Sequence[Waveform], copies: Sequence[Waveform], *, bootstrap: Bootstrap | None = None) -> Aligned:
    """Wide-band PESQ (ITU-T P.862.2) in about 1.0 .. 4.6, by the package pesq. For copies that keep the timing."""
    return _scores("PESQ wide-band (pesq)", pesq_of, references, copies, bootstrap)


def pesq_of(one: np.ndarray, two: np.ndarray) -> float | None:
    """Of one pair, float32[T] each at 16 kHz; None where the measure finds no speech."""
    package = optional("pesq", "eval", "PESQ")
    try:
        return float(package.pesq(RATE, one, two, "wb"))
    except package.PesqError:
        return None


def si_sdr(
    references: Sequence[Waveform], copies: Sequence[Waveform], *, bootstrap: Bootstrap | None = None
) -> Aligned:
    """Scale-invariant signal-to-distortion ratio in dB; a copy that is the same to a sample is ahead of all others."""
    return _scores("SI-SDR", si_sdr_of, references, copies, bootstrap)


def si_sdr_of(one: np.ndarray, two: np.ndarray) -> float | None:
    """Of one pair, float32[T] each; within -100 .. 100 dB; None where the recording is constant.

    Le Roux et al. 2019, "SDR - half-baked or well done?", equation 3, means taken out.
    """
    reference, copy = (side.astype(np.float64) - side.mean(dtype=np.float64) for side in (one, two))
    power = reference @ reference
    if not power:
        return None
    target = (copy @ reference) / power * reference
    left, right = float(target @ target), float(np.square(copy - target).sum())
    if not left:
        return -100.0  # nothing of the recording is there
    return float(np.clip(10 * np.log10(left / max(right, left * 1e-10)), -100, 100))
