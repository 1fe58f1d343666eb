"""What is cut in two is still all there; two turns on one clock are as long as both."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import TICKS, BadInput, Operation, Spec, Stream, ticks
from oration.streams import SideBySide, TakeTurns

SPECS = {
    "units": Spec(9, 50),
    "codec.0": Spec(9, 12.5),
    "mel": Spec(1, 100, dim=2),
    "text": Spec(30),
    "phonemes": Spec(30),
    "speaker": Spec(4),
}
NAMES = tuple(SPECS)


def clip(frames, words, rng, timed=True):
    """`frames` of 80 ms, and words that begin at random multiples of 10 ms."""
    onsets = np.sort(rng.integers(0, 8 * frames, words)) * (TICKS // 100) if frames else np.zeros(0, int)
    return {
        "units": Stream(rng.integers(0, 9, 4 * frames)),
        "codec.0": Stream(rng.integers(0, 9, frames)),
        "mel": Stream.dense(rng.normal(size=(8 * frames, 2))),
        "text": Stream(rng.integers(0, 30, len(onsets)), onsets if timed else None),
        "phonemes": Stream(rng.integers(0, 30, 2 * words)),
        "speaker": Stream(np.array([3])),
    }


def both(cut, name):
    return np.concatenate([cut["user." + name].ids, cut[name].ids])


@given(st.integers(0, 40), st.integers(0, 12), st.booleans(), st.integers(0, 999))
def test_nothing_is_lost_and_everything_is_cut_at_one_time(frames, words, timed, seed):
    example = clip(frames, words, np.random.default_rng(seed), timed)
    operation = TakeTurns(NAMES)
    cut, specs = operation(example, SPECS, np.random.default_rng(seed)), SPECS | operation.specs(SPECS)
    for name in NAMES:
        for side in (name, "user." + name):
            cut[side].verify(side, specs[side])
        if name != "speaker" and not (specs[name].rate is None and len(example[name]) == 1):
            assert np.array_equal(both(cut, name), example[name].ids)
    assert cut["speaker"] is cut["user.speaker"] is example["speaker"]
    border = len(cut["user.codec.0"]) * TICKS * 2 // 25
    assert len(cut["user.units"]) == 4 * len(cut["user.codec.0"])
    assert len(cut["user.mel"]) == 8 * len(cut["user.codec.0"])
    assert np.array_equal(np.concatenate([cut["user.mel"].values, cut["mel"].values]), example["mel"].values)
    if timed:
        assert (cut["user.text"].onsets < border + TICKS * 2 // 25).all()
        assert (cut["text"].onsets >= 0).all()
        moved = np.concatenate([cut["user.text"].onsets, cut["text"].onsets + border])
        assert np.array_equal(moved, example["text"].onsets)


@given(st.integers(2, 12), st.integers(0, 999))
def test_the_cut_falls_between_words_near_the_middle(words, seed):
    rng = np.random.default_rng(seed)
    onsets = np.repeat(np.sort(rng.choice(np.arange(1, 400), words, replace=False)), 3) * (TICKS // 100)
    example = {"units": Stream(np.zeros(200, int)), "text": Stream(np.zeros(3 * words, int), onsets)}
    cut = TakeTurns(("units", "text"))(example, SPECS, rng)
    assert len(cut["text"]) % 3 == 0  # three pieces a word
    assert len(cut["text"])
    where = onsets[len(cut["user.text"])] / (4 * TICKS)
    if ((onsets >= TICKS) & (onsets <= 3 * TICKS)).any():
        assert 0.25 <= where <= 0.75


def test_chance_alone_chooses_the_place_and_a_pause_is_taken_where_there_is_one():
    example = clip(40, 20, np.random.default_rng(0))
    cuts = {len(TakeTurns(("units",))(example, SPECS, np.random.default_rng(s))["units"]) for s in range(20)}
    again = [len(TakeTurns(("units",))(example, SPECS, np.random.default_rng(5))["units"]) for _ in range(3)]
    assert len(cuts) > 3
    assert len(set(again)) == 1
    phones = Stream(np.array([4, 5, 0, 6, 7]), np.array([ticks(s) for s in (0, 0.5, 1.5, 1.6, 1.9)]))
    specs, example = {"units": Spec(9, 50), "phones": Spec(40)}, {"units": Stream(np.zeros(150, int)), "phones": phones}
    for seed in range(5):
        cut = TakeTurns(("units",), at="phones", pause=0)(example, specs, np.random.default_rng(seed))
        assert (len(cut["user.units"]), len(cut["units"])) == (75, 75)
        assert cut["phones"] is phones  # only the streams that are named are cut


def test_streams_without_any_time_are_cut_in_half():
    example = {"phonemes": Stream(np.arange(7))}
    cut = TakeTurns(("phonemes",), "other.")(example, SPECS, np.random.default_rng(0))
    assert (cut["other.phonemes"].ids.tolist(), cut["phonemes"].ids.tolist()) == ([0, 1, 2, 3], [4, 5, 6])


@given(st.integers(0, 20), st.integers(0, 8), st.integers(0, 99))
def test_side_by_side_both_parties_last_as_long_as_the_clip(frames, words, seed):
    names, rng = ("units", "codec.0", "mel", "text"), np.random.default_rng(seed)
    example, turns, clock = clip(frames, words, rng), TakeTurns(names), SideBySide(names, silence=(1, 2, 0, 0))
    specs = SPECS | turns.specs(SPECS)
    assert clock.specs(specs) == {}
    duplex = clock(turns(example, SPECS, rng), specs, rng)
    for name in names[:3]:
        quiet = {"units": 1, "codec.0": 2, "mel": 0}[name]
        mine, theirs = duplex[name], duplex["user." + name]
        assert len(mine) == len(theirs) == len(example[name])
        whole = np.where(np.arange(len(mine)) < _turn(duplex, name, quiet, example), theirs.ids, mine.ids)
        assert np.array_equal(whole, example[name].ids)
    times = np.concatenate([duplex["user.text"].onsets, duplex["text"].onsets])
    assert np.array_equal(times, example["text"].onsets)


def _turn(duplex, name, quiet, example):
    """How many frames the user's turn has: those after it are silent."""
    ids = duplex["user." + name].ids
    for count in range(len(ids) + 1):
        theirs = (ids[count:] == quiet).all() and np.array_equal(ids[:count], example[name].ids[:count])
        if theirs and (duplex[name].ids[:count] == quiet).all():
            return count
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: TakeTurns("units"), "name them in a tuple"),
        (lambda: TakeTurns(()), "name them in a tuple"),
        (lambda: TakeTurns(("units",), ""), "needs a prefix"),
        (lambda: TakeTurns(("units",), middle=2), "middle=2.*from 0 to 1"),
        (
            lambda: TakeTurns(("units",), at="text")(clip(9, 5, np.random.default_rng(0), False), SPECS, None),
            "when the items of 'text' begin",
        ),
        (lambda: SideBySide(("units",), silence=(1, 2)), "1 streams got 2 symbols"),
        (
            lambda: SideBySide(("units",), silence=(9,)).specs({"units": SPECS["units"], "user.units": SPECS["units"]}),
            "has the ids 0 to 8",
        ),
    ],
)
def test_what_cannot_be_cut_is_said(wrong, says):
    with pytest.raises(BadInput, match=says) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_they_are_operations_for_training_alone():
    for operation in (TakeTurns(NAMES), SideBySide(NAMES)):
        assert isinstance(operation, Operation)
        assert operation.learning
