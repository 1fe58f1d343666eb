"""Turns, pauses, gaps and overlaps: by hand, and the sums that hold for any dialogue."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import BadInput
from oration.evaluate.turn_taking import KINDS, active, correlations, distances, ipus, turn_taking

RATE = 100
spans = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 200)), max_size=8).map(
    lambda found: [(start, min(1000, start + size)) for start, size in found]
)


def test_a_dialogue_by_hand():
    #          solo A        gap   solo B    A interrupts          feedback of B inside A   pause of A
    a = [(10, 100), (200, 300), (340, 400)]
    b = [(130, 220), (250, 270)]
    got = turn_taking(a, b, rate=RATE, length=450)
    assert got.spans["gap"] == ((100, 130),)
    assert got.spans["overlap"] == ((200, 220), (250, 270))
    assert got.spans["pause"] == ((300, 340),)
    assert got.spans["turn"] == ((10, 100), (130, 220), (200, 400))
    assert got.edges == 10 + 50
    assert got.mean("gap") == pytest.approx(0.3)
    assert got.per_minute("turn") == pytest.approx(3 * 60 / 4.5)
    assert got.seconds_per_minute("overlap") == pytest.approx(0.4 * 60 / 4.5)


def test_a_silence_of_exactly_the_bridge_is_kept():
    assert ipus([(0, 10), (30, 40)], RATE) == [(0, 10), (30, 40)]
    assert ipus([(0, 10), (29, 40)], RATE) == [(0, 40)]
    assert ipus([(20, 50), (0, 30), (5, 10)], RATE) == [(0, 50)]


def test_corners():
    both = turn_taking([(0, 100)], [(0, 100)], rate=RATE, length=100)
    assert both.spans["overlap"] == ((0, 100),)
    assert both.spans["turn"] == ((0, 100),), "one of two equal IPUs is feedback"
    start = turn_taking([(50, 100)], [(50, 150)], rate=RATE, length=200)
    assert (start.spans["pause"], start.spans["gap"], start.edges) == ((), (), 100), "edges are neither"
    end = turn_taking([(0, 100), (150, 200)], [(50, 100)], rate=RATE, length=200)
    assert end.spans["pause"] == ((100, 150),), "both stop together, one of them goes on"
    silent = turn_taking([], [], rate=RATE, length=300)
    assert silent.edges == 300
    assert silent.spans["turn"] == ()
    assert math.isnan(turn_taking([], [], rate=RATE, length=0).per_minute("gap"))


@given(spans, spans)
def test_every_sample_is_of_one_kind(a, b):
    got = turn_taking(a, b, rate=RATE, length=1000)
    parts = sum(stop - start for kind in ("pause", "gap", "overlap") for start, stop in got.spans[kind])
    assert parts + got.solo + got.edges == 1000
    turned = turn_taking(b, a, rate=RATE, length=1000)
    assert all(got.spans[kind] == turned.spans[kind] for kind in ("ipu", "pause", "gap", "overlap"))
    assert sum(len(got.spans[k]) for k in ("pause", "gap")) <= len(got.spans["ipu"])


@given(spans, spans)
def test_turns_alternate_and_hold_all_speech_but_feedback(a, b):
    got = turn_taking(a, b, rate=RATE, length=1000)
    heard = np.zeros(1000, bool)
    for start, stop in got.spans["turn"]:
        heard[start:stop] = True
    for start, stop in got.spans["ipu"]:
        assert heard[start:stop].all()


def test_distance_and_correlation():
    dialogues = [turn_taking([(0, 100)], [(100 + g, 300)], rate=RATE, length=300) for g in (30, 50, 70)]
    longer = [turn_taking([(0, 100)], [(110 + g, 300)], rate=RATE, length=300) for g in (30, 50, 70)]
    assert distances(dialogues, longer)["gap"] == pytest.approx(0.1)
    assert distances(dialogues, dialogues)["turn"] == 0
    assert math.isnan(distances(dialogues, [])["gap"])
    assert math.isnan(distances(dialogues, longer)["overlap"])
    found = correlations(dialogues, longer)
    assert found["gap"] == pytest.approx(1)
    assert math.isnan(found["pause"])
    assert set(found) == set(KINDS)
    with pytest.raises(BadInput, match="3 prompts and 0"):
        correlations(dialogues, [])


@given(st.lists(st.booleans(), max_size=30))
def test_active_frames_are_the_spans(frames):
    found = np.zeros(len(frames), bool)
    for start, stop in active(np.array(frames, bool), 1):
        found[start:stop] = True
    assert found.tolist() == frames


def test_bad_input():
    with pytest.raises(BadInput, match="ends after it starts"):
        ipus([(5, 5)], RATE)
    with pytest.raises(BadInput, match="does not lie in a dialogue of 50"):
        turn_taking([(0, 60)], [], rate=RATE, length=50)
