"""The delay of a system is found whatever the system does to the sound, and none is invented."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.audio.griffin_lim import griffin_lim
from oration.audio.io import read
from oration.audio.mel import LogMel
from oration.core import BadInput, Waveform
from oration.evaluate.rate_distortion.lag import BOUND, RATE, find, undo


@pytest.fixture(scope="module")
def speech():
    from importlib.resources import files

    names = ("kathleen-arctic_a0479", "1089-134686-0001")
    return [read(files("oration").joinpath("samples", f"{name}.flac"), rate=RATE) for name in names]


def late(wave, samples):
    moved = np.roll(wave.samples, samples)
    moved[:samples] = 0
    return Waveform(moved if samples >= 0 else np.pad(wave.samples[-samples:], (0, -samples)), wave.rate)


@settings(max_examples=12, deadline=None)
@given(st.integers(-round(BOUND * RATE), round(BOUND * RATE)), st.floats(0.05, 2.0))
def test_a_copy_that_follows_the_wave_is_placed_to_the_sample(speech, samples, level):
    rng = np.random.default_rng(abs(samples))
    copies = [
        Waveform(level * (late(wave, samples).samples + 0.01 * rng.standard_normal(len(wave))), RATE) for wave in speech
    ]
    found = find(speech, copies)
    assert found.samples == samples
    assert found.wave > 0.5
    back = undo(copies[0], found, len(speech[0]))
    assert len(back) == len(speech[0])
    inside = slice(2000, -2000)
    assert np.corrcoef(back.samples[inside], speech[0].samples[inside])[0, 1] > 0.9


def test_a_copy_without_the_phase_is_placed_to_some_milliseconds(speech):
    mel = LogMel(window=800, hop=320, fft=1024)
    import torch

    again = [griffin_lim(mel(torch.from_numpy(wave.samples)[None])[0], mel, 8) for wave in speech]
    assert find(speech, again).samples == 0
    found = find(speech, [late(wave, 600) for wave in again])
    assert abs(found.samples - 600) <= 64
    assert found.wave < 0.5 < found.loudness


def test_noise_and_silence_have_no_delay(speech):
    rng = np.random.default_rng(0)
    noise = [Waveform(0.1 * rng.standard_normal(len(wave)), RATE) for wave in speech]
    assert find(speech, noise).samples == 0
    silence = [Waveform(np.zeros(len(wave)), RATE) for wave in speech]
    assert find(speech, silence).samples == 0
    assert find(silence, silence).samples == 0


def test_undone_copies_are_as_long_as_the_recordings(speech):
    lag = find(speech, [late(wave, 40) for wave in speech])
    assert lag.seconds == pytest.approx(0.0025)
    short = Waveform(np.ones(50), RATE)
    assert undo(short, lag, 30).samples.tolist() == [1.0] * 10 + [0.0] * 20
    early = find(speech, [late(wave, -40) for wave in speech])
    assert undo(short, early, 60).samples.tolist() == [0.0] * 40 + [1.0] * 20


def test_bad_input(speech):
    with pytest.raises(BadInput, match="one a recording"):
        find(speech, speech[:1])
    with pytest.raises(BadInput, match="16000 Hz"):
        find(speech[:1], [Waveform(speech[0].samples, 8000)])
