"""Floor 0: what the types refuse, and that time is counted exactly."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import (
    ABSENT,
    GIVEN,
    PREDICT,
    TICKS,
    BadInput,
    Dense,
    Grid,
    OrationError,
    Spec,
    Stream,
    Vocab,
    Waveform,
    collate,
    optional,
    pack,
    ticks,
)


def test_a_waveform_knows_its_seconds_and_cuts_by_seconds():
    wave = Waveform(np.arange(16000) / 16000, 16000)
    assert wave.seconds == 1.0
    assert wave.samples.dtype == np.float32
    assert len(wave.cut(0.25, 0.5)) == 4000
    assert wave.cut(0.25, 0.5).samples[0] == np.float32(0.25)
    assert len(wave.cut(0.9, 5.0)) == 1600
    assert len(wave.cut(3.0)) == 0


@pytest.mark.parametrize(
    ("samples", "rate", "says"),
    [
        (np.zeros((2, 10)), 16000, r"one channel.*\(2, 10\)"),
        (np.array([0.0, np.nan]), 16000, "sample 1 of 2 is nan"),
        (np.array([np.inf]), 16000, "sample 0 of 1 is inf"),
        (np.zeros(3), 0, "above 0, but got 0"),
    ],
)
def test_a_waveform_refuses_what_is_no_sound(samples, rate, says):
    with pytest.raises(BadInput, match=says):
        Waveform(samples, rate)


@pytest.mark.parametrize(
    "rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000, 12.5, 25, 50, 75, 100, Fraction(44100, 2048)]
)
def test_every_rate_in_use_is_a_whole_number_of_ticks(rate):
    assert TICKS % Fraction(rate) == 0 or (TICKS / Fraction(rate)).denominator == 1


@given(st.integers(0, 10**6), st.sampled_from([12.5, 16.0, 50.0, 100.0, 7.3, 1 / 3]))
def test_onsets_do_not_drift(item, rate):
    spec = Spec(10, rate)
    exact = item * Fraction(TICKS) / Fraction(spec.rate)
    assert spec.onsets(item + 1)[-1] == exact.numerator // exact.denominator if item < 1000 else True


def test_a_spec_counts_items_that_begin_in_time():
    spec = Spec(512, 50)
    assert [spec.length(s) for s in (0, 0.019, 0.02, 0.021, 1.0)] == [0, 1, 1, 2, 50]
    assert spec.bits_per_second == 450
    assert Spec(9).bits_per_second is None
    assert 3 * ticks(0.4) == ticks(1.2)
    with pytest.raises(BadInput, match="has no length"):
        Spec(9).length(1.0)
    with pytest.raises(BadInput, match="size >= 1"):
        Spec(0)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"ids": np.zeros((2, 2), int)}, "one dimension"),
        ({"ids": np.zeros(2)}, "whole numbers"),
        ({"ids": np.zeros(2, int), "onsets": np.zeros(3, int)}, "one per item"),
        ({"ids": np.zeros(2, int), "onsets": np.array([0.0, 0.5])}, "whole ticks"),
        ({"ids": np.zeros(2, int), "onsets": np.array([5, 4])}, "must not run backwards"),
        ({"ids": np.zeros(2, int), "values": np.zeros((3, 4))}, "one vector per item"),
    ],
)
def test_a_stream_refuses_what_does_not_fit(fields, says):
    with pytest.raises(BadInput, match=says):
        Stream(**fields)


def test_a_stream_is_checked_against_its_spec():
    with pytest.raises(BadInput, match=r"stream 'units' holds the id 10, expected 0 to 9"):
        Stream(np.array([3, 10])).verify("units", Spec(10, 50))
    with pytest.raises(BadInput, match="vectors of width 4, expected 0"):
        Stream.dense(np.zeros((2, 4))).verify("units", Spec(10, 50))
    Stream.dense(np.zeros((2, 4))).verify("mel", Spec(1, 100, dim=4))


def test_a_vocab_names_every_token_once():
    vocab = Vocab((("text", 5), ("units", 3), ("pad", 1)))
    assert [vocab.name(t) for t in range(vocab.size)] == [("text", i) for i in range(5)] + [
        ("units", 0),
        ("units", 1),
        ("units", 2),
        ("pad", 0),
    ]
    with pytest.raises(BadInput, match="outside this row's vocabulary of 9"):
        vocab.name(9)
    with pytest.raises(BadInput, match="has no 'f0'; it has"):
        vocab.offset("f0")


def grid(steps, k=2, start=0):
    return Grid(
        np.arange(start, start + k * steps).reshape(k, steps), np.full((k, steps), PREDICT, np.int8), ("a", "b")[:k]
    )


def test_collate_pads_on_the_right_with_absent_cells():
    batch = collate([grid(2), grid(4)], pads=[98, 99])
    assert batch.tokens[0, :, 2:].tolist() == [[98, 98], [99, 99]]
    assert (batch.role[0, :, 2:] == ABSENT).all()
    assert batch.segment.tolist() == [[0, 0, -1, -1], [0, 0, 0, 0]]


def test_pack_lays_grids_end_to_end_and_moves_their_vectors_along():
    with_dense = Grid(
        grid(3, 1).tokens, np.full((1, 3), GIVEN, np.int8), ("a",), {"mel": Dense(0, np.array([1]), np.ones((1, 2)))}
    )
    batch = pack([[grid(2, 1), with_dense]], pads=[50], length=8)
    assert batch.segment.tolist() == [[0, 0, 1, 1, 1, -1, -1, -1]]
    assert batch.position.tolist() == [[0, 1, 0, 1, 2, 0, 0, 0]]
    assert batch.dense["mel"].step.tolist() == [3]
    assert batch.to("cpu").dense["mel"].values.shape == (1, 2)


@pytest.mark.parametrize(
    ("lines", "length", "says"),
    [
        ([], None, "at least one line"),
        ([[grid(9)]], 8, "9 steps does not fit"),
        ([[grid(2), grid(2, 1)]], None, "share their rows"),
    ],
)
def test_pack_refuses(lines, length, says):
    with pytest.raises(BadInput, match=says):
        pack(lines, [0, 0], length)


def test_a_missing_package_names_its_extra():
    with pytest.raises(OrationError, match=r"ABX needs the package 'no_such_package'.*pip install 'oration\[eval\]'"):
        optional("no_such_package", "eval", "ABX")
