"""Nothing is lost by merging repeats."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import BadInput, Operation, Spec, Stream
from oration.streams import Dedup, Expand

RNG = np.random.default_rng(0)
units = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), max_size=30).map(
    lambda runs: np.array([unit for unit, length in runs for _ in range(length)], dtype=np.int64)
)


def merged(ids, longest, rate=50):
    specs = {"units": Spec(4, rate)}
    operation = Dedup(longest=longest)
    return operation({"units": Stream(ids)}, specs, RNG), {**specs, **operation.specs(specs)}


@given(units, st.integers(1, 6), st.sampled_from([12.5, 25, 50, 86.1328125]))
def test_expand_undoes_dedup(ids, longest, rate):
    example, specs = merged(ids, longest, rate)
    for name in ("units.runs", "units.durations"):
        example[name].verify(name, specs[name])
    pieces = {name: example[name] for name in ("units.runs", "units.durations")}
    expand = Expand(rate=rate)
    assert np.array_equal(expand(pieces, specs, RNG)["units"].ids, ids)
    assert expand.specs(specs) == {"units": specs["units"]}


@given(units, st.integers(1, 6))
def test_a_run_starts_where_its_first_frame_does(ids, longest):
    example, specs = merged(ids, longest)
    durations = example["units.durations"].ids + 1
    firsts = np.cumsum(durations) - durations
    assert np.array_equal(example["units.runs"].onsets, specs["units"].onsets(len(ids) + 1)[firsts])
    assert np.array_equal(example["units.runs"].onsets, example["units.durations"].onsets)


@given(units)
def test_with_room_enough_it_is_groupby(ids):
    example, _ = merged(ids, 300)
    groups = [(unit, len(list(group))) for unit, group in groupby(ids.tolist())]
    assert list(zip(example["units.runs"].ids, example["units.durations"].ids + 1, strict=True)) == groups


def test_other_streams_stay_and_the_promise_is_kept():
    text = Stream(np.array([1]))
    example = Dedup()({"units": Stream(np.array([2, 2])), "text": text}, {"units": Spec(4, 50)}, RNG)
    assert example["text"] is text
    assert set(example) == {"units", "text", "units.runs", "units.durations"}
    assert isinstance(Dedup(), Operation)
    assert isinstance(Expand(), Operation)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Dedup(longest=0), "longest=0"),
        (lambda: Dedup().specs({"units": Spec(4)}), "'units' has rate None"),
        (lambda: Dedup().specs({"units": Spec(1, 50, dim=3)}), "vectors of width 3"),
        (
            lambda: Expand()({"units.runs": Stream(np.arange(2)), "units.durations": Stream(np.arange(3))}, {}, RNG),
            "2 runs and 3 durations",
        ),
    ],
)
def test_what_cannot_be_merged_is_said(wrong, says):
    with pytest.raises(BadInput, match=says):
        wrong()
