"""Each way a file can be bad gets one sentence, and nothing is lost or half-written."""

import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from oration.audio.io import blocks, info, read, write
from oration.core import BadInput, Waveform

NOISE = Waveform(np.random.default_rng(0).uniform(-1, 1, 64000).astype(np.float32), 16000)


def one_sentence(said: str, *parts: str) -> None:
    assert "\n" not in said
    assert not re.search(r"\. [A-Z]", said), said
    assert not said.endswith(".")
    assert any(mark in said for mark in (";", "expected")), said
    for part in parts:
        assert part in said, said


def refused(path, *parts: str) -> None:
    """All three ways to open a file say the same."""
    for way in (info, read, lambda p: list(blocks(p))):
        with pytest.raises(BadInput) as error:
            way(path)
        one_sentence(str(error.value), str(path), *parts)


def test_not_audio(tmp_path):
    (tmp_path / "a.wav").write_text("this is a letter, not a recording")
    refused(tmp_path / "a.wav", "is not audio")


def test_empty_file(tmp_path):
    (tmp_path / "a.wav").touch()
    refused(tmp_path / "a.wav", "0 bytes")


def test_no_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16000)
    refused(tmp_path / "a.wav", "no samples")


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "a.wav", "does not exist")
    refused(tmp_path, "is a folder")


def test_samples_that_are_not_numbers(tmp_path):
    samples = np.zeros((16000, 2), np.float32)
    samples[12000, 1] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    for way in (read, lambda p: list(blocks(p, seconds=0.1))):
        with pytest.raises(BadInput) as error:
            way(tmp_path / "a.wav")
        one_sentence(str(error.value), "nan", "at 0.750 s", "a.wav")
    assert len(read(tmp_path / "a.wav", stop=0.7)) == 11200


def test_broken_off(tmp_path):
    path = write(NOISE, tmp_path / "a.flac")
    path.write_bytes(path.read_bytes()[:40000])
    for way in (read, lambda p: list(blocks(p, seconds=0.1))):
        with pytest.raises(BadInput, match="breaks off") as error:
            way(path)
        one_sentence(str(error.value), "a.flac")


@pytest.mark.parametrize(("start", "stop"), [(5, None), (-1, None), (2, 1), (1, 1)])
def test_a_part_that_is_not_there(tmp_path, start, stop):
    path = write(NOISE, tmp_path / "a.wav")
    with pytest.raises(BadInput, match=r"lasts 4\.000 s") as error:
        read(path, start=start, stop=stop)
    one_sentence(str(error.value))


def test_no_permission_to_read(open_folder, without_privileges):
    path = write(NOISE, open_folder / "a.wav")
    path.chmod(0o000)
    one_sentence(without_privileges(lambda: read(path)), "no permission", str(path))


def test_no_permission_to_write(open_folder, without_privileges):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    one_sentence(without_privileges(lambda: str(write(NOISE, closed / "a.wav"))), "no permission", "a.wav")
    assert not list(closed.iterdir())


def test_full_disk(full_disk):
    first = write(NOISE.cut(0, 0.5), full_disk / "a.wav")
    before = first.read_bytes()
    for target in (full_disk / "b.wav", first):
        with pytest.raises(BadInput) as error:
            write(NOISE, target, overwrite=True)
        one_sentence(str(error.value), "no space left", str(target))
    assert [path.name for path in full_disk.iterdir()] == ["a.wav"]
    assert first.read_bytes() == before


def test_file_size_limit(tmp_path, with_file_limit):
    before = write(NOISE.cut(0, 0.5), tmp_path / "a.wav").read_bytes()
    said = with_file_limit(50_000, lambda: str(write(NOISE, tmp_path / "a.wav", overwrite=True)))
    one_sentence(said, "larger than this system allows", "a.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "wave", "part"),
    [
        ("a.xyz", NOISE, "expected one of .wav"),
        ("none/a.wav", NOISE, "does not exist"),
        ("a.opus", Waveform(NOISE.samples, 22050), "resample"),
        ("a.flac", Waveform(NOISE.samples, 1_000_000), "resample"),
        ("a.wav", Waveform(np.zeros(0), 16000), "no samples"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, wave, part):
    with pytest.raises(BadInput) as error:
        write(wave, tmp_path / name)
    one_sentence(str(error.value), part)
    assert not list(tmp_path.iterdir())


def test_writing_over_a_folder(tmp_path):
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        write(NOISE, tmp_path / "a.wav", overwrite=True)


MEASURE = """
import resource, sys
import numpy as np
from oration.audio.io import blocks
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for block in blocks(sys.argv[1], rate=8000, stop=60): pass
before, seconds = peak(), 0.0
for block in blocks(sys.argv[1], rate=8000): seconds += block.seconds
print(seconds, peak() - before)
"""


def test_two_hours_in_bounded_memory(tmp_path):
    """230 MB of samples; a minute of it and two hours of it need the same memory."""
    path, size = tmp_path / "long.wav", 2 * 3600 * 16000 * 2
    header = (
        b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    )
    path.write_bytes(header + b"data" + struct.pack("<I", size))
    os.truncate(path, 44 + size)  # a hole in the file: two hours of silence that take no place
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds == pytest.approx(7200)
    assert megabytes < 16
