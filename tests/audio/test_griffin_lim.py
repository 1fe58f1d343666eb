"""Griffin-Lim gives back a recording that looks like the mel it came from."""

import numpy as np
import pytest
import torch

from oration.audio.griffin_lim import griffin_lim, linear
from oration.audio.mel import LogMel, mel_filters
from oration.core import BadInput

MEL = LogMel()


def test_the_mel_of_the_result_is_the_mel_asked_for(voice):
    asked = MEL(torch.from_numpy(voice.samples))
    gap = lambda wave: (MEL(torch.from_numpy(wave.samples)) - asked).abs().mean().item()  # noqa: E731
    result = griffin_lim(asked.numpy(), MEL)
    assert result.rate == 16000
    assert len(result) == len(asked) * MEL.hop
    assert gap(result) < 0.25
    assert gap(result) < gap(griffin_lim(asked, MEL, iterations=2))


def test_chance_has_a_seed(voice):
    asked = MEL(torch.from_numpy(voice.samples))[:30]
    first = griffin_lim(asked, MEL, 3)
    torch.rand(1)
    np.testing.assert_array_equal(first.samples, griffin_lim(asked, MEL, 3).samples)
    assert not np.array_equal(first.samples, griffin_lim(asked, MEL, 3, seed=1).samples)


def test_the_linear_spectrum_has_that_mel_and_nothing_below_zero(voice):
    asked = MEL(torch.from_numpy(voice.samples))
    magnitude = linear(asked, MEL)
    assert (magnitude >= 0).all()
    again = (magnitude @ mel_filters(16000, 80, 512)).clamp(min=1e-5).log()
    assert (again - asked).abs().mean() < 1e-2


def test_no_frames_and_one_frame_of_silence():
    assert len(griffin_lim(np.zeros((0, 80)), MEL)) == 0
    quiet = griffin_lim(np.full((1, 80), np.log(1e-5)), MEL)
    assert len(quiet) == 160
    assert np.abs(quiet.samples).max() < 1e-3


def test_another_mel_is_refused():
    with pytest.raises(BadInput, match=r"float\[F, 80\]"):
        griffin_lim(np.zeros((5, 40)), MEL)
    with pytest.raises(BadInput, match="at least 1"):
        griffin_lim(np.zeros((5, 80)), MEL, iterations=0)
