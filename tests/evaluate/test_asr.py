"""Word errors by hand, and the real recogniser on sounds that need no file."""

from importlib.resources import files

import numpy as np
import pytest

from oration.core import BadInput, Waveform
from oration.data.manifest import read_manifest
from oration.evaluate.asr import PocketSphinx, compare, count_errors, plain_english, word_errors
from oration.evaluate.interval import to_json

SAMPLES = files("oration").joinpath("samples")


def test_the_normaliser():
    assert (
        plain_english("Author of the danger trail, Philip Steels, etc.")
        == "author of the danger trail philip steels etc"
    )
    assert plain_english("  'Twas rock-'n'-roll; don’t!  ") == "twas rock n roll don't"
    assert plain_english("Été 1998\n(ﬁne_print)") == "été 1998 fine print"
    assert plain_english("?!") == ""


def test_errors_by_hand():
    got = count_errors("the cat sat down", "a cat sat down there")
    assert (got.words, got.substitutions, got.deletions, got.insertions, got.errors) == (4, 1, 0, 1, 2)
    got = count_errors("one two three", "")
    assert (got.deletions, got.errors, got.character_errors) == (3, 3, 13)
    got = count_errors("", "uh huh")
    assert (got.words, got.insertions, got.characters, got.character_errors) == (0, 2, 0, 6)
    assert count_errors("", "").errors == 0


def test_rates_are_ratios_of_sums():
    got = word_errors(["One.", "two three four", ""], ["one", "two", "five"], recogniser="by hand")
    assert got.wer.value == pytest.approx(3 / 4)
    assert got.cer.value == pytest.approx((0 + len(" three four") + len("five")) / (3 + 14))
    assert (got.words, got.deletions, got.insertions) == (4, 2, 1)
    assert got.normaliser == "plain-english-1"
    assert '"heard": "five"' in to_json(got)


def test_differences_pair_clips_and_refuse_other_conditions():
    texts = ["a b c d", "e f g h", "i j k l", "m n o p"]
    good = word_errors(texts, ["a b c x", "e f g h", "i j k l", "m n o p"], recogniser="r")
    bad = word_errors(texts, ["a b y x", "e f g z", "i j k z", "m n o z"], recogniser="r")
    gap = compare(bad, good)
    assert gap.value == pytest.approx(4 / 16)
    assert gap.low == gap.high == pytest.approx(0.25), "every clip is worse by one word"
    with pytest.raises(BadInput, match="the recogniser of the two"):
        compare(bad, word_errors(texts, texts, recogniser="s"))
    with pytest.raises(BadInput, match="same texts"):
        compare(bad, word_errors(texts[::-1], texts, recogniser="r"))


def test_bad_input():
    with pytest.raises(BadInput, match="2 transcripts for 1 texts"):
        word_errors(["a"], ["a", "b"], recogniser="r")
    with pytest.raises(BadInput, match="has a word"):
        word_errors(["..."], ["a"], recogniser="r")
    with pytest.raises(BadInput, match="choose one of plain-english-1"):
        word_errors(["a"], ["a"], recogniser="r", normaliser="none")


def test_the_real_recogniser_is_steady_on_one_process_and_on_two():
    rng = np.random.default_rng(0)
    waves = [
        Waveform(0.1 * rng.normal(size=n), rate) for n, rate in ((4000, 16_000), (100, 16_000), (0, 8000), (2400, 8000))
    ]
    ear = PocketSphinx()
    assert ear.name.startswith("pocketsphinx 5")
    heard = ear.transcribe(waves)
    assert heard[1] == heard[2] == ""
    assert "(" not in "".join(heard)
    # Two processes share the clips out between them, so nothing is carried from clip to clip either.
    assert heard == PocketSphinx(workers=2).transcribe(waves)


def test_what_was_heard_before_does_not_count():
    """The recogniser's noise floor and loudness run on from clip to clip unless they are reset."""
    rng = np.random.default_rng(1)
    clips = [clip.wave(rate=16_000).cut(0.5, 1.7) for clip in read_manifest(SAMPLES)[:3]]
    waves = [Waveform(clip.samples + 0.03 * rng.standard_normal(clip.samples.shape), 16_000) for clip in clips]
    ear = PocketSphinx()
    forward, backward = ear.transcribe(waves), ear.transcribe(waves[::-1])
    assert forward == backward[::-1]
