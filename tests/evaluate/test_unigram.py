"""The unigram baseline: what it counts, and that it is told what the layout allows and no more."""

import numpy as np
import pytest

from oration.core import TICKS, Spec, Stream
from oration.evaluate.unigram import Asked, Unigram
from oration.layouts import Layout, Line, Ratio, Time, Weave, vocabs

SPECS = {"a": Spec(4, 10), "b": Spec(3, 10), "t": Spec(5), "v": Spec(1, 10, dim=2)}


def asked(layout, example, predict, marks=True):
    table = vocabs((layout,), SPECS)
    grid = layout.place([example], SPECS, predict)
    return Asked.of(layout, grid, example, SPECS, table, marks=marks), table


def test_a_line_pays_what_counting_says():
    layout = Layout((Line("a"),))
    known, table = asked(layout, {"a": Stream(np.array([0, 0, 1]))}, ("a",))
    held, _ = asked(layout, {"a": Stream(np.array([0, 3]))}, ("a",))
    nats, count = Unigram.of([known], table).nats([held])
    # Four cells were counted (0, 0, 1, end) and one is added to each of 4 symbols and the end.
    assert count == 3
    assert nats == pytest.approx(-np.log([3 / 9, 1 / 9, 2 / 9]).sum())


def test_given_cells_cost_nothing_and_ends_can_be_left_out():
    layout = Layout((Line("a"), Line("b")))
    example = {"a": Stream(np.array([1, 2])), "b": Stream(np.array([0, 2, 2]))}
    known, table = asked(layout, example, ("b",))
    assert {place[1] for place in known.tokens} == {("b", "end")}
    assert Unigram.of([known], table).nats([known])[1] == 4
    bare, _ = asked(layout, example, ("b",), marks=False)
    assert Unigram.of([bare], table).nats([bare])[1] == 3


def test_it_knows_whose_turn_it_is_only_where_the_layout_says_so():
    counted = Layout((Weave(("a", "b"), by=Ratio((1, 1))),))
    known, _ = asked(counted, {"a": Stream(np.arange(3)), "b": Stream(np.arange(3))}, ("a", "b"))
    assert {place[1] for place in known.tokens} == {("a", "]a"), ("b", "]b")}
    timed = Layout((Weave(("t", "a"), by=Time()),))
    words = Stream(np.arange(2), np.array([0, 2]) * (TICKS // 10))
    known, _ = asked(timed, {"t": words, "a": Stream(np.arange(4))}, ("t", "a"))
    assert all("end" in place[1] or len(place[1]) == 1 for place in known.tokens)
    assert any({"a", "@t", "end"} <= set(place[1]) for place in known.tokens), "a switch is the model's own choice"


def test_vectors_are_expected_around_their_mean():
    layout = Layout((Line("v"),))
    known, table = asked(layout, {"v": Stream.dense(np.array([[0.0, 2.0], [2.0, 2.0]]))}, ("v",))
    held, _ = asked(layout, {"v": Stream.dense(np.array([[1.0, 4.0]]))}, ("v",))
    with_vector, _ = Unigram.of([known], table).nats([held])
    symbols = -np.log(3 / 5) - np.log(2 / 5)
    assert with_vector - symbols == pytest.approx(0.5 * 4 + np.log(2 * np.pi))
