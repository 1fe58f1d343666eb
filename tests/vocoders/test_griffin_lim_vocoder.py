import numpy as np
import pytest
import torch

from oration.core import BadInput, Stream
from oration.vocoders import GriffinLim


def test_a_tone_comes_back_as_a_tone():
    t = np.arange(8000) / 16000
    tone = torch.from_numpy((0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32))
    vocoder = GriffinLim()
    (wave,) = vocoder.decode([{"mel": Stream.dense(vocoder.mel(tone[None])[0].numpy())}])
    assert wave.rate == vocoder.rate == 16000
    assert len(wave) == 8000
    peak = np.abs(np.fft.rfft(wave.samples * np.hanning(8000))).argmax() * 2
    assert abs(peak - 440) < 30


def test_an_example_without_mel_is_refused():
    with pytest.raises(BadInput, match="'mel'"):
        GriffinLim().decode([{"units": Stream(np.zeros(3, np.int64))}])
