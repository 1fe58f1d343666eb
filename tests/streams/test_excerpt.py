"""Crops of several streams at once: the same span of all, wherever it lies, and no longer than asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import BadInput, Operation, Spec, Stream
from oration.streams import Excerpt

SPECS = {"a": Spec(1000, 25), "b": Spec(1000, 50), "v": Spec(1, 12.5, dim=2), "text": Spec(9)}


def example(seconds):
    """Symbols that say where they stand."""
    a, b, v = (SPECS[name].length(seconds) for name in ("a", "b", "v"))
    return {
        "a": Stream(np.arange(a)),
        "b": Stream(np.arange(b)),
        "v": Stream.dense(np.arange(2 * v, dtype=np.float32).reshape(-1, 2)),
        "text": Stream(np.arange(3)),
    }


@given(st.floats(0.0, 4.0), st.floats(0.08, 3.0), st.integers(0, 99))
def test_all_streams_are_cut_to_the_same_span(seconds, piece, seed):
    whole = example(seconds)
    cut = Excerpt(("a", "b", "v"), piece)(whole, SPECS, np.random.default_rng(seed))
    for name in ("a", "b", "v"):
        assert len(cut[name]) <= SPECS[name].length(piece)
        if len(whole[name]) <= SPECS[name].length(piece):
            assert len(cut[name]) >= len(whole[name]) - 4
    if len(cut["a"]):
        start = int(cut["a"].ids[0])
        assert start % 2 == 0, "the slowest stream has 12.5 items a second"
        assert cut["b"].ids[0] == 2 * start
        assert cut["v"].values[0, 0] == start
        assert np.array_equal(cut["a"].ids, start + np.arange(len(cut["a"])))
    assert cut["text"] is whole["text"]


def test_chance_reaches_every_beginning():
    starts = {
        int(Excerpt(("a",), 0.2)(example(0.4), SPECS, np.random.default_rng(seed))["a"].ids[0]) for seed in range(200)
    }
    assert starts == set(range(6))


def test_it_is_an_operation_for_learning_alone_and_says_what_it_cannot_cut():
    assert isinstance(Excerpt(("a",), 1.0), Operation)
    assert Excerpt.learning
    with pytest.raises(BadInput, match="'text' has no rate"):
        Excerpt(("text",), 1.0).specs(SPECS)
    with pytest.raises(BadInput, match="seconds above 0"):
        Excerpt(("a",), 0.0)
