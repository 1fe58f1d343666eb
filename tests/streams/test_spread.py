"""Frames hold what sounds in their middle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import TICKS, BadInput, Operation, Spec, Stream, ticks
from oration.streams import Frames, spread

RNG = np.random.default_rng(0)
SPECS = {"phones": Spec(40), "units": Spec(100, 50)}


@given(st.lists(st.integers(0, 2000), max_size=20), st.sampled_from([25, 50, 100]), st.integers(0, 120))
def test_each_frame_holds_the_last_item_that_began_by_its_centre(milliseconds, rate, length):
    onsets = np.array(sorted(milliseconds), dtype=np.int64) * (TICKS // 1000)
    ids = np.arange(1, len(onsets) + 1)
    frames = spread(Stream(ids, onsets), rate, length).ids
    want = []
    for frame in range(length):
        begun = [i for i, onset in zip(ids, onsets, strict=True) if onset * 2 * rate <= (2 * frame + 1) * TICKS]
        want.append(begun[-1] if begun else 0)
    assert frames.tolist() == want


def test_frames_take_the_duration_of_the_stream_they_are_like():
    phones = Stream(np.array([3, 8]), onsets=np.array([ticks(0.01), ticks(0.03)]))
    example = {"phones": phones, "units": Stream(np.zeros(5, int))}
    got = Frames(rate=100, like="units", fill=39)(example, SPECS, RNG)
    assert got["phones.frames"].ids.tolist() == [39, 3, 3, 8, 8, 8, 8, 8, 8, 8]
    assert got["units"] is example["units"]
    assert Frames(rate=100).specs(SPECS) == {"phones.frames": Spec(40, 100)}
    assert Frames(like="units").needs == ("phones", "units")
    assert isinstance(Frames(), Operation)


def test_alone_the_frames_end_with_the_one_the_last_item_begins_in():
    def length(second):
        stream = Stream(np.array([1]), onsets=np.array([ticks(second)]))
        return len(Frames(rate=50)({"phones": stream}, SPECS, RNG)["phones.frames"])

    assert [length(s) for s in (0.0, 0.019, 0.02, 0.021, 1.0)] == [1, 1, 2, 2, 51]
    assert len(Frames()({"phones": Stream(np.zeros(0, int))}, SPECS, RNG)["phones.frames"]) == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Frames(stream="units").specs(SPECS), "'units' has rate 50"),
        (lambda: Frames(fill=40).specs(SPECS), "fill=40.*0 to 39"),
        (lambda: Frames(like="phones").specs(SPECS), "like='phones'"),
        (lambda: Frames(like="units")({"phones": Stream(np.arange(3)), "units": Stream(np.arange(3))}, SPECS, RNG),
         "3 items without onsets"),
    ],
)  # fmt: skip
def test_what_cannot_be_spread_is_said(wrong, says):
    with pytest.raises(BadInput, match=says):
        wrong()
