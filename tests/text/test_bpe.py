"""Byte-level BPE: nothing is lost, the same texts give the same code, and a code is its merges."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.text.bpe import BYTES, ByteBpe, learn
from oration.text.normal import normalise

TEXTS = ["the cat sat on the mat", "the rat sat on the cat", "that hat", "naïve café 中文 中文"] * 5
SENTENCE = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@cache
def learned():
    return ByteBpe(learn(TEXTS, 300))


@pytest.fixture
def code():
    return learned()


def test_without_merges_it_is_bytes():
    plain = ByteBpe(np.zeros((0, 2), np.int64))
    assert len(plain) == BYTES
    assert plain.encode("aé\0").tolist() == list("aé\0".encode())


@given(SENTENCE)
def test_every_text_comes_back(text):
    for some in (ByteBpe(np.zeros((0, 2), np.int64)), learned()):
        ids = some.encode(text)
        assert some.decode(ids) == text
        assert some.lengths[ids].sum() == len(text.encode())


def test_frequent_words_become_one_symbol(code):
    assert len(code.encode("the cat sat")) < 7
    assert " cat" in {code.decode([i]) for i in range(BYTES, len(code))}
    assert len(code) <= 300


def test_the_same_texts_give_the_same_merges_in_any_order():
    assert np.array_equal(learn(TEXTS, 290), learn(TEXTS[::-1], 290))


def test_a_shorter_list_of_merges_is_a_code_as_well():
    merges = learn(TEXTS, 300)
    for count in (0, 1, 7, len(merges)):
        code = ByteBpe(merges[:count])
        assert code.decode(code.encode("the hat, naïve")) == "the hat, naïve"
    assert len(ByteBpe(merges[:7])) <= BYTES + 7


def test_two_merges_of_one_spelling_are_one_symbol():
    code = ByteBpe([(97, 98), (98, 99), (256, 99), (97, 257)])  # ab, bc, ab+c, a+bc
    assert len(code) == BYTES + 3
    assert code.decode(code.encode("abc abc")) == "abc abc"


def test_symbols_never_learned_mean_nothing(code):
    assert code.decode([97, 100_000, 98]) == "ab"
    assert code.decode([0xC3]) == "\ufffd"


def test_no_texts_give_bytes():
    assert learn([], 300).shape == (0, 2)
    assert learn([""], 300).shape == (0, 2)


@pytest.mark.parametrize(
    ("how", "text", "plain"),
    [
        ("as is", "  A\tB ", "  A\tB "),
        ("as is", "a\ud800b", "a\ufffdb"),
        ("lower", " A  B\n", "a b"),
        ("spoken", "Well-known… “it’s” 3 ①", "well known it's 3 1"),
        ("spoken", "?!", ""),
    ],
)
def test_normalising(how, text, plain):
    assert normalise(text, how) == plain
    assert normalise(plain, how) == plain
