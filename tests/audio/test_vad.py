"""Speech is told from silence and noise, the same in pieces, in a batch and at any rate."""

from pathlib import Path

import numpy as np
import pytest

from oration.audio.resample import resample
from oration.audio.vad import HOP, RATE, Ear, EnergyVad, SileroVad, best_vad, listen, speech
from oration.core import BadInput, OrationError, Waveform
from oration.data.manifest import read_manifest

SAMPLES = Path(__file__).parents[2] / "oration" / "samples"


def detectors():
    found = [EnergyVad()]
    try:
        return [SileroVad(), *found]
    except OrationError:
        return found


DETECTORS = detectors()


@pytest.fixture(scope="module")
def clips():
    return [clip.wave(rate=RATE).cut(0.0, 2.0) for clip in read_manifest(SAMPLES)]


@pytest.mark.parametrize("vad", DETECTORS, ids=lambda vad: vad.name)
def test_speech_stands_out_from_silence_before_and_after_it(vad, clips):
    chance = np.random.default_rng(0)
    for clip in clips:
        quiet = (1e-3 * chance.standard_normal(RATE)).astype(np.float32)
        found = speech(Waveform(np.concatenate([quiet, clip.samples, quiet]), RATE), vad)
        inside = found[RATE // HOP + 2 : (RATE + len(clip)) // HOP]
        outside = np.concatenate([found[8 : RATE // HOP], found[-RATE // HOP + 16 :]])
        assert np.mean(inside > 0.5) > 0.5
        assert np.mean(outside > 0.5) < 0.05


@pytest.mark.skipif(DETECTORS[0].name != "silero", reason="silero-vad is not installed")
def test_silero_is_what_is_used_and_takes_noise_for_noise():
    assert best_vad().name == "silero"
    noise = (0.1 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    assert speech(Waveform(noise, RATE)).max() < 0.5


@pytest.mark.parametrize("vad", DETECTORS, ids=lambda vad: vad.name)
@pytest.mark.parametrize("seed", range(6))
def test_any_cutting_gives_what_the_whole_gives(vad, seed, clips):
    chance = np.random.default_rng(seed)
    wave = clips[seed].cut(0.0, 0.6)
    ear, found, at = Ear(vad, RATE), [], 0
    while at < len(wave):
        n = int(chance.integers(1, 4000) if seed else 100)
        ear.push(wave.samples[at : at + n])
        found.append(listen(vad, [ear])[0])
        at += n
    assert np.array_equal(np.concatenate(found), speech(wave, vad))


@pytest.mark.parametrize("vad", DETECTORS, ids=lambda vad: vad.name)
def test_a_batch_of_different_lengths_gives_what_each_alone_gives(vad, clips):
    cut = [clip.cut(0.0, 0.5 + 0.3 * k) for k, clip in enumerate(clips)]
    ears = [Ear(vad, RATE) for _ in cut]
    for ear, wave in zip(ears, cut, strict=True):
        ear.push(wave.samples)
    for found, wave in zip(listen(vad, ears), cut, strict=True):
        assert np.allclose(found, speech(wave, vad), atol=1e-5)


@pytest.mark.parametrize("vad", DETECTORS, ids=lambda vad: vad.name)
def test_other_rates_are_brought_to_its_own(vad, clips):
    same, other = speech(clips[0], vad), speech(resample(clips[0], 24_000), vad)
    n = min(len(same), len(other))
    assert n >= len(same) - 2
    assert np.mean(np.abs(same[:n] - other[:n])) < 0.05


def test_what_is_shorter_than_a_frame_is_refused():
    with pytest.raises(BadInput, match=r"0\.010 s"):
        speech(Waveform(np.zeros(160, np.float32), RATE), EnergyVad())
