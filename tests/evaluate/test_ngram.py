"""n-gram models: by hand, against a dictionary oracle, and as distributions."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput, Stream
from oration.evaluate.ngram import NGram, ngrams


def test_a_bigram_by_hand():
    model = NGram(order=2).fit([[0, 1, 0]], size=2)
    # Tokens 0 1 0 end: unigram c = (2, 1, 1), N = 4, T = 3, uniform 1/3: P1 = (3, 2, 2) / 7.
    # After 0 came 1 and end: c(0) = 2, T(0) = 2. After 1 came 0: c(1) = 1, T(1) = 1.
    one = np.array([3, 2, 2]) / 7
    assert model.nats([[0]], order=1).nats[0] == pytest.approx(-math.log(one[0]) - math.log(one[2]))
    assert model.next([0]) == pytest.approx([(0 + 2 * one[0]) / 4, (1 + 2 * one[1]) / 4, (1 + 2 * one[2]) / 4])
    assert model.next([1]) == pytest.approx([(1 + one[0]) / 2, one[1] / 2, one[2] / 2])
    assert model.next([]) == pytest.approx([(1 + one[0]) / 2, one[1] / 2, one[2] / 2])


def oracle(train, size, order):
    """Witten-Bell by dictionaries and recursion."""
    counts = defaultdict(Counter)
    for sequence in train:
        padded = ["<s>"] * (order - 1) + list(sequence) + [size]
        for at in range(order - 1, len(padded)):
            for n in range(order):
                counts[tuple(padded[at - n : at])][padded[at]] += 1

    def probability(token, history):
        lower = probability(token, history[1:]) if history else 1 / (size + 1)
        seen = counts.get(tuple(history))
        if not seen:
            return lower
        return (seen[token] + len(seen) * lower) / (seen.total() + len(seen))

    return probability


sequences = st.lists(st.lists(st.integers(0, 3), max_size=8), min_size=1, max_size=6)


@given(sequences, sequences, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_equal_to_the_oracle_and_a_distribution(train, dev, order):
    model = NGram(order=order).fit(train, size=4)
    for counted in range(1, order + 1):
        probability = oracle(train, 4, counted)
        got = model.nats([np.array(s, int) for s in dev], order=counted)
        for number, sequence in enumerate(dev):
            padded = ["<s>"] * (counted - 1) + [*sequence, 4]
            expected = -sum(
                math.log(probability(padded[at], padded[at - counted + 1 : at]))
                for at in range(counted - 1, len(padded))
            )
            assert got.nats[number] == pytest.approx(expected)
            assert got.tokens[number] == len(sequence) + 1
    for sequence in dev:
        following = model.next(sequence)
        assert following.sum() == pytest.approx(1.0)
        assert (following > 0).all()


def test_streams_and_names():
    train = [Stream(np.array([0, 1, 2, 0, 1, 2])), Stream(np.array([2, 0, 1]))]
    table = ngrams(train, train[:1], size=3)
    assert list(table) == ["unigram", "bigram", "trigram", "5-gram"]
    assert table["trigram"].nats[0] < table["unigram"].nats[0]


def test_a_large_alphabet_does_not_overflow():
    rng = np.random.default_rng(0)
    size = 2**20
    train = [rng.integers(0, size, 400) for _ in range(5)]
    model = NGram(order=5).fit(train, size)
    assert np.isfinite(model.nats(train).nats).all()
    assert model.nats(train).nats.sum() < model.nats([t[::-1] for t in train]).nats.sum()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: NGram(order=0).fit([[0]], 1), "order 0"),
        (lambda: NGram().fit([], 4), "0 sequences"),
        (lambda: NGram().fit([[0, 4]], 4), "expected 0 to 3"),
        (lambda: NGram(order=2).fit([[0]], 1).nats([[0]], order=3), "order 2, not 3"),
    ],
)
def test_errors(call, words):
    with pytest.raises(BadInput, match=words):
        call()
