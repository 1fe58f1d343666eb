"""F0 of sounds whose F0 is known."""

import numpy as np
import pytest

from oration.audio.f0 import f0
from oration.core import BadInput, Waveform


@pytest.mark.parametrize("method", ["dio", "harvest"])
@pytest.mark.parametrize("rate", [16000, 24000])
def test_a_glide_is_followed_frame_by_frame(method, rate):
    time = np.arange(rate * 3 // 2) / rate
    truth = 110 * 2 ** (time / 1.5)
    phase = 2 * np.pi * np.cumsum(truth) / rate
    sound = sum(np.sin(k * phase) / k for k in range(1, 15)) * 0.2
    track = f0(Waveform(sound, rate), method=method)
    assert track.dtype == np.float32
    assert len(track) == 150
    centres = (np.arange(150) + 0.5) / 100
    inside = slice(10, 140)
    assert (track[inside] > 0).all()
    # 1 % is less than the glide moves in two frames, so a shift in time would show.
    np.testing.assert_allclose(track[inside], 110 * 2 ** (centres[inside] / 1.5), rtol=0.006)


def test_pauses_and_noise_have_none(voice):
    track = f0(voice)
    assert (track[85:110] == 0).all()
    assert (track[5:70] > 0).mean() > 0.9
    assert (f0(Waveform(np.zeros(16000), 16000)) == 0).all()


@pytest.mark.parametrize("length", [0, 1, 79, 160, 161, 3333])
def test_there_is_a_value_for_every_frame(length):
    wave = Waveform(np.random.default_rng(0).normal(0, 0.1, length), 16000)
    track = f0(wave)
    assert len(track) == -(-length // 160)
    assert ((track == 0) | ((track >= 60) & (track <= 400))).all()
    assert len(f0(wave, frame_rate=50)) == -(-length // 320)


@pytest.mark.parametrize("span", [{"floor": 0}, {"floor": 400}, {"ceiling": 9000}])
def test_a_range_that_is_none(span):
    with pytest.raises(BadInput, match="floor and ceiling"):
        f0(Waveform(np.zeros(1600), 16000), **span)
