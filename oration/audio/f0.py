"""Fundamental frequency, by WORLD (Morise et al. 2016, doi 10.1587/transinf.2015EDP7457) through pyworld."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from oration.core import BadInput, Waveform


def f0(
    wave: Waveform,
    *,
    frame_rate: int = 100,
    floor: float = 60.0,
    ceiling: float = 400.0,
    method: Literal["dio", "harvest"] = "dio",
) -> np.ndarray:
    """F0 in Hz, float32[ceil(seconds * frame_rate)]; 0 where unvoiced. Frame i is centred at (i + 1/2) / frame_rate.

    Args:
        method: `dio` with StoneMask refinement, or `harvest`, some thirty times slower, with fewer octave errors.

    Raises:
        BadInput: a range that is none.
    """
    if not 0 < floor < ceiling < wave.rate / 2:
        raise BadInput(
            f"F0 is searched between floor and ceiling, 0 < {floor} < {ceiling} < {wave.rate / 2} Hz expected; "
            "change them or resample the recording"
        )
    frames = -(-len(wave) * frame_rate // wave.rate)
    if frames == 0:
        return np.zeros(0, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pkg_resources announces its end at import
        import pyworld
    # WORLD centres frame i at i / rate; half a frame cut off in front moves it to the middle of ours.
    half = wave.rate // (2 * frame_rate)
    sound = np.pad(wave.samples.astype(np.float64), (0, wave.rate // frame_rate))[half:]
    period = 1000.0 / frame_rate
    if method == "harvest":
        track, _ = pyworld.harvest(sound, wave.rate, f0_floor=floor, f0_ceil=ceiling, frame_period=period)
    else:
        rough, times = pyworld.dio(sound, wave.rate, f0_floor=floor, f0_ceil=ceiling, frame_period=period)
        track = pyworld.stonemask(sound, rough, times, wave.rate)
    track = np.where((track >= floor) & (track <= ceiling), track, 0.0)[:frames]
    return np.pad(track, (0, frames - len(track))).astype(np.float32)
