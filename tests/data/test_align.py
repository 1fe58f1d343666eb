"""Alignments of real speech: complete, plausible, repeatable; and refusals that say why."""

import numpy as np
import pytest

pytest.importorskip("pocketsphinx")

import re
from dataclasses import replace
from itertools import pairwise

from oration.core import BadInput, Waveform
from oration.data.align import Aligner, Refused, align, align_clip, spoken_words
from oration.data.synthesize import speak
from oration.text.phones import INDEX, SILENCE


@pytest.fixture(scope="module")
def aligner():
    return Aligner()


def test_phones_cover_the_clip_and_words_lie_inside(samples):
    clip = samples["kathleen-arctic_a0479"]
    ((aligned, result),) = align([clip])
    assert result.refused is None
    assert [word for _, _, word in aligned.words] == spoken_words(clip.text)
    assert aligned.phones[0][0] == 0
    assert aligned.phones[-1][1] == pytest.approx(clip.seconds, abs=1e-3)
    for (_, stop, label), (start, _, after) in pairwise(aligned.phones):
        assert start == stop
        assert not label == after == SILENCE
    assert {label for _, _, label in aligned.phones} <= set(INDEX)
    edges = {time for start, stop, _ in aligned.phones for time in (start, stop)}
    assert {time for start, stop, _ in aligned.words for time in (start, stop)} <= edges
    spelled = [label for _, _, label in aligned.phones if label != SILENCE]
    assert spelled[:6] == ["AY", "T", "R", "AY", "D", "T"]


def test_it_finds_what_was_put_there(samples, aligner):
    """Silence before and after moves every word by as much, and is called silence."""
    wave, text = samples["kathleen-arctic_a0479"].wave(rate=16000), samples["kathleen-arctic_a0479"].text
    noise = np.random.default_rng(0).normal(0, 1e-4, 8000)
    moved = aligner(Waveform(np.concatenate([noise, wave.samples, noise]), 16000), text)
    plain = aligner(wave, text)
    gaps = [a[0] - b[0] for a, b in zip(moved.words, plain.words, strict=True)]
    assert np.median(gaps) == pytest.approx(0.5, abs=0.011)
    assert moved.phones[0][2] == moved.phones[-1][2] == SILENCE
    speech = lambda result: next(start for start, _, label in result.phones if label != SILENCE)  # noqa: E731
    assert speech(moved) == pytest.approx(speech(plain) + 0.5, abs=0.06)


def test_it_agrees_with_a_synthesiser_that_knows(flite, aligner):
    wave, truth = speak("She had your dark suit in greasy wash water all year.", "rms")
    found = aligner(wave, "She had your dark suit in greasy wash water all year.")
    frames = np.arange(0.005, wave.seconds, 0.01)
    label = lambda spans: [next(name for _, stop, name in spans if time <= stop) for time in frames]  # noqa: E731
    same = np.mean([a == b for a, b in zip(label(found.phones), label(truth), strict=True)])
    assert same > 0.75


def test_order_and_processes_change_nothing(samples):
    clips = [samples[name] for name in ("kathleen-arctic_a0479", "kathleen-arctic_b0496", "LJ001-0026")]
    one = [result for _, result in align(clips)]
    assert [result for _, result in align(clips[::-1])][::-1] == one
    assert [result for _, result in align(clips, workers=2)] == one


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Author of the danger trail, Philip Steels, etc.", "author of the danger trail philip steels etc"),
        ("It’s John's—not mine; 'tis so!", "it's john's not mine 'tis so"),
        ("WELL-KNOWN (he said)", "well known he said"),
    ],
)
def test_transcripts_as_the_dictionary_writes_them(text, words):
    assert spoken_words(text) == words.split()


@pytest.mark.parametrize("text", ["he paid $5", "in 1984", "you & me", "50% of it", "a@b"])
def test_what_could_be_spoken_in_several_ways_is_refused(text):
    with pytest.raises(Refused, match="spell out"):
        spoken_words(text)


@pytest.mark.parametrize("text", ["", "  ...  ", "'", "?!"])
def test_nothing_to_say_is_refused(text):
    with pytest.raises(Refused, match="holds no words"):
        spoken_words(text)


def test_refusals_say_why(samples, tmp_path):
    clip = replace(samples["kathleen-arctic_a0479"], words=(), phones=())
    reasons = {
        "there is no transcript": replace(clip, text=None),
        "'xyzzyx' is not in the aligner's dictionary": replace(clip, text="I xyzzyx to read"),
        "expected words only": replace(clip, text="in 1999"),
        "does not fit|too short": replace(clip, stop=0.3),
        "does not exist": replace(clip, path=tmp_path / "gone.flac"),
    }
    for (asked, reason), (given, result) in zip(
        zip(reasons.values(), reasons, strict=True), align(reasons.values()), strict=True
    ):
        assert given == asked
        assert not given.phones
        assert not result.phones
        assert re.search(reason, result.refused), result.refused
    assert align_clip(replace(clip, path=tmp_path / "gone.flac")).unreadable
    assert not align_clip(replace(clip, text=None)).unreadable


def test_silence_noise_and_length_do_not_break_it(aligner):
    noise = np.random.default_rng(0).normal(0, 0.1, 32000)
    for samples in (np.zeros(32000), noise, np.zeros(1), noise[:399]):
        result = aligner(Waveform(samples, 16000), "this is not what was said at all")
        assert result.refused or result.phones[-1][1] == len(samples) / 16000
    assert "cut it into utterances" in (aligner(Waveform(np.zeros(61 * 16000), 16000), "hello").refused or "")
    with pytest.raises(BadInput, match="16000"):
        aligner(Waveform(np.zeros(8000), 8000), "hello")
