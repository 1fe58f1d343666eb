from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import BadInput, Waveform
from oration.tokenizers.f0 import F0
from oration.tokenizers.mel import Mel
from oration.tokenizers.speaker import SpeakerTable


def buzz(hertz: np.ndarray | float, seconds: float, rate: int = 16000) -> Waveform:
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, len(t))) / rate
    return Waveform(0.1 * sum(np.sin(k * phase) for k in range(1, 9)), rate)


@given(st.lists(st.one_of(st.just(0.0), st.floats(60, 399.9)), max_size=30))
def test_hertz_undoes_ids_within_half_a_bin(track):
    pitch = F0()
    ids = pitch.ids(np.array(track))
    back = pitch.hertz(ids)
    assert np.array_equal(ids, pitch.ids(back))
    for before, after in zip(track, back, strict=True):
        assert (before == 0) == (after == 0)
        assert before == 0 or abs(np.log(after / before)) <= np.log(400 / 60) / 64 / 2 + 1e-9


def test_pitch_beyond_the_range_lands_in_the_outer_bins():
    assert F0().ids(np.array([20.0, 900.0, 0.0])).tolist() == [0, 63, 64]


@pytest.mark.parametrize("method", ["dio", "harvest"])
def test_it_hears_a_pitch(method):
    pitch = F0(method=method)
    (example,) = pitch.encode([buzz(200.0, 1.0)])
    assert len(example["f0"]) == 100
    heard = pitch.hertz(example["f0"].ids[10:-10])
    assert np.median(np.abs(heard - 200)) < 5
    (quiet,) = pitch.encode([Waveform(np.zeros(8000), 16000)])
    assert (quiet["f0"].ids == pitch.unvoiced).all()


def test_a_long_recording_is_heard_a_minute_at_a_time():
    seconds = 125.0
    sweep = 120 + 60 * np.sin(np.arange(round(seconds * 8000)) / 8000 * 2 * np.pi / 7)
    pitch = F0()
    (example,) = pitch.encode([buzz(sweep, seconds, 8000)])
    assert len(example["f0"]) == 12500
    heard, truth = pitch.hertz(example["f0"].ids), sweep[40::80][:12500]
    for joint in (6000, 12000):
        span = slice(joint - 50, joint + 50)
        assert np.median(np.abs(heard[span] - truth[span])) < 6


def test_wrong_ranges_are_refused():
    with pytest.raises(BadInput, match="0 < floor < ceiling"):
        F0(floor=400, ceiling=60)


def test_a_speaker_is_its_place_in_the_table():
    table = SpeakerTable(names=("ann", "bob"))
    assert table.label(SimpleNamespace(speaker="bob"))["speaker"].ids.tolist() == [1]
    assert table.specs()["speaker"].size == 2
    with pytest.raises(BadInput, match="'eve' is not in the table; it has ann, bob"):
        table.index("eve")
    with pytest.raises(BadInput, match="each once"):
        SpeakerTable(names=("ann", "ann"))
    open_table = SpeakerTable(names=("ann", "bob"), others=True)
    assert open_table.index("eve") == open_table.index(None) == 2
    assert open_table.specs()["speaker"].size == 3


def test_mel_is_the_transform_it_names():
    mel = Mel()
    wave = buzz(150.0, 0.5)
    (example,) = mel.encode([wave])
    import torch

    assert np.allclose(example["mel"].values, mel.logmel(torch.from_numpy(wave.samples)).numpy(), atol=1e-5)
    assert mel.specs()["mel"].dim == 80
