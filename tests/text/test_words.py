"""Characters get the time of their word, whatever the text has that the alignment lacks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import TICKS
from oration.text.words import onsets


def seconds(text, words, **options):
    return (onsets(text, words, **options) / TICKS).round(6).tolist()


def test_punctuation_trails_and_spaces_lead():
    words = [(1.0, 1.4, "it's"), (1.5, 1.9, "john's"), (2.0, 2.5, "not"), (3.0, 3.5, "mine")]
    text = "“It’s JOHN'S”—not… (mine)"
    times = dict(zip("It’s", seconds(text, words)[1:5], strict=True))
    assert set(times.values()) == {1.0}
    found = seconds(text, words)
    assert found[0] == 1.0  # the quote before the first word
    assert found[text.index("J") - 1] == 1.5  # the space leads
    assert found[text.index("—")] == 1.5  # what trails without a space belongs to the word before
    assert found[text.index("…")] == 2.0
    assert found[text.index("(")] == 3.0
    assert found[-1] == 3.0


def test_spreading_within_the_word():
    assert seconds("ab cd", [(0.0, 1.0, "ab"), (2.0, 3.0, "cd")], spread=True) == [0.0, 0.5, 2.0, 2.0, 2.5]


def test_words_that_are_written_otherwise_share_the_time_of_those_in_their_place():
    words = [(0.0, 0.2, "in"), (1.0, 1.3, "nineteen"), (2.0, 2.3, "eighty"), (3.0, 3.1, "four"), (4.0, 4.5, "then")]
    found = seconds("In 1984 then", words)
    assert found[:2] == [0.0, 0.0]
    assert found[3] == 1.0
    assert found[3:7] == sorted(found[3:7])
    assert set(found[3:7]) <= {1.0, 2.0, 3.0}
    assert found[7:] == [4.0] * 5


def test_a_word_that_nobody_said_takes_the_next_ones_time():
    assert seconds("a b c", [(1.0, 1.1, "a"), (2.0, 2.1, "c")])[2:] == [2.0, 2.0, 2.0]


def test_accents_ligatures_and_other_scripts():
    words = [(0.0, 0.1, "muller"), (1.0, 1.1, "straße"), (2.0, 2.1, "привет"), (3.0, 3.1, "中"), (4.0, 4.1, "文")]
    found = seconds("Müller STRASSE Привет 中文", words)
    assert found[0] == 0.0
    assert found[7] == 1.0
    assert found[15] == 2.0
    assert found[-2:] == [3.0, 4.0]


def test_no_words_and_no_text():
    assert onsets("", [(0, 1, "a")]).shape == (0,)
    assert seconds("abc", []) == [0.0] * 3
    assert seconds("?!", [(0.5, 1.0, "a")]) == [0.5, 0.5]
    assert seconds("abc", [(0.5, 1.0, "...")]) == [0.5] * 3


WORDS = st.lists(st.text("ab' é1.", min_size=1, max_size=4), min_size=1, max_size=6)


@given(st.text("ab' é1.?—\n", max_size=20), WORDS, st.booleans())
def test_times_never_run_backwards_and_lie_within_the_words(text, words, spread):
    spans = [(0.5 * n, 0.5 * n + 0.4, word) for n, word in enumerate(words)]
    found = onsets(text, spans, spread=spread)
    assert found.shape == (len(text),)
    assert (np.diff(found) >= 0).all()
    if len(text):
        assert found[0] >= 0
        assert found[-1] <= (0.5 * len(words)) * TICKS


@given(st.lists(st.text("abcé", min_size=1, max_size=4), min_size=1, max_size=6), st.sampled_from([" ", "  ", ", "]))
def test_the_same_words_get_their_own_times(words, between):
    spans = [(float(n), n + 0.5, word) for n, word in enumerate(words)]
    text = between.join(words).upper()
    found, at = onsets(text, spans) // TICKS, 0
    for number, word in enumerate(words):
        assert found[at : at + len(word)].tolist() == [number] * len(word)
        at += len(word) + len(between)


def test_a_long_text_takes_no_long_time():
    words = [(n / 10, n / 10 + 0.1, "a" if n % 2 else "la") for n in range(20_000)]
    found = onsets("la a " * 20_000, words)
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("text", ["\0", "\ud800", "😀" * 50, "\u202e\u0301"])
def test_odd_characters(text):
    assert seconds(text, [(0.25, 1.0, "a")]) == [0.25] * len(text)
