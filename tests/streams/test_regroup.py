"""Groups, pools and chunks: what they make, and what comes back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import TICKS, BadInput, Operation, Spec, Stream, ticks
from oration.layouts import Chunk, Layout, Weave, vocabs
from oration.streams import DedupInChunks, Group, Pool

RNG = np.random.default_rng(0)
SPECS = {"units": Spec(5, 50), "speech": Spec(1, 50, dim=3), "text": Spec(30)}
ids = st.lists(st.integers(0, 4), max_size=40).map(lambda drawn: np.array(drawn, np.int64))


@given(ids, st.integers(1, 5), st.sampled_from([None, 0, 4, 5]))
def test_groups_give_their_stream_back(drawn, size, fill):
    group = Group("units", size, fill=fill)
    made, specs = group({"units": Stream(drawn)}, SPECS, RNG), group.specs(SPECS)
    assert set(specs) == set(group.gives)
    for place, name in enumerate(group.gives):
        made[name].verify(name, specs[name])
        assert specs[name].rate * size == 50
        assert np.array_equal(made[name].ids[: len(drawn[place::size])], drawn[place::size])
    back = group.undo({name: made[name] for name in group.gives}, SPECS)["units"].ids
    assert np.array_equal(back[: len(drawn)], drawn)
    assert len(back) - len(drawn) in (range(1) if fill == 5 else range(size))
    assert set(back[len(drawn) :]) <= ({drawn[-1]} if fill is None and len(drawn) else {fill})


def test_groups_of_vectors_and_of_items_with_onsets():
    speech = Stream.dense(np.arange(12).reshape(4, 3))
    group = Group("speech", 3, into="speech.part")
    made = group({"speech": speech}, SPECS, RNG)
    assert made["speech.part.2"].values.tolist() == [[6, 7, 8], [9, 10, 11]]
    assert group.undo(made, SPECS)["speech"].values[:4].tolist() == speech.values.tolist()
    text = Stream(np.arange(3), np.array([5, 9, 20]))
    assert Group("text", 2)({"text": text}, SPECS, RNG)["group.1"].onsets.tolist() == [5, 20]
    ragged = {"group.0": Stream(np.array([1, 2, 3])), "group.1": Stream(np.array([4]))}
    assert Group("units", 2).undo(ragged, SPECS)["units"].ids.tolist() == [1, 4]


@given(st.integers(0, 20), st.integers(1, 6))
def test_a_pool_is_the_mean_of_what_it_covers(count, factor):
    speech = Stream.dense(np.random.default_rng(count).normal(size=(count, 3)))
    pool = Pool("speech", factor)
    pooled = pool({"speech": speech}, SPECS, RNG)["speech.pooled"]
    pooled.verify("pooled", pool.specs(SPECS)["speech.pooled"])
    want = [speech.values[at : at + factor].mean(0) for at in range(0, count, factor)]
    assert np.allclose(pooled.values, np.reshape(want, (-1, 3)), atol=1e-6)
    beside = Pool("speech", factor, "stack")
    stacked = beside({"speech": speech}, SPECS, RNG)["speech.pooled"]
    stacked.verify("stacked", beside.specs(SPECS)["speech.pooled"])
    assert np.array_equal(stacked.values.reshape(-1, 3)[:count], speech.values)


@given(ids, st.sampled_from([0.04, 0.16, 0.1, 0.25]), st.sampled_from([12.5, 25, 50, 86.1328125]))
def test_chunks_merge_repeats_and_share_their_frames_out_again(drawn, seconds, rate):
    specs = {"units": Spec(5, rate)}
    merge = DedupInChunks(seconds=seconds)
    if seconds * rate < 1:
        with pytest.raises(BadInput, match="shorter than a frame"):
            merge.specs(specs)
        return
    made = merge({"units": Stream(drawn)}, specs, RNG)
    chunked = made["units.chunked"]
    long = ticks(seconds)
    frames, items = specs["units"].onsets(len(drawn)) // long, chunked.onsets // long
    back = merge.undo({"units.chunked": chunked}, specs)["units"].ids
    for chunk in range(frames[-1] + 1 if len(drawn) else 0):
        own, kept = drawn[frames == chunk], chunked.ids[items == chunk]
        assert kept.tolist() == [unit for at, unit in enumerate(own) if at == 0 or own[at - 1] != unit]
        spread = back[: len(drawn)][frames == chunk]
        if chunk < frames[-1]:  # the last chunk need not be full
            counts = [np.sum(spread == unit) for unit in set(kept)]
            assert set(spread) == set(kept)
            assert len(set(kept)) < len(kept) or max(counts) - min(counts) <= 1
    assert np.array_equal(merge({"units": Stream(back)}, specs, RNG)["units.chunked"].ids, chunked.ids)


def test_an_empty_chunk_goes_on_with_what_was_before():
    at = np.array([0.16, 0.2, 0.5])
    chunked = Stream(np.array([1, 2, 3]), np.array([ticks(s) for s in at]))
    units = DedupInChunks().undo({"units.chunked": chunked}, {"units": Spec(5, 25)})["units"].ids
    assert units.tolist() == [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3]


def test_a_chunk_of_the_layout_holds_the_merged_units_of_its_time():
    merge, specs = DedupInChunks(), {"units": Spec(5, 25)}
    made = merge({"units": Stream(np.array([3, 3, 3, 3, 3, 1, 1, 2, 2]))}, specs, RNG)
    layout, specs = Layout((Weave(("units.chunked",), Chunk(0.16)),)), specs | merge.specs(specs)
    tokens = layout.place([made], specs, ()).tokens[0]
    mark = vocabs((layout,), specs)["main"].offset("@units.chunked")
    assert [int(t) for t in tokens] == [mark, 3, mark, 3, 1, 2, mark, 2, mark - 1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Group("units", 0), "size=0"),
        (lambda: Group("units", 2, fill=6).specs(SPECS), "fill=6.*5 symbols; give 0 to 5"),
        (lambda: Group("speech", 2, fill=0).specs(SPECS), "'speech' has vectors; leave fill out"),
        (lambda: Pool("units", 2).specs(SPECS), "has 5 symbols; use Group"),
        (lambda: Pool("speech", 0), "factor=0"),
        (lambda: DedupInChunks(seconds=0), "seconds=0"),
        (lambda: DedupInChunks().specs({"units": Spec(5)}), "has rate None"),
        (
            lambda: DedupInChunks().undo({"units.chunked": Stream(np.arange(2))}, SPECS),
            "when the items of 'units.chunked' begin",
        ),
    ],
)
def test_what_cannot_be_regrouped_is_said(wrong, says):
    with pytest.raises(BadInput, match=says):
        wrong()
    for operation in (Group("units", 2), Pool("speech", 2), DedupInChunks()):
        assert isinstance(operation, Operation)
    assert TICKS
