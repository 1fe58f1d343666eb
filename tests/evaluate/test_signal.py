"""Distances between recordings that run in step, on sounds whose distance is known."""

import math

import numpy as np
import pytest

from oration.core import BadInput, Waveform
from oration.evaluate.signal import f0_error, mel_distance, pesq, si_sdr, stoi

RATE = 16_000


def voice(hertz, seconds=1.0, level=0.1, rate=RATE):
    """A buzz with the loudness of syllables."""
    t = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 20))
    return level * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))


def test_mel_distance_is_in_nats():
    rng = np.random.default_rng(0)
    waves = [Waveform(0.05 * rng.normal(size=RATE), RATE) for _ in range(3)]
    twice = [Waveform(2 * wave.samples, RATE) for wave in waves]
    assert mel_distance(waves, waves).value == 0
    assert mel_distance(waves, twice).value == pytest.approx(math.log(2), rel=1e-3)
    longer = [Waveform(np.r_[wave.samples, np.ones(500)], RATE) for wave in waves]
    assert mel_distance(waves, longer).value == pytest.approx(0, abs=1e-6)


def test_pitch_errors_are_in_cents():
    low = [Waveform(voice(150), RATE)] * 2
    semitone = [Waveform(voice(150 * 2 ** (1 / 12)), RATE)] * 2
    octave = [Waveform(voice(300), RATE)] * 2
    assert f0_error(low, low).cents.value == 0
    near = f0_error(low, semitone)
    assert near.cents.value == pytest.approx(100, abs=3)
    assert near.gross.value == 0
    assert f0_error(low, octave).gross.value > 0.95


def test_voicing_errors_are_shares_of_frames():
    tone, noise = voice(150), 0.02 * np.random.default_rng(0).normal(size=RATE)
    half = np.where(np.arange(RATE) < RATE // 2, tone, noise)
    got = f0_error([Waveform(tone, RATE)], [Waveform(half, RATE)])
    assert got.voicing.value == pytest.approx(0.5, abs=0.06)
    assert got.cents.value < 20
    silent = f0_error([Waveform(np.zeros(RATE), RATE)], [Waveform(tone, RATE)])
    assert math.isnan(silent.cents.value)
    assert silent.both_voiced == 0


def test_intelligibility_and_quality_fall_with_noise():
    rng = np.random.default_rng(0)
    clean = [Waveform(voice(f, 2.0), RATE) for f in (120, 180)]
    noisy = [Waveform(wave.samples + 0.1 * rng.normal(size=len(wave)).astype(np.float32), RATE) for wave in clean]
    assert stoi(clean, clean).mean.value == pytest.approx(1, abs=1e-3)
    assert stoi(clean, noisy).mean.value < 0.8
    assert pesq(clean, clean).mean.value > 4.5
    assert pesq(clean, noisy).mean.value < 2


@pytest.mark.parametrize("measure", [stoi, pesq])
def test_refused_clips_are_counted_not_scored(measure):
    clean, silent = Waveform(voice(120, 2.0), RATE), Waveform(np.zeros(2 * RATE), RATE)
    got = measure([clean, silent], [clean, clean])
    assert got.missing == 1
    assert got.scores[1] is None
    assert got.mean.n == 1
    with pytest.raises(BadInput, match="refused all 1"):
        measure([silent], [clean])


def test_bad_input():
    wave, empty = Waveform(np.ones(800), RATE), Waveform(np.zeros(0), RATE)
    with pytest.raises(BadInput, match="1 copies of 2"):
        mel_distance([wave, wave], [wave])
    with pytest.raises(BadInput, match="clip 1"):
        f0_error([wave, wave], [wave, empty])
    with pytest.raises(BadInput, match="0 copies of 0"):
        mel_distance([], [])


def test_distortion_is_in_decibels_whatever_the_loudness():
    rng = np.random.default_rng(0)
    clean = [Waveform(0.1 * rng.standard_normal(RATE), RATE) for _ in range(3)]
    noise = [0.01 * rng.standard_normal(RATE) for _ in clean]
    copies = [Waveform(0.3 * (wave.samples + one) + 0.2, RATE) for wave, one in zip(clean, noise, strict=True)]
    assert si_sdr(clean, copies).mean.value == pytest.approx(20, abs=0.2)
    assert si_sdr(clean, clean).mean.value == 100
    assert si_sdr(clean, [Waveform(np.ones(RATE), RATE)] * 3).scores == (-100.0,) * 3
