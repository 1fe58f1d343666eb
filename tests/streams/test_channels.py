"""Streams renamed, made up, filled up and left out; pitch of runs, there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import TICKS, BadInput, Operation, Spec, Stream, from_record, to_record
from oration.streams import Alternate, Constant, Dedup, Drop, Rename, RunF0, Scattered, Silence

RNG = np.random.default_rng(0)
SPECS = {"units": Spec(9, 50), "codec.0": Spec(9, 12.5), "mel": Spec(1, 100, dim=2), "text": Spec(30)}
EXAMPLE = {"units": Stream(np.arange(8)), "text": Stream(np.arange(3))}


def test_a_name_changes_and_comes_back():
    rename = Rename({"units": "user.units"})
    made = rename(EXAMPLE, SPECS, RNG)
    assert set(made) == {"user.units", "text"}
    assert rename.specs(SPECS) == {"user.units": SPECS["units"]}
    assert rename.undo(made, SPECS) == EXAMPLE
    assert set(Rename({"units": "user.units"}, keep=True)(EXAMPLE, SPECS, RNG)) == {"units", "user.units", "text"}
    swapped = Rename({"units": "text", "text": "units"})
    assert swapped(EXAMPLE, SPECS, RNG)["units"] is EXAMPLE["text"]
    assert swapped.undo(swapped(EXAMPLE, SPECS, RNG), SPECS) == EXAMPLE


def test_a_constant_is_one_symbol_or_one_a_frame():
    task = Constant("task", 3, size=8)
    assert task.specs({}) == {"task": Spec(8)}
    assert task({}, {}, RNG)["task"].ids.tolist() == [3]
    silent = Constant("user.units", 7, like="units")
    assert silent.specs(SPECS) == {"user.units": SPECS["units"]}
    assert silent(EXAMPLE, SPECS, RNG)["user.units"].ids.tolist() == [7] * 8
    mel = Constant("user.mel", 0, like="mel")
    quiet = mel({"mel": Stream.dense(np.ones((3, 2)))}, SPECS, RNG)["user.mel"]
    quiet.verify("user.mel", mel.specs(SPECS)["user.mel"])
    assert not quiet.values.any()


@given(st.integers(0, 60), st.integers(0, 20))
def test_silence_lasts_as_long_as_what_it_is_like(units, codec):
    example = {"units": Stream(np.ones(units, int)), "codec.0": Stream(np.ones(codec, int)),
               "mel": Stream.dense(np.ones((codec, 2)))}  # fmt: skip
    made = Silence(("codec.0", "mel"), like="units", symbol=0)(example, SPECS, RNG)
    assert len(made["codec.0"]) == max(codec, -(-units // 4))
    assert len(made["mel"]) == max(codec, 2 * units)
    assert made["codec.0"].ids.sum() == codec
    assert made["mel"].values.sum() == 2 * codec


def test_conditions_are_dropped_together_as_often_as_asked():
    drop = Drop(("text", "units"), p=0.3)
    lengths = [[len(made[name]) for name in ("text", "units")]
               for made in (drop(EXAMPLE, SPECS, np.random.default_rng(s)) for s in range(400))]  # fmt: skip
    assert {tuple(pair) for pair in lengths} == {(0, 0), (3, 8)}
    assert np.mean([pair == [0, 0] for pair in lengths]) == pytest.approx(0.3, abs=0.06)
    assert drop.learning
    assert Drop(("text",), 0)(EXAMPLE, SPECS, RNG) is EXAMPLE


def pitched(lengths, hertz_ids, size=64):
    """Runs of so many frames of 20 ms, with F0 at 100 Hz constant in each."""
    specs = {"units": Spec(99, 50), "f0": Spec(size + 1, 100), "speaker": Spec(2)}
    units = np.repeat(np.arange(len(lengths)), lengths)
    example = {"units": Stream(units), "f0": Stream(np.repeat(hertz_ids, 2 * np.array(lengths, int)))}
    dedup = Dedup(longest=40, clip=True)
    return dedup(example, specs, RNG), specs | dedup.specs(specs)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 64)), max_size=12), st.booleans())
def test_pitch_of_runs_comes_back_within_its_bin(runs, known):
    lengths, symbols = [n for n, _ in runs], np.array([s for _, s in runs], int)
    example, specs = pitched(lengths, symbols)
    operation = RunF0(bins=200, reach=2.0, means=(100.0, 200.0) if known else ())
    example["speaker"] = Stream(np.array([1]))
    specs |= operation.specs(specs)
    made = operation(example, specs, RNG)
    made["units.f0"].verify("units.f0", specs["units.f0"])
    assert np.array_equal(made["units.f0"].onsets, example["units.runs"].onsets)
    assert np.array_equal(made["units.f0"].ids == 200, symbols == 64)
    if known:
        back = operation.undo({name: made[name] for name in ("units.f0", "units.durations", "speaker")}, specs)
        assert len(back["f0"]) == len(example["f0"])
        assert np.array_equal(back["f0"].ids == 64, example["f0"].ids == 64)
        assert (np.abs(back["f0"].ids - example["f0"].ids) <= 1).all()


def test_a_run_has_the_mean_of_its_voiced_frames_less_that_of_the_speaker():
    specs = {"units": Spec(9, 50), "f0": Spec(65, 50)}
    dedup = Dedup()
    specs |= dedup.specs(specs)
    ids = np.array([10, 30, 64, 50, 64])
    example = dedup({"units": Stream(np.array([1, 1, 1, 2, 3])), "f0": Stream(ids)}, specs, RNG)
    made = RunF0(bins=1000, reach=1.0)(example, specs, RNG)["units.f0"].ids
    width = np.log(400 / 60) / 64
    assert (made[1] - made[0]) / 500 == pytest.approx((50 - 20) * width, abs=0.003)
    assert made[2] == 1000
    assert made[0] / 500 - 1 == pytest.approx((20 - 30) * width, abs=0.003)
    assert RunF0().undo({"units.f0": Stream(made)}, specs).keys() == {"units.f0"}


def test_durations_are_clipped_and_undone():
    specs, units = {"units": Spec(9, 50)}, np.repeat([3, 4, 3], [5, 1, 2])
    clipped = Dedup(longest=3, clip=True)({"units": Stream(units)}, specs, RNG)
    assert clipped["units.runs"].ids.tolist() == [3, 4, 3]
    assert clipped["units.durations"].ids.tolist() == [2, 0, 1]
    merged = Dedup(longest=3)({"units": Stream(units)}, specs, RNG)
    only = {name: merged[name] for name in ("units.runs", "units.durations")}
    assert np.array_equal(Dedup().undo(only, specs)["units"].ids, units)
    only["units.durations"] = only["units.durations"].cut(0, 2)
    assert Dedup().undo(only, specs)["units"].ids.tolist() == [3] * 5
    assert Dedup().undo({"units.runs": only["units.runs"]}, specs).keys() == {"units.runs"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Rename({}), "Rename needs new names"),
        (lambda: Rename({"a": "c", "b": "c"}), "each once"),
        (lambda: Constant("task", 1), "needs a size"),
        (lambda: Constant("task", 5, size=5), "symbol 5 does not fit the size 5"),
        (lambda: Constant("user.text", 1, like="text").specs(SPECS), "cannot be like 'text'"),
        (lambda: Silence(("text",), like="units").specs(SPECS), "'text' is Spec"),
        (lambda: Silence(("units",), like="units", symbol=9).specs(SPECS), "the symbol 9"),
        (lambda: Drop("text", 0.1), "name streams in a tuple"),
        (lambda: Drop(("text",), 1.1), "give p from 0 to 1"),
        (lambda: RunF0(bins=0), "bins >= 1"),
        (lambda: RunF0().specs({"units": Spec(9, 50), "f0": Spec(65)}), "both need a rate"),
        (lambda: RunF0(means=(120.0,)).specs({"units": Spec(9, 50), "f0": Spec(65, 100), "speaker": Spec(2)}),
         "1 speakers, but 'speaker' has 2"),
        (lambda: RunF0()({"units.runs": Stream(np.arange(2)), "f0": Stream(np.arange(2))},
                         {"units": Spec(9, 50), "f0": Spec(65, 100)}, RNG), "make them by Dedup"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(wrong, says):
    with pytest.raises(BadInput, match=says) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_they_are_operations_and_can_be_recorded():
    for operation in (
        Rename({"units": "user.units"}), Constant("task", 1, size=2), Silence(("units",), "codec.0"),
        Drop(("text",), 0.1), RunF0(), Alternate(spans=Scattered(mean=5.0)),
    ):  # fmt: skip
        assert isinstance(operation, Operation)
        assert from_record(to_record(operation)) == operation
    assert TICKS
