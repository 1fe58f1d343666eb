"""Our own aligner on real speech: near the given words, complete, plausible; and refusals that say why."""

import importlib.util
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from oration import cli
from oration.core import BadInput, Waveform
from oration.data.align import align
from oration.data.ctc_align import CtcAligner, load
from oration.data.manifest import Corpus, read_manifest, write_manifest
from oration.data.prepare import prepare
from oration.evaluate.alignment import word_times
from oration.text.phones import INDEX, SILENCE

NAMES = ("kathleen-arctic_a0479", "kathleen-arctic_b0496", "LJ001-0026")


@pytest.fixture(scope="module")
def aligner():
    return CtcAligner()


def test_words_lie_near_those_of_another_aligner(samples):
    clips = [samples[name] for name in NAMES]
    found = [result for _, result in align(clips, kind="ctc")]
    errors = word_times([clip.words for clip in clips], [result.words for result in found])
    assert errors.words == sum(len(clip.words) for clip in clips)
    assert errors.start_median < 0.04
    assert errors.stop_median < 0.04


def test_phones_cover_the_clip_and_words_lie_on_their_edges(samples):
    clip = samples[NAMES[0]]
    ((aligned, result),) = align([clip], kind="ctc")
    assert result.refused is None
    assert aligned.phones[0][0] == 0
    assert aligned.phones[-1][1] == pytest.approx(clip.seconds, abs=1e-3)
    for (_, stop, label), (start, _, after) in pairwise(aligned.phones):
        assert start == stop
        assert not label == after == SILENCE
    assert {label for _, _, label in aligned.phones} <= set(INDEX)
    edges = {time for start, stop, _ in aligned.phones for time in (start, stop)}
    assert {time for start, stop, _ in aligned.words for time in (start, stop)} <= edges


def test_numbers_and_made_up_words_are_read(samples, aligner):
    clip = samples[NAMES[0]]
    wave = clip.wave(rate=16000)
    result = aligner(wave, clip.text.replace("dreadfully", "dredfully"))
    assert result.refused is None
    assert "dredfully" in [word for _, _, word in result.words]


def test_silence_before_moves_every_word(samples, aligner):
    clip = samples[NAMES[0]]
    wave = clip.wave(rate=16000)
    noise = np.random.default_rng(0).normal(0, 1e-4, 8000)
    moved = aligner(Waveform(np.concatenate([noise, wave.samples]), 16000), clip.text)
    plain = aligner(wave, clip.text)
    gaps = [a[0] - b[0] for a, b in zip(moved.words, plain.words, strict=True)]
    assert np.median(gaps) == pytest.approx(0.5, abs=0.011)


def test_refusals_say_why(samples, aligner):
    clip = samples[NAMES[0]]
    wave = clip.wave(rate=16000)
    for text, why in {
        "": "holds no words", "?!": "holds no words", "привет": "expected English",
        "this is not at all what was said in the recording": "does not fit",
        "word " * 200: "too short for its text",
    }.items():  # fmt: skip
        result = aligner(wave, text)
        assert why in (result.refused or ""), (text, result.refused)
        assert not result.words
    assert "cut it into utterances" in aligner(Waveform(np.zeros(61 * 16000), 16000), "hello").refused
    for samples_ in (np.zeros(16000), np.zeros(1), np.zeros(0)):
        result = aligner(Waveform(samples_, 16000), "hello there")
        assert result.refused or result.words


def test_other_rates_are_heard_as_well(samples, aligner):
    clip = samples[NAMES[0]]
    low = clip.wave(rate=8000)
    assert aligner(low, clip.text).words or aligner(low, clip.text).refused


def test_a_folder_that_is_no_aligner(tmp_path):
    with pytest.raises(BadInput, match="holds no aligner.*oration train aligner"):
        load(tmp_path)


def test_preparing_with_it_and_then_with_the_other(samples, tmp_path):
    clips = [replace(samples[NAMES[0]], words=(), phones=())]
    write_manifest(clips, tmp_path / "manifest.jsonl")
    done = prepare([tmp_path], tmp_path / "out", aligner="ctc", progress=False)
    assert done.aligned == 1
    assert "CTC" in json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["aligner"]
    ours = read_manifest(tmp_path / "out")[0].words
    again = prepare([tmp_path], tmp_path / "out", aligner="ctc", progress=False)
    assert again.aligned == 1
    assert len((tmp_path / "out" / "alignments.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    if importlib.util.find_spec("pocketsphinx"):
        prepare([tmp_path], tmp_path / "out", progress=False)
        theirs = read_manifest(tmp_path / "out")[0].words
        assert theirs != ours
        assert [word for _, _, word in theirs] == [word for _, _, word in ours]


def test_scoring_aligners_from_the_command_line(samples, tmp_path, capsys):
    write_manifest([replace(samples[name], split="dev") for name in NAMES[:2]], tmp_path / "manifest.jsonl")
    out = tmp_path / "page"
    cli.main(["score", "alignment", str(tmp_path), "--aligner", "ctc", "--out", str(out)])
    assert "start, median ms" in capsys.readouterr().out
    assert (out / "index.html").is_file()
    bare = Corpus(tuple(replace(clip, words=()) for clip in read_manifest(tmp_path)))
    write_manifest(bare.clips, tmp_path / "manifest.jsonl")
    with pytest.raises(SystemExit):
        cli.main(["score", "alignment", str(tmp_path), "--aligner", "ctc", "--out", str(out)])
    assert "has words with times" in capsys.readouterr().err
