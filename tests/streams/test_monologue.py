"""Words on frames: where they begin if there is room, each once, and padding that says when it is over."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import TICKS, BadInput, Operation, Spec, Stream
from oration.streams import SpreadWords

RNG = np.random.default_rng(0)
SPECS = {"text": Spec(30), "codec.0": Spec(9, 12.5)}
FRAME = TICKS * 2 // 25


def example(pieces, length):
    """Pieces as (frame, symbol)."""
    pieces = sorted(pieces, key=lambda piece: piece[0])
    onsets = np.array([frame * FRAME + 7 for frame, _ in pieces], int)
    return {"text": Stream(np.array([s for _, s in pieces], int), onsets), "codec.0": Stream(np.zeros(length, int))}


def plainly(pieces, length):
    """The rule of the paper, piece by piece, for pieces that find room."""
    frames, free = ["pad"] * length, 1
    for frame, symbol in sorted(pieces, key=lambda piece: piece[0]):
        at = max(frame, free)
        if at >= length:
            return None
        if frames[at - 1] == "pad":
            frames[at - 1] = "end"
        frames[at], free = symbol, at + 1
    return frames


pieces = st.lists(st.tuples(st.integers(0, 39), st.integers(4, 29)), max_size=12)


@given(pieces)
def test_each_piece_stands_where_its_word_begins_or_next_to_it(drawn):
    want = plainly(drawn, 60)
    for operation, pad, end in ((SpreadWords(), 30, 31), (SpreadWords(pad=3, end_pad=0), 3, 0)):
        got = operation(example(drawn, 60), SPECS, RNG)["text.frames"].ids
        assert got.tolist() == [{"pad": pad, "end": end}.get(symbol, symbol) for symbol in want]


@given(pieces, st.integers(0, 40), st.sampled_from([{}, {"pad": 3}, {"end_pad": 0}, {"pad": 3, "end_pad": 0}]))
def test_undo_gives_the_words_back(drawn, length, marks):
    operation, given_ = SpreadWords(**marks), example([(f % max(length, 1), s) for f, s in drawn], length)
    spread = operation(given_, SPECS, RNG)
    spread["text.frames"].verify("text.frames", operation.specs(SPECS)["text.frames"])
    assert len(spread["text.frames"]) == length
    back = operation.undo({"text.frames": spread["text.frames"]}, SPECS)["text"]
    kept = min(len(given_["text"]), length)
    assert np.array_equal(back.ids, given_["text"].ids[:kept])
    assert operation.specs(SPECS)["text.frames"].rate == SPECS["codec.0"].rate
    again = operation({"text": back, "codec.0": given_["codec.0"]}, SPECS, RNG)["text.frames"]
    assert np.array_equal(again.ids, spread["text.frames"].ids) or kept == length


def test_symbols_of_the_text_that_mean_padding_are_left_out():
    drawn = example([(3, 3), (5, 0), (7, 8)], 10)
    assert SpreadWords(pad=3, end_pad=0)(drawn, SPECS, RNG)["text.frames"].ids.tolist() == [3] * 6 + [0, 8, 3, 3]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: SpreadWords(pad=3, end_pad=3), "the symbol 3 both for padding and its end"),
        (lambda: SpreadWords(pad=30).specs(SPECS), "30 is no symbol of 'text', which has 0 to 29"),
        (lambda: SpreadWords(like="text").specs(SPECS), "that stream has no rate"),
        (lambda: SpreadWords("codec.0").specs(SPECS), "spreads irregular symbols"),
        (
            lambda: SpreadWords()({"text": Stream(np.arange(2)), "codec.0": Stream(np.arange(3))}, SPECS, RNG),
            "when the items of 'text' begin",
        ),
    ],
)
def test_what_cannot_be_spread_is_said(wrong, says):
    with pytest.raises(BadInput, match=says):
        wrong()
    assert isinstance(SpreadWords(), Operation)
