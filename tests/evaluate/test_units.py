"""Purities, PNMI and bitrates of units: by hand and as properties."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput, Spec, Stream
from oration.data.manifest import Clip
from oration.evaluate.units import cost, frame_labels, purity


def same(label):
    return label


def clip(labels, rate=50.0, name="c"):
    """A clip with one phone a frame."""
    phones = tuple((i / rate, (i + 1) / rate, label) for i, label in enumerate(labels))
    return Clip(id=name, path=Path("none.wav"), seconds=len(labels) / rate, phones=phones)


def test_by_hand():
    units = [Stream(np.array([0, 0, 1, 1])), Stream(np.array([1, 2]))]
    got = purity(units, [clip("AABB"), clip("AC")], Spec(4, 50), fold=same)
    # p(A,0) = 2/6, p(B,1) = 2/6, p(A,1) = 1/6, p(C,2) = 1/6
    assert got.phone_purity.value == pytest.approx(5 / 6)
    assert got.cluster_purity.value == pytest.approx(5 / 6)
    phone = -(0.5 * math.log(1 / 2) + 1 / 3 * math.log(1 / 3) + 1 / 6 * math.log(1 / 6))
    given_unit = 0.5 * (-(2 / 3) * math.log(2 / 3) - 1 / 3 * math.log(1 / 3))
    assert got.pnmi.value == pytest.approx((phone - given_unit) / phone)
    assert (got.frames, got.phones, got.units) == (6, 3, 3)


def test_a_frame_takes_the_phone_at_its_centre():
    phones = ((0.0, 0.025, "A"), (0.025, 0.05, "B"), (0.07, 0.1, "C"))
    c = Clip(id="x", path=Path("x"), seconds=0.1, phones=phones)
    assert frame_labels(c, 5, 50, same) == ["A", "B", None, "C", "C"]
    assert frame_labels(c, 5, 50, same, offset=0.0) == ["A", "A", "B", None, "C"]
    assert frame_labels(Clip(id="x", path=Path("x"), seconds=1.0), 2, 50, same) == [None, None]


labels = st.lists(st.sampled_from("ABCD"), min_size=2, max_size=30)


@given(labels, st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_units_that_are_phones_are_perfect_and_units_that_say_nothing_give_zero(names, shift):
    ids = np.array(["ABCD".index(n) for n in names])
    clips = [clip(names), clip(names)]
    perfect = purity([Stream((ids + shift) % 8)] * 2, clips, Spec(8, 50), fold=same)
    assert perfect.phone_purity.value == perfect.cluster_purity.value == 1
    silent = purity([Stream(np.zeros(len(ids), int))] * 2, clips, Spec(8, 50), fold=same)
    assert silent.cluster_purity.value == 1
    share = max(names.count(n) for n in set(names)) / len(names)
    assert silent.phone_purity.value == pytest.approx(share)
    if len(set(names)) > 1:
        assert perfect.pnmi.value == pytest.approx(1)
        assert silent.pnmi.value == pytest.approx(0, abs=1e-9)


def test_intervals_hold_the_value_and_shrink_with_clips():
    rng = np.random.default_rng(0)

    def some(n):
        truth = [rng.integers(0, 4, 40) for _ in range(n)]
        heard = [np.where(rng.random(40) < 0.7, t, rng.integers(0, 4, 40)) for t in truth]
        return purity([Stream(h) for h in heard], [clip(["ABCD"[i] for i in t]) for t in truth], Spec(4, 50), fold=same)

    few, many = some(10), some(160)
    for got in (few, many):
        for one in (got.phone_purity, got.cluster_purity, got.pnmi):
            assert one.low < one.value < one.high
    assert many.pnmi.high - many.pnmi.low < 0.5 * (few.pnmi.high - few.pnmi.low)


def test_silence_can_be_left_out_and_labels_folded():
    units = [Stream(np.array([0, 0, 1, 2]))] * 2
    clips = [clip(["h#", "pau", "iy", "ix"])] * 2

    def fold(label):
        return {"h#": "SIL", "pau": "SIL", "iy": "IY", "ix": "IH"}[label]

    assert purity(units, clips, Spec(4, 50), fold=fold).frames == 8
    assert purity(units, clips, Spec(4, 50), fold=fold, leave_out=("SIL",)).frames == 4


def test_cost_by_hand():
    units = [Stream(np.array([0, 0, 0, 1])), Stream(np.array([1, 1, 2, 2]))]
    got = cost(units, Spec(4, 50))
    assert got.seconds == pytest.approx(8 / 50)
    assert got.nominal_bitrate == 100
    assert got.used.value == 0.75
    # Frames 3, 3, 2 of 8.
    bits = -2 * 3 / 8 * math.log2(3 / 8) - 1 / 4 * math.log2(1 / 4)
    assert got.entropy_bitrate.value == pytest.approx(50 * bits)
    assert got.perplexity.value == pytest.approx(2**bits)
    # Runs 0 x 3, 1 x 1, 1 x 2, 2 x 2: units 1, 2, 1 of 4, lengths one 1, two 2, one 3. A run never crosses clips.
    assert got.runs_per_second.value == pytest.approx(4 / (8 / 50))
    assert got.run_units_bitrate.value == pytest.approx(25 * 1.5)
    assert got.runs_bitrate.value == pytest.approx(25 * (1.5 + 1.5))


@given(st.lists(st.lists(st.integers(0, 7), max_size=20), min_size=1, max_size=4).filter(any))
@settings(max_examples=40, deadline=None)
def test_costs_are_bounded(ids):
    got = cost([Stream(np.array(part, int)) for part in ids], Spec(8, 25))
    assert 0 <= got.entropy_bitrate.value <= got.nominal_bitrate + 1e-9
    assert 0 < got.used.value <= 1
    assert 1 <= got.perplexity.value <= 8 * got.used.value + 1e-9
    assert got.runs_per_second.value <= 25 + 1e-9
    assert got.run_units_bitrate.value <= got.runs_bitrate.value + 1e-9


def test_bad_input():
    units, clips = [Stream(np.array([0, 1]))], [clip("AB")]
    with pytest.raises(BadInput, match="1 unit streams for 2 clips"):
        purity(units, clips * 2, Spec(4, 50), fold=same)
    with pytest.raises(BadInput, match="irregular"):
        cost([Stream(np.array([0, 1]), onsets=np.array([0, 5]))], Spec(4, 50))
    with pytest.raises(BadInput, match="need a rate"):
        cost(units, Spec(4))
    with pytest.raises(BadInput, match="expected 0 to 0"):
        cost(units, Spec(1, 50))
    with pytest.raises(BadInput, match="without a single unit"):
        cost([Stream(np.zeros(0, int))], Spec(4, 50))
    with pytest.raises(BadInput, match="has a phone"):
        purity(units, [Clip(id="x", path=Path("x"), seconds=1.0)], Spec(4, 50), fold=same)
