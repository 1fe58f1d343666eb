"""Intervals: known cases, coverage, pairing, clusters, JSON."""

import json
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput
from oration.evaluate.interval import UNSAVED, Bootstrap, Estimate, plain, to_json


def test_the_mean_of_many_clips_has_the_textbook_interval():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    got = Bootstrap(rounds=4000).mean(values)
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert got.value == pytest.approx(values.mean())
    assert got.low == pytest.approx(values.mean() - half, abs=0.03)
    assert got.high == pytest.approx(values.mean() + half, abs=0.03)
    assert got.n == 400


@pytest.mark.parametrize("n", [8, 30])
def test_intervals_cover_the_truth_95_times_of_100(n):
    rng = np.random.default_rng(n)
    hits = 0
    for trial in range(600):
        got = Bootstrap(rounds=400, seed=trial).mean(rng.normal(size=n))
        hits += got.low <= 0 <= got.high
    assert 0.92 <= hits / 600 <= 0.98


def test_a_ratio_of_sums_is_not_a_mean_of_ratios():
    got = Bootstrap().ratio([0, 3], [1, 9])
    assert got.value == pytest.approx(0.3)
    assert Bootstrap().ratio([4.0, 5.0], [1, 1], then=np.sqrt).value == pytest.approx(math.sqrt(4.5))


def test_clips_of_one_speaker_do_not_count_as_independent():
    speakers = np.repeat(np.arange(10), 20)
    values = np.random.default_rng(1).normal(size=10)[speakers]
    by_clip = Bootstrap().mean(values)
    by_speaker = Bootstrap().mean(values, clusters=speakers)
    assert by_speaker.value == pytest.approx(by_clip.value)
    assert by_speaker.n == 10
    assert by_speaker.high - by_speaker.low > 3 * (by_clip.high - by_clip.low)


def test_a_paired_difference_sees_what_two_intervals_hide():
    rng = np.random.default_rng(2)
    words = rng.integers(5, 15, 60)
    hard = rng.integers(0, 5, 60)
    worse = hard + rng.integers(0, 2, 60)
    base, other = Bootstrap().ratio(hard, words), Bootstrap().ratio(worse, words)
    assert other.low < base.high, "the two intervals overlap"
    gap = Bootstrap().difference((worse, words), (hard, words))
    assert gap.value == pytest.approx(other.value - base.value)
    assert gap.low > 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=12), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_value_lies_inside_and_the_seed_decides_everything(clips, seed):
    over, under = zip(*clips, strict=True)
    bootstrap = Bootstrap(rounds=60, seed=seed)
    got = bootstrap.ratio(over, under)
    assert got == bootstrap.ratio(over, under) or math.isnan(got.low)
    shares = [o / u for o, u in clips]
    assert min(shares) - 1e-12 <= got.value <= max(shares) + 1e-12
    if len(clips) == 1:
        assert math.isnan(got.low)
        assert math.isnan(got.high)
    else:
        assert min(shares) - 1e-12 <= got.low <= got.high <= max(shares) + 1e-12


def test_draws_are_multinomial_and_cut_in_pieces_without_a_change():
    whole = np.concatenate(list(Bootstrap(rounds=50, seed=3).draws(7)))
    pieces = np.concatenate(list(Bootstrap(rounds=50, seed=3).draws(7, width=400_000)))
    assert whole.shape == (50, 7)
    assert (whole.sum(1) == 7).all()
    assert (whole == pieces).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda b: b.mean([]), "needs clips"),
        (lambda b: b.mean([1.0, math.nan]), "clip 1 of 2"),
        (lambda b: b.mean([1.0, 2.0], clusters=["a"]), "1 cluster labels for 2 clips"),
        (lambda b: b.difference(([1], [1]), ([1, 2], [1, 2])), "same clips"),
    ],
)
def test_errors_say_what_is_wrong(call, words):
    with pytest.raises(BadInput, match=words):
        call(Bootstrap(rounds=10))


def test_results_become_strict_json():
    @dataclass(frozen=True)
    class Result:
        wer: Estimate
        names: tuple[str, ...]
        table: dict[str, float]
        counts: np.ndarray
        cells: np.ndarray = field(metadata=UNSAVED)

    result = Result(Estimate(0.5, math.nan, math.nan, 1), ("ä",), {"x": np.float32(0.5)}, np.arange(2), np.zeros(3))
    back = json.loads(to_json(result))
    assert back == {
        "wer": {"value": 0.5, "low": None, "high": None, "n": 1}, "names": ["ä"], "table": {"x": 0.5}, "counts": [0, 1],
    }  # fmt: skip
    with pytest.raises(BadInput, match="object"):
        plain(object())


def test_printing():
    assert f"{Estimate(0.28812, 0.21, 0.3612, 9):.3f}" == "0.288 [0.210, 0.361]"
    assert f"{Estimate(0.5, math.nan, math.nan, 1):.1f}" == "0.5 [?]"
    assert Estimate(0.5, 0.25, 0.75, 9).times(100) == Estimate(50.0, 25.0, 75.0, 9)
    assert Estimate(1, 0.5, 2, 9).times(-1) == Estimate(-1, -2, -0.5, 9)
