"""Recordings harmed the way text programs harm them come back, and sound ones stay as they are."""

import numpy as np
import pytest

from oration.core import Waveform
from oration.evaluate.mend import mend_newlines

RATE = 16_000


def voice(seed, seconds=1.0):
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = 110 + 20 * np.sin(2 * np.pi * 2 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sound = sum(np.sin(k * phase + k) / k for k in range(1, 15)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * t))
    return np.round(32768 * (0.12 * sound + 0.001 * rng.normal(size=len(t)))).astype("<i2")


def harmed(samples):
    data = samples.tobytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2"), len(samples) * 2 - len(data)


@pytest.mark.parametrize("seed", range(4))
def test_lost_bytes_are_put_back(seed):
    samples = voice(seed)
    broken, lost = harmed(samples)
    # A byte that is surely lost, wherever chance put others.
    if not lost:
        samples[6000] = 0x0A0D
        broken, lost = harmed(samples)
    assert lost
    got = mend_newlines(Waveform(broken / 32768, RATE))
    assert got.lost_bytes == lost
    back = np.round(got.wave.samples * 32768)
    n = min(len(back), len(samples))
    assert abs(len(back) - len(samples)) <= 1
    same = min(n, len(broken))
    before = np.abs(broken[:same].astype(float) - samples[:same])
    after = np.abs(back[:n] - samples[:n])
    assert (after > 100).mean() < 0.02
    assert after.sum() < 0.05 * before.sum()


def test_clicks_are_mostly_found_and_seldom_invented():
    hits = misses = wrong = 0
    for seed in range(10, 18):
        samples = voice(seed)
        was = samples >> 8 == 0x0D
        broken = np.where(was, samples - 768, samples)
        back = np.round(mend_newlines(Waveform(broken / 32768, RATE)).wave.samples * 32768)
        now = back - broken > 700
        hits, misses, wrong = hits + (was & now).sum(), misses + (was & ~now).sum(), wrong + (~was & now).sum()
    assert hits > 5 * misses
    assert wrong < 0.1 * hits


def test_a_sound_recording_stays_as_it_is():
    for samples in (voice(0), np.zeros(RATE, "<i2"), np.zeros(1, "<i2"), np.zeros(0, "<i2")):
        wave = Waveform(samples / 32768, RATE)
        got = mend_newlines(wave)
        assert (got.lost_bytes, got.clicks) == (0, 0)
        assert (got.wave.samples == wave.samples).all()


def test_loud_noise_is_not_taken_for_harm():
    noise = np.random.default_rng(0).normal(0, 0.2, RATE)
    assert mend_newlines(Waveform(noise, RATE)).lost_bytes == 0
