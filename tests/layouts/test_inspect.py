"""The table of cells says of each what the grid, the picture and the example say; the pace is what placing gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import LAYOUTS, PUBLISHED, draw, level, specs_of

from oration.core import ABSENT, PREDICT, TICKS, BadInput, Spec, Stream, ticks
from oration.layouts import Chunk, Layout, Line, Ratio, Say, Stack, Time, Weave, cells, fits, picture, rate, vocabs

AB = {"a": Spec(9, 10), "b": Spec(9)}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LAYOUTS)), st.integers(0, 20), st.booleans(), st.integers(0, 2**31))
def test_each_cell_is_what_the_grid_says(name, frames, ragged, seed):
    layout, predict = LAYOUTS[name]
    rng, specs = np.random.default_rng(seed), specs_of(layout)
    turns = [level(layout, draw(layout.streams, frames, rng, ragged)) for _ in range(1 if layout.endless else 2)]
    known = {stream: int(rng.integers(0, 5)) for stream in predict}
    grid, found = layout.place(turns, specs, predict, known), cells(layout, turns, specs, predict, known)
    rows = vocabs((layout,), specs)
    assert found.rows == grid.rows
    assert np.array_equal(found.token, grid.tokens)
    assert np.array_equal(found.role, grid.role)
    assert np.array_equal(found.loss, grid.role == PREDICT)
    assert np.array_equal(found.kind == "absent", grid.role == ABSENT)
    for k, row in enumerate(grid.rows):
        for step in range(grid.steps):
            cell = found.at(k, step)
            block, symbol = rows[row].name(cell.token)
            if cell.role == ABSENT:
                assert (cell.label, cell.stream, cell.item, cell.symbol, cell.seconds) == (".", None, None, -1, None)
                continue
            assert cell.symbol == symbol
            assert cell == found.at(row, step)
            if cell.kind == "item":
                assert cell.stream == block
                stream = turns[cell.turn][block]
                assert stream.ids[cell.item] == cell.symbol
                want = stream.times(specs[block])[cell.item] if specs[block].rate or stream.onsets is not None else None
                assert (cell.seconds is None) == (want is None)
                assert want is None or cell.seconds == pytest.approx(want / TICKS)
                before = sum(len(turn[block]) for turn in turns[: cell.turn])
                assert found.where(block)[before + cell.item].tolist() == [k, step]
            assert cell.delay == getattr(layout.blocks[cell.block], "late", {}).get(cell.stream, 0)
    assert sum(n for counts in found.counts().values() for n in counts.values()) == grid.tokens.size
    for stream in layout.streams:
        assert len(found.where(stream)) == sum(len(turn[stream]) for turn in turns)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(LAYOUTS)), st.integers(0, 10), st.integers(0, 2**31))
def test_the_labels_are_those_of_the_picture(name, frames, seed):
    layout, _ = LAYOUTS[name]
    specs = specs_of(layout)
    example = level(layout, draw(layout.streams, frames, np.random.default_rng(seed)))
    found = cells(layout, [example], specs)
    drawn = [line.split("|")[1].split() for line in picture(layout, example, specs).split("\n")]
    assert [list(line) for line in found.label] == drawn


def test_one_of_each_kind():
    layout = Layout((Say((7,), "b"), Weave(("b", "a"), Ratio((1, 2)), marks=True), Stack(("c", "d"), (0, 2))))
    specs = AB | {"c": Spec(9, 5), "d": Spec(9)}
    example = {
        "a": Stream(np.arange(2)),
        "b": Stream(np.arange(1)),
        "c": Stream(np.arange(1)),
        "d": Stream(np.arange(1)),
    }
    found = cells(layout, [example], specs, ("a", "d"), {"a": 1})
    main = [found.at("main", step) for step in range(found.steps)]
    assert [c.label for c in main[:8]] == ["=7", "@b", "b0", "@a", "a0", "a1", "@b", "b]"]
    assert [c.kind for c in main[:8]] == ["fixed", "switch", "item", "switch", "item", "item", "switch", "end"]
    assert [c.stream for c in main[:8]] == ["b", "b", "b", "a", "a", "a", "b", "b"]
    assert [c.loss for c in main[:10]] == [False] * 5 + [True, False, False, False, True]
    assert [c.seconds for c in main[4:6]] == [0.0, 0.1]
    late = found.at("d", found.steps - 1)
    assert (late.label, late.kind, late.item, late.delay, late.block, late.loss) == ("d]", "end", 1, 2, 2, True)
    assert found.where("d").tolist() == [[2, found.steps - 2]]
    for wrong in (lambda: found.at("e", 0), lambda: found.at("d", 99), lambda: found.where("e")):
        with pytest.raises(BadInput, match=r"no cell at row|no stream 'e'"):
            wrong()


def test_the_pace_follows_from_the_rates():
    specs = {"a": Spec(9, 12.5), "b": Spec(9, 25), "v": Spec(1, 50, dim=2), "t": Spec(9)}
    pace = {
        Line("a"): (12.5, 12.5),
        Stack(("a", "b"), (0, 3)): (25, 37.5),
        Stack(("a", "b"), end="never"): (25, 37.5),
        Stack(("a", "v"), rows=("x", "y")): (50, 62.5),
        Weave(("a", "b"), Chunk(0.16)): (50, 50),
        Weave(("a", "b"), Ratio((1, 2))): (37.5, 37.5),
        Weave(("b",), Time()): (25, 25),
    }
    for block, (steps, tokens) in pace.items():
        got = rate(Layout((block,)), specs)
        assert (got.steps, got.tokens) == (steps, tokens), block
    zeros = Layout((Line("a", row="t"), Stack(("b",), end="zeros")))
    assert rate(zeros, specs).steps == 37.5
    assert rate(Layout((Line("t"),)), specs).steps is None
    text = Stream(np.arange(3), np.array([0, ticks(0.5), ticks(2)]))
    got = rate(Layout((Weave(("t", "a"), Time()),)), specs, {"t": text, "a": Stream(np.zeros(25, int))})
    assert got.steps == got.tokens == (3 + 25 + 5 + 1) / 2
    assert rate(Layout((Line("t"),)), specs, {"t": text}).steps == 2
    assert rate(Layout((Line("t"),)), specs, {"t": Stream(np.arange(2))}).steps is None


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_pace_of_an_example_comes_near_that_of_the_rates(name):
    layout, _ = PUBLISHED[name]
    specs = specs_of(layout)
    counted = rate(layout, specs, draw(layout.streams, 5000, np.random.default_rng(0)))
    known = rate(layout, specs)
    assert (known.steps is None) == any(specs[s].rate is None for s in layout.streams)
    assert known.steps is None or counted.steps == pytest.approx(known.steps, rel=0.01)
    assert known.tokens is None or counted.tokens == pytest.approx(known.tokens, rel=0.01)
    fits(layout, specs, 30.0)
