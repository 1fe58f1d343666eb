"""Resampling keeps time, pitch and level, and pieces give what the whole gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.audio.resample import Resampler, resample
from oration.core import BadInput, Waveform

RATES = st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000])


@pytest.mark.parametrize(("source", "target"), [(16000, 8000), (8000, 16000), (44100, 16000), (16000, 24000)])
def test_a_tone_stays_where_and_what_it_is(source, target):
    tone = lambda rate: 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)  # noqa: E731
    changed = resample(Waveform(tone(source), source), target)
    assert changed.rate == target
    np.testing.assert_allclose(changed.samples[400:-400], tone(target)[400:-400], atol=1e-3)


def test_what_does_not_fit_the_new_rate_is_gone():
    high = Waveform(np.sin(2 * np.pi * 7000 * np.arange(16000) / 16000), 16000)
    assert np.abs(resample(high, 8000).samples[200:-200]).max() < 1e-3


@settings(max_examples=60, deadline=None)
@given(RATES, RATES, st.lists(st.integers(0, 700), min_size=1, max_size=8), st.integers(0, 9))
def test_any_cutting_gives_the_same(source, target, lengths, seed):
    samples = np.random.default_rng(seed).normal(0, 0.1, sum(lengths)).astype(np.float32)
    live = Resampler(source, target)
    for _ in range(2):  # after a flush it is as new
        pieces = [live.push(piece) for piece in np.split(samples, np.cumsum(lengths)[:-1])]
        pieces.append(live.flush())
        whole = resample(Waveform(samples, source), target).samples
        assert len(whole) == -(-len(samples) * target // source)
        np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_the_same_rate_changes_nothing():
    wave = Waveform(np.array([0.1, 0.2]), 16000)
    assert resample(wave, 16000) is wave


@pytest.mark.parametrize("rate", [0, -1])
def test_rates_are_above_zero(rate):
    with pytest.raises(BadInput, match="above 0"):
        resample(Waveform(np.zeros(3), 8000), rate)
    with pytest.raises(BadInput, match="above 0"):
        Resampler(rate, 8000)
