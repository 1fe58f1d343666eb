"""Codecs of others: their bits are those of their streams, and what is not there is said."""

import io
import shutil
from fractions import Fraction
from importlib.resources import files

import numpy as np
import pytest
import soundfile

from oration.audio.io import read
from oration.core import BadInput, Waveform
from oration.evaluate.rate_distortion.peers import FRAMES, Codec2, GriffinLim, Opus, packets, peers

RATE = 16_000


@pytest.fixture(scope="module")
def speech():
    return read(files("oration").joinpath("samples", "kathleen-arctic_a0479.flac"), rate=RATE)


def test_opus_takes_what_its_packets_take(speech):
    taken = {}
    for kbps in (6, 12, 24):
        system = Opus(kbps)
        assert system.trouble() is None
        coded = system.code(0, speech)
        assert coded.wave.rate == RATE
        assert len(coded.wave) == len(speech)
        taken[kbps] = coded.bits / speech.seconds / 1000
        assert taken[kbps] == pytest.approx(kbps, rel=0.2)
    assert taken[6] < taken[12] < taken[24]
    assert Opus(12).code(0, speech).bits == Opus(12).code(1, speech).bits
    assert "libopus" in Opus(12).how


def test_packets_of_an_ogg_file_are_all_its_content(speech):
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, "OPUS", format="OGG") as sound:
        sound.write(speech.samples[:RATE])
    found = packets(file.getvalue())
    assert found[0].startswith(b"OpusHead")
    assert found[1].startswith(b"OpusTags")
    assert 50 <= len(found) - 2 <= 54, "a second is 50 packets of 20 ms, and some for the look-ahead"
    assert sum(map(len, found)) < len(file.getvalue())
    with pytest.raises(BadInput, match="OggS"):
        packets(b"RIFF" + bytes(60))


@pytest.mark.skipif(not (shutil.which("c2enc") and shutil.which("c2dec")), reason="codec2 is not installed")
@pytest.mark.parametrize("mode", FRAMES)
def test_codec2_takes_the_bits_of_its_name(speech, mode):
    coded = Codec2(mode).code(0, speech)
    assert coded.bits / speech.seconds == pytest.approx(int(mode.rstrip("C")), rel=0.03)
    assert coded.wave.rate == RATE
    assert len(coded.wave) >= len(speech) + 0.02 * RATE, "room for its delay"
    assert coded.wave.samples.std() == pytest.approx(speech.samples.std(), rel=0.7)


def test_what_is_not_installed_is_said(monkeypatch, tmp_path, speech):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Codec2("3200").trouble() == "c2enc and c2dec not found; install Debian's package codec2"
    with pytest.raises(BadInput, match="leave out the reference codec2:3200"):
        Codec2("3200").code(0, speech)


@pytest.mark.parametrize("frames", [Fraction(25, 2), Fraction(50), Fraction(75), Fraction(44_100, 2048), Fraction(86)])
def test_griffin_lim_has_the_frames_of_the_codec(frames):
    mel = GriffinLim(frames).mel
    assert mel.frame_rate == pytest.approx(float(frames), rel=0.01)
    t = np.arange(RATE // 2) / RATE
    wave = Waveform(0.1 * np.sin(2 * np.pi * 220 * t), RATE)
    coded = GriffinLim(frames).code(0, wave)
    assert coded.bits is None
    assert coded.wave.seconds == pytest.approx(wave.seconds, abs=0.001)


def test_names_of_references():
    found = peers(["opus:6", "opus:6.5", "codec2:700C", "griffin-lim", "griffin-lim:25", "opus:6"], [Fraction(50)])
    assert found == [Opus(6), Opus(6.5), Codec2("700C"), GriffinLim(Fraction(50)), GriffinLim(Fraction(25))]
    assert [one.setting for one in found] == ["6 kbit/s", "6.5 kbit/s", "700C bit/s", "50 frames/s", "25 frames/s"]
    assert peers(["griffin-lim"], [Fraction(50), Fraction(50), Fraction(12)])[1:] == [GriffinLim(Fraction(12))]


@pytest.mark.parametrize("text", ["opus", "opus:", "opus:5", "opus:nan", "opus:1e9", "opus:six", "codec2:9", "codec2"])
def test_unknown_rates_are_told(text):
    with pytest.raises(BadInput, match=f"--reference {text}: .*(opus:24|codec2:3200)"):
        peers([text])


@pytest.mark.parametrize("text", ["mp3:64", "griffin-lim:0", "griffin-lim:x", ""])
def test_unknown_references_are_told(text):
    with pytest.raises(BadInput, match=f"--reference {text}: expected"):
        peers([text])
    with pytest.raises(BadInput, match="griffin-lim:50"):
        peers(["griffin-lim"])
