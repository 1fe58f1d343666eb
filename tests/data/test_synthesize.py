"""Synthetic voices: sentences that can be read out, exact phone times, and an interrupted run that goes on."""

import gzip
import json
from itertools import pairwise

import numpy as np
import pytest

from oration.core import BadInput, OrationError
from oration.data.synthesize import VOICES, _phones, plain, sentences, speak, synthesize
from oration.text.phones import PHONES, SILENCE

TEXTS = [
    f"The {adjective} {noun} is here again." for adjective in ("old", "new", "red") for noun in ("cat", "man", "sun")
]


@pytest.mark.parametrize("voice", VOICES)
def test_phones_end_where_the_sound_does(flite, voice):
    wave, phones = speak("Hello there, my friend, I saw him yesterday.", voice)
    assert wave.rate == 16000
    assert phones[0][0] == 0
    assert phones[-1][1] == wave.seconds
    assert all(stop == start for (_, stop, _), (start, _, _) in pairwise(phones))
    assert {label for _, _, label in phones} <= set(PHONES)
    spoken = [label for _, _, label in phones if label != SILENCE]
    assert spoken[:4] == ["HH", "AH", "L", "OW"]
    # Where flite says silence, there is little sound: the times are those of the samples.
    loud = lambda spans: np.sqrt(np.mean(np.concatenate([wave.cut(*s[:2]).samples for s in spans]) ** 2))  # noqa: E731
    pauses = [span for span in phones if span[2] == SILENCE]
    assert len(pauses) >= 3
    assert loud(pauses) < 0.2 * loud([span for span in phones if span[2] != SILENCE])


def test_speaking_is_repeatable(flite):
    first, second = speak("Say it again.", "rms"), speak("Say it again.", "rms")
    np.testing.assert_array_equal(first[0].samples, second[0].samples)
    assert first[1] == second[1]


def test_what_flite_prints():
    assert _phones("pau:0.1 hh:0.2 ax:0.3 pau:0.4 pau:0.6 \n", 0.5, "") == (
        (0.0, 0.1, "SIL"), (0.1, 0.2, "HH"), (0.2, 0.3, "AH"), (0.3, 0.5, "SIL"),
    )  # fmt: skip
    with pytest.raises(BadInput, match="several pieces"):
        _phones("pau:0.1 hh:0.2\npau:0.1 hh:0.3", 0.5, "Oh. Oh.")
    with pytest.raises(BadInput, match="no phones"):
        _phones("", 0.5, "")


def test_voices_take_turns_until_the_hours_are_full(flite, tmp_path):
    hours = 8 / 3600
    clips = list(synthesize(TEXTS, tmp_path, hours=hours, voices=("kal16", "rms"), dev=0.5, workers=2))
    assert sum(clip.seconds for clip in clips) >= hours * 3600
    assert {clip.speaker for clip in clips} == {"kal16", "rms"}
    assert {clip.split for clip in clips} == {"train", "dev"}
    assert [clip.text for clip in clips] == TEXTS[: len(clips)]
    for clip in clips:
        assert clip.path.parent == tmp_path
        assert clip.wave().seconds == clip.seconds == clip.phones[-1][1]
    again = list(
        synthesize(TEXTS, tmp_path, hours=hours, voices=("kal16", "rms"), dev=0.5, known={c.id: c for c in clips[:2]})
    )
    assert again == clips
    assert again[0] is clips[0]


def test_too_little_text_and_wrong_voices(flite, tmp_path):
    with pytest.raises(BadInput, match="too short for 1 h"):
        list(synthesize(TEXTS[:2], tmp_path, hours=1, voices=("kal16",)))
    with pytest.raises(BadInput, match="'hal'"):
        list(synthesize(TEXTS, tmp_path, hours=1, voices=("hal",)))


def test_without_flite_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OrationError, match="install flite"):
        speak("Hello there.", "rms")


def test_sentences_that_can_be_read_one_way(tmp_path):
    text = "He came home late. It was 9 p.m. by then. NASA called him at once. Oh no! Did you see him there? He -- well"
    assert list(plain(text)) == ["He came home late.", "Did you see him there?"]
    assert list(plain(text, shortest=2)) == ["He came home late.", "Oh no!", "Did you see him there?"]
    (tmp_path / "a.txt").write_text("He came home late.\nDid you see him there? He came home late.\n")
    assert sentences(tmp_path / "a.txt") == ["He came home late.", "Did you see him there?"]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        for row in ({"en": "The cat is here.", "split": "train"}, {"text": "The dog was here.", "split": "dev"}):
            file.write(json.dumps(row) + "\n")
    assert sentences(tmp_path / "a.jsonl.gz") == ["The cat is here."]


def test_files_without_sentences(tmp_path):
    (tmp_path / "a.txt").write_text("1 2 3\n")
    with pytest.raises(BadInput, match="no plain English sentence"):
        sentences(tmp_path / "a.txt")
    (tmp_path / "a.jsonl").write_text("1 2 3\n")
    with pytest.raises(BadInput, match="neither text nor JSON"):
        sentences(tmp_path / "a.jsonl")
    with pytest.raises(BadInput, match="does not exist"):
        sentences(tmp_path / "b.txt")
