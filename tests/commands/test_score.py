"""`oration score`: every measurement runs from the command line, prints a table and leaves a page and figures."""

import json

import numpy as np
import pytest

from oration import cli
from oration.audio.io import write
from oration.commands.results import _text, show
from oration.commands.score.clips import speakers, spread
from oration.commands.score.units import fold
from oration.core import Waveform
from oration.data.manifest import Clip, write_manifest
from oration.evaluate.interval import Estimate
from oration.evaluate.report import Column, Table

PHONES = ("AA", "S", "IY", "M")


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, hum):
    """Eight labelled clips of two speakers, six of them to count n-grams on."""
    folder, clips = tmp_path_factory.mktemp("corpus"), []
    for number in range(8):
        rng = np.random.default_rng(number)
        samples = np.roll(hum.samples, 4000 * number)[:24_000] + 0.02 * rng.standard_normal(24_000)
        path = write(Waveform(samples.astype(np.float32), 16_000), folder / f"{number}.flac")
        spans = tuple((at * 0.1, at * 0.1 + 0.1, PHONES[(at + number) % 4]) for at in range(15))
        split = "train" if number < 4 else "dev"
        clips.append(Clip(str(number), path, 1.5, split, f"s{number % 2}", f"all well {number}", phones=spans))
    write_manifest(clips, folder / "manifest.jsonl")
    return folder


def score(kind, *arguments):
    try:
        cli.main(["score", kind, *map(str, arguments)])
    except SystemExit as left:
        return left.code
    return 0


def results(folder):
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<table" in page
    return json.loads((folder / "index.json").read_text(encoding="utf-8"))["results"]


def test_likelihood_ranks_recordings(corpus, tiny_model, tmp_path, capsys):
    assert score("likelihood", corpus / "0.flac", corpus / "1.flac", "--model", tiny_model) == 0
    said = capsys.readouterr().out
    assert "nats a unit" in said
    assert "index.html" in said
    found = results(tmp_path / "out" / "score-likelihood")
    nats = [one["nats"] / one["units"] for one in found["recordings"]]
    assert nats == sorted(nats)
    assert found["nats_a_unit"]["low"] <= found["nats_a_unit"]["value"] <= found["nats_a_unit"]["high"]
    assert score("likelihood", "--model", tiny_model) == 2


def test_lm_stands_beside_ngrams_of_the_same_tokens(corpus, tiny_model, tmp_path, capsys):
    assert score("lm", corpus, "--model", tiny_model, "--out", tmp_path / "lm") == 0
    said = capsys.readouterr().out
    for name in ("ulm", "unigram", "bigram", "trigram", "5-gram", "perplexity", "beat"):
        assert name in said
    assert results(tmp_path / "lm")["clips"] == 4
    assert not (corpus / "cache").exists(), "scoring leaves the data as it was"
    assert score("lm", corpus, "--model", tiny_model, "--split", "test") == 2
    assert "['dev', 'train']" in capsys.readouterr().err


def test_units_are_held_against_phones(corpus, tiny_model, tmp_path, capsys):
    arguments = ("units", corpus, "--model", tiny_model, "--model", tiny_model, "--split", "all", "--clips", 6)
    assert score(*arguments, "--out", tmp_path / "u") == 0
    said = capsys.readouterr().out
    for name in ("ABX", "within", "across", "phone purity", "bit/s"):
        assert name in said
    assert results(tmp_path / "u")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_resynthesis_stands_beside_the_original_and_griffin_lim(corpus, tiny_model, tmp_path, capsys):
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("speechmos")
    assert score("resynthesis", corpus, "--model", tiny_model, "--clips", 2, "--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    for name in ("original", "from units", "Griffin-Lim", "WER", "DNSMOS", "mel distance"):
        assert name in said
    assert results(tmp_path / "r")["clips"] == 2


def test_labels_of_two_corpora_fold_to_the_same_phones():
    assert [fold(label) for label in ("ao", "AO", "AO1", "tcl", "SIL", "ix", "IH0")] == [
        "AA", "AA", "AA", "SIL", "SIL", "IH", "IH"
    ]  # fmt: skip


def test_clips_are_spread_and_resampled_by_what_repeats(corpus):
    assert spread(range(10), 4) == [0, 3, 6, 9]
    assert spread(range(3), 0) == spread(range(3), 7) == [0, 1, 2]
    takes = [Clip(str(n), corpus, 1.0, text=f"sentence {n // 2}") for n in range(6)]
    assert speakers(takes) == [f"sentence {n // 2}" for n in range(6)]
    assert speakers(takes[::2]) is None
    many = [Clip(str(n), corpus, 1.0, speaker=str(n % 12), corpus="c") for n in range(24)]
    assert speakers(many) == [f"c/{n % 12}" for n in range(24)]


def test_wide_tables_lie_on_their_side(capsys):
    estimate = Estimate(0.2881, 0.215, 0.3611, 20)
    columns = (Column("system"), *(Column(f"measure {n}", percent=True) for n in range(9)))
    show(Table("wide", columns, (("ours", *[estimate] * 9), ("theirs", *[None] * 9)), "a note"))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    assert said.count("28.8% [21.5, 36.1]") == 9
    assert _text(Estimate(2.5, float("nan"), float("nan"), 1), Column("x", 1)) == "2.5"
