"""`oration score codec` from end to end, and the sentences it refuses with."""

import json
from importlib.resources import files

import pytest

from oration import cli
from oration.audio.io import write
from oration.data.manifest import Clip, read_manifest, write_manifest
from oration.model import SpeechLM
from oration.recipe import find

SAMPLES = files("oration").joinpath("samples")
QUICK = ("--without", "wer", "dnsmos", "voice", "pesq")


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The first second of three bundled recordings."""
    folder = tmp_path_factory.mktemp("corpus")
    clips = [
        Clip(clip.id, write(clip.wave(rate=16_000).cut(0.5, 1.7), folder / f"{clip.id}.flac"), 1.2, "dev", text=clip.id)
        for clip in read_manifest(SAMPLES)[:3]
    ]
    write_manifest(clips, folder / "manifest.jsonl")
    return folder


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codec") / "model"
    SpeechLM(find("codec_mel").tiny()).save(folder)
    return folder


def score(*arguments):
    try:
        cli.main(["score", "codec", *map(str, arguments)])
    except SystemExit as left:
        return left.code
    return 0


def test_codecs_stand_beside_those_of_others(codec, corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no codec2 here
    arguments = ("--model", codec, "--model", codec, "--levels", 1, 8, "--clips", 2, *QUICK, "--out", tmp_path / "rd")
    assert score(corpus, *arguments, "--reference", "opus:6", "codec2:3200", "griffin-lim") == 0
    said = capsys.readouterr().out
    for text in ("Opus, 6 kbit/s", "Griffin-Lim, 75 frames/s", "8 levels", "STOI", "Opus beside"):
        assert text in said
    assert "codec2, 3200 bit/s: not computed" in " ".join(said.split())
    found = json.loads((tmp_path / "rd" / "index.json").read_text(encoding="utf-8"))["results"]
    rates = {f"{one['system']}, {one['setting']}": one["kbps"] for one in found["points"]}
    assert rates["codec_mel-tiny (model, 1), 1 level"]["value"] == pytest.approx(0.3, abs=0.01), "75 Hz of 4 bits"
    assert rates["codec_mel-tiny (model, 2), 8 levels"]["value"] == pytest.approx(2.4, abs=0.05)
    assert 5 < rates["Opus, 6 kbit/s"]["value"] < 7
    assert rates["Griffin-Lim, 75 frames/s"] is None
    assert found["clips"] == 2
    assert {one["first"] for one in found["comparisons"]} == {"Opus, 6 kbit/s"}
    page = (tmp_path / "rd" / "index.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 2 * 7


def test_recordings_and_peers_alone_are_enough(corpus, tmp_path, capsys):
    assert score(corpus / "LJ001-0026.flac", *QUICK, "--reference", "opus:12", "--out", tmp_path / "o") == 0
    assert "Opus, 12 kbit/s" in capsys.readouterr().out


@pytest.mark.slow
def test_processes_measure_what_one_does(codec, corpus, tmp_path):
    for workers in (1, 2):
        arguments = ("--model", codec, "--levels", 8, "--reference", "opus:6", "--workers", workers)
        assert score(corpus, *arguments, "--out", tmp_path / str(workers)) == 0
    one, two = (json.loads((tmp_path / name / "index.json").read_text(encoding="utf-8")) for name in ("1", "2"))
    assert one["results"] == two["results"]
    assert set(one["results"]["points"][2]["scores"]) >= {
        "pesq",
        "stoi",
        "mel",
        "si_sdr",
        "dnsmos",
        "wer",
        "voice",
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing to measure on"),
        ((SAMPLES, "--split", "test"), "no clips of the split 'test'"),
        ((SAMPLES, "--clips", -1), "expected 0 (all) or more"),
        ((SAMPLES, "--workers", 0), "expected 1 or more processes"),
        ((SAMPLES, "--reference"), "there is nothing to score"),
        ((SAMPLES, "--reference", "opus:1"), "expected 6 to 256 kbit/s"),
        ((SAMPLES, "--without", "loudness", "--reference", "opus:6"), "no measure 'loudness'"),
        (("nowhere.flac", "--reference", "opus:6"), "nowhere.flac"),
        (("nowhere.jsonl", "--reference", "opus:6"), "nowhere.jsonl"),
    ],
)
def test_mistakes_are_told_in_one_sentence(arguments, told, capsys):
    assert score(*(arguments or ()), *(() if "--reference" in arguments else ("--reference", "opus:6"))) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.startswith("oration: ")


def test_a_model_that_is_no_codec_and_levels_it_has_not(codec, tiny_model, capsys):
    assert score(SAMPLES, "--model", tiny_model) == 2
    assert "is no codec" in capsys.readouterr().err
    assert score(SAMPLES, "--model", codec, "--levels", 9) == 2
    assert "has 1 to 8 levels" in capsys.readouterr().err
