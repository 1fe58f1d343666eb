"""Recordings survive a round trip, and what is odd but usable is used."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.audio.io import blocks, info, read, write, write_channels
from oration.audio.resample import resample
from oration.core import BadInput, Waveform


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_lossless_formats_give_back_16_bits(tmp_path, voice, suffix):
    path = write(voice, tmp_path / f"a{suffix}")
    again = read(path)
    assert again.rate == voice.rate
    assert len(again) == len(voice)
    np.testing.assert_allclose(again.samples, voice.samples, atol=0.5001 / 32768)
    np.testing.assert_array_equal(read(write(again, tmp_path / f"b{suffix}")).samples, again.samples)


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_lossy_formats_keep_length_and_sound(tmp_path, voice, suffix):
    again = read(write(voice, tmp_path / f"a{suffix}"))
    assert (again.rate, len(again)) == (voice.rate, len(voice))
    assert np.corrcoef(again.samples, voice.samples)[0, 1] > 0.95


def test_info_reads_the_header(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((22050, 2)), 44100, subtype="PCM_24")
    about = info(tmp_path / "a.wav")
    assert (about.seconds, about.rate, about.channels, about.subtype) == (0.5, 44100, 2, "PCM_24")


def test_writing_does_not_overwrite_unless_told(tmp_path, voice):
    path = write(voice, tmp_path / "a.wav")
    before = path.read_bytes()
    with pytest.raises(BadInput, match="exists and would be lost"):
        write(voice.cut(0, 0.5), path)
    assert path.read_bytes() == before
    write(voice.cut(0, 0.5), path, overwrite=True)
    assert read(path).seconds == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_written_file_is_as_private_as_any_other(tmp_path, voice):
    (tmp_path / "plain").write_text("x")
    assert write(voice, tmp_path / "a.wav").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_louder_than_one_is_clipped_when_written(tmp_path):
    loud = Waveform(np.array([2.0, -3.0, 0.5]), 16000)
    np.testing.assert_allclose(read(write(loud, tmp_path / "a.wav")).samples, [1, -1, 0.5], atol=1e-4)


# What is merely odd works.


def test_channels_are_averaged(tmp_path):
    left, right = np.full(100, 0.5), np.full(100, -0.25)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(read(tmp_path / "a.wav").samples, 0.125)


def test_24_bits_keep_their_precision(tmp_path, voice):
    soundfile.write(tmp_path / "a.wav", voice.samples, 16000, subtype="PCM_24")
    np.testing.assert_allclose(read(tmp_path / "a.wav").samples, voice.samples, atol=2**-23)


@pytest.mark.parametrize("rate", [8000, 48000])
def test_other_rates_are_resampled_on_request(tmp_path, voice, rate):
    path = write(resample(voice, rate), tmp_path / "a.wav")
    assert read(path).rate == rate
    again = read(path, rate=16000)
    assert (again.rate, len(again)) == (16000, len(voice))
    inside = slice(500, -500)
    assert np.corrcoef(again.samples[inside], voice.samples[inside])[0, 1] > 0.99


def test_silence_clipping_and_one_sample_are_recordings(tmp_path):
    for name, samples in {
        "silence": np.zeros(1600),
        "clipped": np.sign(np.sin(np.arange(1600))),
        "one": [0.25],
    }.items():
        path = write(Waveform(np.asarray(samples), 16000), tmp_path / f"{name}.wav")
        again = read(path, rate=16000)
        np.testing.assert_allclose(again.samples, samples, atol=1e-4)
        assert len(read(path, rate=8000)) == -(-len(samples) // 2)


# Parts and blocks are the whole.


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus"])
def test_a_part_of_a_file_is_that_part_of_the_recording(tmp_path, voice, suffix):
    path = write(voice, tmp_path / f"a{suffix}")
    whole = read(path)
    np.testing.assert_array_equal(read(path, start=0.3, stop=0.9).samples, whole.cut(0.3, 0.9).samples)
    np.testing.assert_array_equal(read(path, start=0.3, stop=99).samples, whole.cut(0.3).samples)


@pytest.fixture(scope="module")
def files(tmp_path_factory, voice):
    folder = tmp_path_factory.mktemp("blocks")
    for rate in (8000, 16000, 22050, 44100):
        write(resample(voice, rate), folder / f"{rate}.flac")
    return folder


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([8000, 16000, 22050, 44100]),
    st.sampled_from([None, 8000, 16000, 24000]),
    st.floats(0.01, 2),
    st.booleans(),
)
def test_blocks_make_up_what_read_gives(files, source, rate, seconds, part):
    span = {"start": 0.25, "stop": 1.25} if part else {}
    path = files / f"{source}.flac"
    pieces = list(blocks(path, rate=rate, seconds=seconds, **span))
    whole = read(path, rate=rate, **span)
    assert {piece.rate for piece in pieces} == {whole.rate}
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in pieces]), whole.samples)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_channels_stand_side_by_side(tmp_path, voice, suffix):
    other = Waveform(voice.samples[::-1] * 0.5, voice.rate)
    path = write_channels((voice, other), tmp_path / f"call{suffix}")
    assert info(path).channels == 2
    for channel, wave in enumerate((voice, other)):
        np.testing.assert_allclose(read(path, channel=channel).samples, wave.samples, atol=0.5001 / 32768)
    np.testing.assert_allclose(read(path).samples, (voice.samples + other.samples) / 2, atol=1 / 32768)
    part = read(path, channel=1, start=0.1, stop=0.3, rate=8000)
    assert len(part) == pytest.approx(1600, abs=1)
    with pytest.raises(BadInput, match="2 channels, so there is no channel 2"):
        read(path, channel=2)
    with pytest.raises(BadInput, match="one length and rate"):
        write_channels((voice, voice.cut(0.1)), tmp_path / "b.wav")
    with pytest.raises(BadInput, match="mix its channels"):
        write_channels((voice, voice), tmp_path / "b.opus")
    with pytest.raises(BadInput, match="exists"):
        write_channels((voice, voice), path)
