"""CTC alignment against every path there is, on small cases; words from their pieces."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput
from oration.text.align import Path, close_gaps, viterbi, word_times


def collapsed(path, blank):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != blank)


def exhaustive(emissions, targets, blank):
    """The best log-probability of all paths that spell the targets."""
    frames, symbols = emissions.shape
    paths = itertools.product(range(symbols), repeat=frames)
    return max(
        (sum(emissions[t, s] for t, s in enumerate(path)) for path in paths if collapsed(path, blank) == targets),
        default=-np.inf,
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(2, 3), st.lists(st.integers(0, 2), max_size=4), st.integers(0, 9999), st.data())
def test_no_path_is_likelier(frames, symbols, targets, seed, data):
    blank = data.draw(st.integers(0, symbols - 1))
    targets = tuple(t % symbols for t in targets if t % symbols != blank)
    emissions = np.random.default_rng(seed).normal(size=(frames, symbols))
    best = exhaustive(emissions, targets, blank)
    if best == -np.inf:
        with pytest.raises(BadInput, match="too short for its text"):
            viterbi(emissions, targets, blank=blank)
        return
    path = viterbi(emissions, targets, blank=blank)
    assert path.nats == pytest.approx(best)
    assert (path.starts < path.stops).all()
    assert (path.starts[1:] >= path.stops[:-1]).all()
    spelled = np.full(frames, blank)
    for symbol, start, stop in zip(targets, path.starts, path.stops, strict=True):
        spelled[start:stop] = symbol
    assert collapsed(spelled.tolist(), blank) == targets
    assert emissions[np.arange(frames), spelled].sum() == pytest.approx(best)


def test_equal_neighbours_are_held_apart():
    emissions = np.log([[0.1, 0.9], [0.4, 0.6], [0.1, 0.9]])
    path = viterbi(emissions, [1, 1])
    assert path.starts.tolist() == [0, 2]
    assert path.stops.tolist() == [1, 3]


def test_nothing_to_align():
    path = viterbi(np.log([[0.5, 0.5]] * 3), [])
    assert len(path.starts) == 0
    assert path.nats == pytest.approx(3 * np.log(0.5))
    assert viterbi(np.zeros((0, 4)), []).nats == 0.0


def test_impossible_symbols_give_a_path_all_the_same():
    with np.errstate(divide="ignore"):
        path = viterbi(np.log(np.array([[1.0, 0.0]] * 4)), [1])
    assert path.nats == -np.inf


def test_a_minute_is_aligned():
    rng = np.random.default_rng(0)
    path = viterbi(rng.normal(size=(6000, 40)), rng.integers(1, 40, 700))
    assert (np.diff(path.starts) > 0).all()


@pytest.mark.parametrize(
    ("emissions", "targets", "why"),
    [
        (np.zeros((3, 4)), [4], "expected 0 to 3 without the blank 0"),
        (np.zeros((3, 4)), [0], "without the blank"),
        (np.zeros(3), [1], "takes float"),
        (np.zeros((1, 4)), [1, 2], "1 frames cannot hold 2 symbols, which need 2"),
        (np.zeros((2, 4)), [1, 1], "which need 3"),
    ],
)
def test_what_cannot_be_aligned(emissions, targets, why):
    with pytest.raises(BadInput, match=why):
        viterbi(emissions, targets)


def test_short_gaps_are_shared_and_long_ones_stay():
    path = Path(np.array([2, 6, 20]), np.array([4, 8, 22]), 0.0)
    starts, stops = close_gaps(path, 30, 3)
    assert starts.tolist() == [2, 5, 20]
    assert stops.tolist() == [5, 8, 22]
    starts, stops = close_gaps(path, 22, 3, 5)
    assert starts.tolist() == [0, 5, 18.5]
    assert stops.tolist() == [5, 9.5, 22]
    assert close_gaps(Path(np.array([], int), np.array([], int), 0.0), 3, 2)[0].tolist() == []


def test_words_from_their_pieces():
    starts, stops = word_times(np.array([0, 2, 5, 9]), np.array([2, 4, 9, 11]), [0, 2, 0, 2, 0])
    assert starts.tolist() == [0, 0, 4, 5, 11]
    assert stops.tolist() == [0, 4, 4, 11, 11]
    assert word_times(np.array([], int), np.array([], int), [0, 0])[1].tolist() == [0, 0]
    with pytest.raises(BadInput, match="2 words have 3 pieces, but 1 were aligned"):
        word_times(np.array([0]), np.array([1]), [1, 2])
