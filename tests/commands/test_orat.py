"""`oration encode` to .orat and back, what `show` says of one, and what is told of damage and of the wrong model."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oration import cli
from oration.audio.io import info, read, write, write_blocks
from oration.commands.orat import settings, version_of
from oration.core import TICKS, BadInput, Spec, Stream, Waveform
from oration.core.container import Reader, Writer
from oration.core.container import about as heads
from oration.core.container.search import scan
from oration.model import SpeechLM
from oration.recipe import find
from oration.tokenizers import F0, MelRvq


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    """A folder with a codec of eight levels."""
    folder = tmp_path_factory.mktemp("codec") / "model"
    SpeechLM(find("codec_mel").tiny()).save(folder)
    return folder


@pytest.fixture(scope="module")
def recording(hum, tmp_path_factory):
    """5.5 seconds, so that the last block is not full."""
    long = Waveform(np.tile(hum.samples, 3)[:88_000], hum.rate)
    return write(long, tmp_path_factory.mktemp("recording") / "hum.wav")


@pytest.fixture(scope="module")
def coded(recording, tiny_model, tmp_path_factory):
    out = tmp_path_factory.mktemp("coded") / "hum.orat"
    assert call("encode", recording, "-o", out, "--model", tiny_model) == 0
    return out


def call(*arguments):
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def refusal(capsys, *arguments):
    capsys.readouterr()
    assert call(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("oration: ")
    assert said.count("\n") == 1
    return said


def damaged(path, *numbers):
    """The bytes of a file with these blocks hurt."""
    content = bytearray(path.read_bytes())
    places = [(r, at) for r, at in scan(io.BytesIO(bytes(content)), 0, 1 << 20) if r.kind == heads.BLOCK]
    for number in numbers:
        record, at = places[number]
        content[at + record.start] ^= 16
    return bytes(content)


def test_the_same_sound_as_from_json_and_as_long_as_it_was(recording, coded, tiny_model, capsys, tmp_path):
    assert call("encode", recording, "--out", tmp_path / "a.json", "--model", tiny_model) == 0
    for name, streams in (("json", tmp_path / "a.json"), ("orat", coded)):
        assert call("decode", streams, "-o", tmp_path / f"{name}.wav", "--model", tiny_model) == 0
    json, orat = (read(tmp_path / f"{name}.wav") for name in ("json", "orat"))
    assert len(orat) == 88_000
    np.testing.assert_array_equal(orat.samples, json.samples[: len(orat)])
    assert coded.stat().st_size < (tmp_path / "a.json").stat().st_size / 3


def test_a_codec_with_many_levels_goes_through_a_file(recording, codec, capsys, tmp_path):
    for more in ((), ("--no-entropy",)):
        out = tmp_path / f"a{len(more)}.orat"
        assert call("encode", recording, "-o", out, "--model", codec, *more) == 0
        assert "5.5 s as 8 streams in" in capsys.readouterr().out
        assert call("decode", out, "-o", out.with_suffix(".wav"), "--model", codec) == 0
        assert info(out.with_suffix(".wav")).seconds == pytest.approx(5.5, abs=1e-4)
    assert (tmp_path / "a0.wav").read_bytes() == (tmp_path / "a1.wav").read_bytes()
    assert (tmp_path / "a0.orat").stat().st_size < (tmp_path / "a1.orat").stat().st_size


@pytest.mark.parametrize("lost", [(0,), (2,), (1, 2, 5)])
def test_what_is_lost_is_silent_and_told(coded, tiny_model, capsys, tmp_path, lost):
    wrong = tmp_path / "wrong.orat"
    wrong.write_bytes(damaged(coded, *lost))
    assert call("decode", coded, "-o", tmp_path / "whole.wav", "--model", tiny_model) == 0
    assert capsys.readouterr().err == ""
    assert call("decode", wrong, "-o", tmp_path / "wrong.wav", "--model", tiny_model) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"{wrong} is damaged: {len(lost)} block")
    assert said.count("\n") == 1
    whole, left = (read(tmp_path / f"{name}.wav") for name in ("whole", "wrong"))
    assert len(left) == len(whole) == 88_000
    for second in range(6):
        part = left.cut(second, second + 1).samples
        assert (not part.any()) == (second in lost)
    if lost == (1, 2, 5):
        assert "lost: 1.000 to 3.000 s, 5.000 to 5.500 s" in said
        # The first second knows nothing of what follows but the vocoder's look-ahead.
        np.testing.assert_array_equal(left.cut(0, 0.5).samples, whole.cut(0, 0.5).samples)


def test_the_intact_part_of_a_file_that_breaks_off(coded, tiny_model, capsys, tmp_path):
    short = tmp_path / "short.orat"
    places = [at for r, at in scan(io.BytesIO(coded.read_bytes()), 0, 1 << 20) if r.kind == heads.BLOCK]
    short.write_bytes(coded.read_bytes()[: places[3] + 5])
    assert call("decode", short, "-o", tmp_path / "a.wav", "--model", tiny_model) == 0
    assert "lost: 3.000 to 5.500 s" in capsys.readouterr().err
    assert info(tmp_path / "a.wav").seconds == 5.5
    short.write_bytes(coded.read_bytes()[: places[0] + 5])
    said = refusal(capsys, "decode", short, "-o", tmp_path / "b.wav", "--model", tiny_model)
    assert "nothing is left" in said
    short.write_bytes(coded.read_bytes()[:40])
    assert "header" in refusal(capsys, "decode", short, "-o", tmp_path / "b.wav", "--model", tiny_model)
    short.write_bytes(b"RIFF")
    assert "no file of streams" in refusal(capsys, "decode", short, "-o", tmp_path / "b.wav", "--model", tiny_model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "short.orat"]


def test_another_model_is_told(coded, codec, tiny_model, capsys, tmp_path):
    arguments = ("decode", coded, "-o", tmp_path / "a.wav", "--model")
    assert "does not have; decode it with the model" in refusal(capsys, *arguments, codec)
    lm = SpeechLM(find("pocket").tiny().with_set(["tokenizers.0.clusters=21"]))
    lm.save(tmp_path / "larger")
    assert "of 20 symbols at 50 a second, but" in refusal(capsys, *arguments, tmp_path / "larger")
    lm = SpeechLM(find("pocket").tiny())
    lm.part("units").centroids[0] += 1
    lm.save(tmp_path / "other")
    said = refusal(capsys, *arguments, tmp_path / "other")
    assert "of version" in said
    assert "would mean something else" in said


def test_a_version_follows_settings_and_weights_and_nothing_else(tiny_model):
    lm, again = SpeechLM.load(tiny_model), SpeechLM.load(tiny_model)
    version = version_of(lm, ["units", "f0"])
    assert version == version_of(again, ["f0", "units"])
    assert version != version_of(lm, ["units"])
    next(iter(again.part("ulm").state_dict().values())).zero_()
    assert version == version_of(again, ["units", "f0"])
    again.part("units").centroids[0, 0] += 1
    assert version != version_of(again, ["units", "f0"])
    assert settings(MelRvq(levels=2, hertz=None)) == "MelRvq(levels=2)"
    assert settings(F0(floor=50.0)) == "F0(floor=50.0)"


def test_runs_and_durations_are_decoded_where_the_model_knows_them(tiny_model, capsys, tmp_path):
    lm, path = SpeechLM.load(tiny_model), tmp_path / "runs.orat"
    runs = Stream(np.arange(12) % 20, np.arange(12) * TICKS // 4)
    with Writer(path, lm.specs, recipe="mine", rate=16_000) as out:
        out.push({"units.runs": runs, "speaker": Stream(np.array([1]))})
    assert call("decode", path, "-o", tmp_path / "a.wav", "--model", tiny_model) == 0
    whole = info(tmp_path / "a.wav").seconds
    path.write_bytes(damaged(path, 1))
    assert call("decode", path, "-o", tmp_path / "b.wav", "--model", tiny_model) == 0
    assert "lost: 1.000 to 2.000 s" in capsys.readouterr().err
    assert 0 < info(tmp_path / "b.wav").seconds < whole


def test_show_lists_what_is_inside_without_torch(coded, capsys, tmp_path):
    assert call("show", coded) == 0
    said = capsys.readouterr().out
    for wanted in (
        "5.500 s at 16000 Hz, by 'pocket-tiny'",
        "units",
        "f0",
        "coded",
        "kbit/s",
        "6 blocks of 1 s",
        "saves",
    ):
        assert wanted in said, wanted
    assert "damaged" not in said
    assert max(map(len, said.splitlines())) <= 100
    wrong = tmp_path / "wrong.orat"
    wrong.write_bytes(damaged(coded, 4))
    assert call("show", wrong) == 0
    assert "damaged: 1 block of it cannot be read (lost: 4.000 to 5.000 s)" in capsys.readouterr().out
    assert "--text goes with a recipe" in refusal(capsys, "show", coded, "--text", "words")
    assert "a recording goes with a recipe" in refusal(capsys, "show", coded, "hum.wav")
    program = (
        f"import sys\nfrom oration.cli import main\nmain(['show', {str(coded)!r}])\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, env=os.environ)


def test_show_lists_streams_of_every_kind(capsys, tmp_path):
    specs = {"runs": Spec(9), "durations": Spec(32), "text": Spec(300), "mel": Spec(1, 2, 80)}
    onsets = np.arange(30) * TICKS // 10
    with Writer(tmp_path / "a.orat", specs, recipe="mine", rate=16_000, extra={"by": "hand"}) as out:
        ids = np.arange(30) % 9
        out.push({"runs": Stream(ids, onsets), "durations": Stream(ids, onsets), "text": Stream(ids)})
        out.push({"mel": Stream.dense(np.zeros((6, 80)))})
    assert call("show", tmp_path / "a.orat") == 0
    said = capsys.readouterr().out
    for wanted in (
        "runs, onsets",
        "as runs",
        "no time",
        "float32",
        "vectors",
        'extra: {"by": "hand"}',
        "of version unknown",
    ):
        assert wanted in said, wanted


def test_nothing_is_overwritten_unless_asked(coded, recording, tiny_model, capsys, tmp_path):
    before = coded.read_bytes()
    arguments = ("encode", recording, "-o", coded, "--model", tiny_model)
    assert "--overwrite" in refusal(capsys, *arguments)
    assert coded.read_bytes() == before
    assert call(*arguments, "--overwrite") == 0
    assert coded.read_bytes() == before


def test_a_long_file_is_decoded_in_pieces(tiny_model, monkeypatch, tmp_path):
    lm, path = SpeechLM.load(tiny_model), tmp_path / "long.orat"
    rng = np.random.default_rng(0)
    with Writer(path, lm.specs, recipe="mine", rate=16_000) as out:
        for _ in range(5):
            out.push(
                {"units": Stream(rng.integers(0, 20, 1500)), "f0": Stream(rng.integers(0, lm.specs["f0"].size, 3000))}
            )
    seen = []
    pieces = Reader.pieces
    monkeypatch.setattr(Reader, "pieces", lambda self, *a: (seen.append(e) or e for e in pieces(self, *a)))
    assert call("decode", path, "-o", tmp_path / "a.wav", "--model", tiny_model) == 0
    assert [len(excerpt.example["units"]) for excerpt in seen] == [6400, 1100]
    with Reader(path) as file:
        whole = lm.decode([file.read().example])[0]
    np.testing.assert_allclose(read(tmp_path / "a.wav").samples, np.clip(whole.samples, -1, 1), atol=2e-4)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus"])
def test_sound_is_stored_in_pieces_as_in_one(hum, tmp_path, suffix):
    write(hum, tmp_path / f"a{suffix}")
    cuts = [Waveform(part, hum.rate) for part in np.split(hum.samples, [5, 70_000 // 4, 20_000])]
    assert write_blocks(cuts, tmp_path / f"b{suffix}", hum.rate) == len(hum)
    one, cut = (read(tmp_path / f"{name}{suffix}").samples for name in "ab")
    if suffix in (".wav", ".flac"):
        np.testing.assert_array_equal(one, cut)
    assert len(one) == len(cut)
    np.testing.assert_allclose(one, cut, atol=0.02)  # Vorbis cuts its own blocks by how it is fed


def test_sound_in_pieces_is_refused_as_in_one(hum, tmp_path):
    for suffix, rate, waves, said in ((".mp4", 16_000, [hum], "expected one of"), (".wav", 16_000, [], "no samples"),
                                      (".opus", 22_050, [hum], "Opus holds")):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            write_blocks(waves, tmp_path / f"a{suffix}", rate)
    write_blocks([hum], tmp_path / "a.wav", 16_000)
    with pytest.raises(BadInput, match="would be lost"):
        write_blocks([hum], tmp_path / "a.wav", 16_000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_the_code_of_the_page_runs(coded, monkeypatch, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "orat.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "my.orat").write_bytes(coded.read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "orat.md", "exec"), {})
    assert Reader(tmp_path / "copy.orat").about.specs == Reader(coded).about.specs
