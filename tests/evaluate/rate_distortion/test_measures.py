"""What a clip adds to each measure: perfect for the recording itself, nothing where there is no speech."""

from importlib.resources import files

import numpy as np
import pytest

from oration.audio.io import read
from oration.core import OrationError, Waveform
from oration.evaluate.rate_distortion import measures
from oration.evaluate.rate_distortion.measures import MEASURES, measure, missing

RATE = 16_000
SLOW = ("dnsmos", "wer", "voice")


@pytest.fixture(scope="module")
def speech():
    return read(files("oration").joinpath("samples", "1089-134686-0001.flac"), rate=RATE).cut(0.0, 2.0)


def value(found, name):
    one = next(one for one in MEASURES if one.name == name)
    return float(one.value(np.array(found[name])))


def test_a_recording_is_no_distance_from_itself(speech):
    found = measure(speech, speech, None, SLOW)
    assert value(found, "pesq") > 4.6
    assert value(found, "stoi") == pytest.approx(1, abs=1e-3)
    assert value(found, "si_sdr") == 100
    assert [value(found, name) for name in ("mel", "f0", "gross", "voicing")] == [0, 0, 0, 0]
    assert "wer" not in found


@pytest.mark.slow
def test_slow_measures_say_the_same_of_the_recording_and_its_copy(speech):
    one, two = (
        measure(speech, None, "stuff it into you his belly"),
        measure(speech, speech, "stuff it into you his belly"),
    )
    assert value(two, "voice") == pytest.approx(1, abs=1e-4)
    assert set(one) == {"dnsmos", "wer"}
    assert {name: two[name] for name in one} == one
    assert set(two) == {each.name for each in MEASURES}


def test_every_measure_gets_worse_with_noise(speech):
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(speech))
    near, far = (Waveform(speech.samples + share * noise.astype(np.float32), RATE) for share in (0.1, 3.0))
    one, two = (measure(speech, copy, None, SLOW) for copy in (near, far))
    for each in MEASURES:
        if each.name in one and each.name != "gross":
            better = value(one, each.name) - value(two, each.name)
            assert (better > 0) == (each.better == "higher"), each.name


def test_the_recording_alone_has_what_needs_no_copy(speech):
    pytest.importorskip("pocketsphinx")
    found = measure(speech, None, "stuff it into you his belly", ("dnsmos",))
    assert set(found) == {"wer"}
    assert found["wer"][1] == 6
    assert measure(speech, None, None, ("dnsmos",)) == {"wer": None}
    assert measure(speech, None, "?!", ("dnsmos",)) == {"wer": None}


def test_silence_and_nothing_are_no_scores(speech):
    silence = Waveform(np.zeros(len(speech)), RATE)
    found = measure(speech, silence, None, SLOW)
    assert found["pesq"] is None
    assert found["stoi"] is None
    assert value(found, "si_sdr") == -100
    assert found["f0"] == (0, 0)
    assert measure(silence, speech, None, SLOW)["si_sdr"] is None
    nothing = Waveform(np.zeros(0), RATE)
    assert set(measure(nothing, nothing, None, SLOW).values()) == {None}
    short = speech.cut(0.0, 0.05)
    found = measure(short, short, None, SLOW)
    assert found["pesq"] is found["stoi"] is None
    assert found["mel"][1] == 5


def test_a_missing_package_leaves_its_measure_out(speech, monkeypatch):
    def fail(*_):
        raise OrationError("PESQ needs the package 'pesq'")

    monkeypatch.setattr(measures, "pesq_of", fail)
    measures._why_not.cache_clear()
    try:
        assert missing(SLOW) == {"pesq": "PESQ needs the package 'pesq'"}
        assert "pesq" not in measure(speech, speech, None, SLOW)
        assert missing((*SLOW, "pesq")) == {}
    finally:
        measures._why_not.cache_clear()
