"""A conversation from the command line, with a file on each side."""

import numpy as np
import pytest
import soundfile

from oration.commands.talk import run
from oration.core import BadInput


def talk(tmp_path, **changed):
    options = {
        "heard": None, "out": tmp_path / "both.wav", "model": None, "kind": "echo", "fast": True, "seconds": 1.0,
        "after": 0.5, "temperature": 0.8, "seed": 0, "voice": None, "weights": "fp32", "overwrite": False,
    }  # fmt: skip
    return run(**{**options, **changed})


@pytest.fixture
def question(tmp_path):
    path = tmp_path / "question.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(24_000) / 20), 24_000)
    return path


def test_it_writes_both_sides_and_sums_up(tmp_path, question, capsys):
    talk(tmp_path, heard=question)
    both, rate = soundfile.read(tmp_path / "both.wav")
    assert rate == 24_000
    assert both.shape == (36_000, 2)
    assert np.allclose(both[:22_000, 0], both[1920 - 480 : 22_000 + 1920 - 480, 1], atol=1e-3)
    said = capsys.readouterr().out
    assert "Ledger of the echo engine" in said
    assert "heard of you" in said


def test_what_does_not_go_together_is_told(tmp_path, question):
    with pytest.raises(BadInput, match="--fast goes with"):
        talk(tmp_path, heard=question, out=None)
    with pytest.raises(BadInput, match="--seconds 0"):
        talk(tmp_path, heard=question, seconds=0.0)
    with pytest.raises(BadInput, match="both.mp3"):
        talk(tmp_path, heard=question, out=tmp_path / "both.mp3")
    with pytest.raises(BadInput, match="no engine 'x'"):
        talk(tmp_path, heard=question, kind="x")
