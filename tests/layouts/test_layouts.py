"""Every layout of the literature that we could name, under the same properties."""

import copy

import numpy as np
import oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from published import LAYOUTS, PUBLISHED, draw, level, specs_of

from oration.core import ABSENT, GIVEN, PREDICT, TICKS, Grid, Stream
from oration.layouts import Chunk, Cursor, Time, Weave, vocabs
from oration.layouts.block import streams_of

EVERY = sorted(LAYOUTS)
SPECS = {name: spec for layout, _ in LAYOUTS.values() for name, spec in specs_of(layout).items()}
UNION = vocabs([layout for layout, _ in LAYOUTS.values()], SPECS)


@st.composite
def cases(draw_, most=60):
    """(layout, predicted streams, specs, turns, known items of the last turn, vocabularies)"""
    layout, predict = LAYOUTS[draw_(st.sampled_from(EVERY))]
    frames, turns, ragged = draw_(st.integers(0, most)), draw_(st.integers(1, 3)), draw_(st.booleans())
    rng, specs = np.random.default_rng(draw_(st.integers(0, 2**31))), specs_of(layout)
    turns = 1 if layout.endless else turns
    examples = [level(layout, draw(layout.streams, frames, rng, ragged)) for _ in range(turns)]
    share = draw_(st.sampled_from([0, 0.5, 1, 2]))  # 2: the ends are known as well
    known = {name: int(share * (1 + len(examples[-1][name]))) for name in predict} if share != 1 else {}
    return layout, predict, specs, examples, known, draw_(st.sampled_from([None, UNION]))


def same_items(want, got):
    want = want.ids if want.values is None else want.values
    return np.array_equal(np.array(got).reshape(want.shape), want)


def by_time(layout, kinds=(Time, Chunk)):
    return any(isinstance(b, Weave) and isinstance(b.by, kinds) for b in layout.blocks)


def zeros(layout):
    """The streams that end with a symbol 0."""
    return {s for block in layout.blocks if getattr(block, "end", "") == "zeros" for s in block.streams}


def same_roles(layout, ours, placed):
    """Only an endless block leaves open whether a stream is over."""
    return np.array_equal(np.where(placed == ABSENT, placed, ours) if layout.endless else ours, placed)


def columns(grid):
    """Each column with its vectors, as a model would hand them to the cursor."""
    for step in range(grid.steps):
        dense = {name: d.values[d.steps == step][0] for name, d in grid.dense.items() if step in d.steps}
        yield grid.tokens[:, step], dense


@settings(max_examples=250, deadline=None)
@given(cases())
def test_placing_equals_the_oracle_cell_by_cell(case):
    layout, predict, specs, turns, known, shared = case
    grid = layout.place(turns, specs, predict, known, shared)
    rows = shared or vocabs((layout,), specs)
    tokens, roles, dense = oracle.place(layout, turns, specs, predict, known, rows)
    assert grid.rows == tuple(rows)
    assert np.array_equal(grid.tokens, tokens)
    assert np.array_equal(grid.role, roles)
    assert grid.tokens.dtype == np.int64
    assert grid.role.dtype == np.int8
    assert {name for name, d in grid.dense.items() if len(d.steps)} == set(dense)
    for name, (row, steps, values) in dense.items():
        assert grid.dense[name].row == row
        assert np.array_equal(grid.dense[name].steps, steps)
        assert np.array_equal(grid.dense[name].values, values)


@settings(max_examples=250, deadline=None)
@given(cases())
def test_reading_undoes_placing(case):
    layout, predict, specs, turns, known, shared = case
    grid = layout.place(turns, specs, predict, known, shared)
    back = layout.read(grid, specs, shared)  # through the cursor: every column was allowed where it came
    assert len(back) == len(turns)
    for example, got in zip(turns, back, strict=True):
        assert set(got) == set(layout.streams)
        assert all(same_items(example[name], got[name]) for name in layout.streams)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_each_unknown_item_is_in_the_loss_exactly_once(case):
    layout, predict, specs, turns, known, _ = case
    grid, rows = layout.place(turns, specs, predict, known), vocabs((layout,), specs)
    cells = zip(*np.where(grid.role == PREDICT), strict=True)
    asked = [rows[grid.rows[k]].name(int(grid.tokens[k, s]))[0] for k, s in cells]
    for name in predict:
        unknown = sum(len(e[name]) for e in turns) - min(known.get(name, 0), len(turns[-1][name]))
        ends = len(turns) - (known.get(name, 0) > len(turns[-1][name])) if name in zeros(layout) else 0
        assert asked.count(name) == unknown + ends
    assert not set(asked) & (set(layout.streams) - set(predict))
    assert all((grid.role[d.row, d.steps] != ABSENT).all() for d in grid.dense.values())


@settings(max_examples=150, deadline=None)
@given(cases(most=20))
def test_the_cursor_gives_back_a_known_example_and_its_roles(case):
    layout, predict, specs, turns, _, shared = case
    grid, cursor = layout.place(turns, specs, predict, vocabs=shared), Cursor(layout, specs, shared)
    mixed = by_time(layout, Time) and len(predict) == 1
    number = 0
    for step, (column, dense) in enumerate(columns(grid)):
        cells = cursor.given(turns[number])
        assert [cells[row][0] for row in grid.rows] == column.tolist()
        for stream, vector in dense.items():
            assert any(np.array_equal(vector, v) for _, v in cells.values() if v is not None), stream
        if not mixed:
            assert same_roles(layout, cursor.roles(predict), grid.role[:, step])
        for row, ranges in cursor.ranges().items():
            lapsed = layout.endless and cells[row][0] == cursor.vocabs[row].offset("pad")
            assert lapsed or any(first <= cells[row][0] < past for first, past in ranges)
        cursor.feed(column, dense)
        number += cursor.turn_done
    assert number == (0 if layout.endless else len(turns))
    assert cursor.turn_done != layout.endless


@settings(max_examples=150, deadline=None)
@given(cases(most=20))
def test_a_prompt_is_given_by_the_cursor_as_it_is_placed(case):
    layout, predict, specs, turns, known, _ = case
    grid, cursor = layout.place(turns[-1:], specs, predict, known), Cursor(layout, specs)
    if by_time(layout, Time):
        return  # known items that do not end at one time; see the next test
    for step, (column, dense) in enumerate(columns(grid)):
        assert same_roles(layout, cursor.roles(predict, known), grid.role[:, step])
        cells = cursor.given(turns[-1], predict, known)
        asked = [row for k, row in enumerate(grid.rows) if grid.role[k, step] == PREDICT]
        drawn = [row for row in grid.rows if row not in cells]
        assert set(drawn) >= set(asked) if layout.endless else drawn == asked
        assert all(cells[row][0] == column[k] for k, row in enumerate(grid.rows) if row in cells)
        cursor.feed(column, dense)


def test_a_prompt_woven_by_time_ends_where_its_last_item_does():
    layout, predict = PUBLISHED["spiritlm"]
    specs, rng = specs_of(layout), np.random.default_rng(3)
    example = draw(layout.streams, 40, rng)
    heard = int((example["text"].onsets < specs["units"].onsets(21)[-1]).sum())
    known = {"units": 20, "text": heard}
    grid, cursor = layout.place([example], specs, predict, known), Cursor(layout, specs)
    prompt = int(np.flatnonzero(grid.role[0] == PREDICT)[0])
    assert heard
    assert (grid.role[0, prompt:] == PREDICT).all()
    for step in range(prompt):
        cells = cursor.given(example, predict, known)
        assert cells["main"][0] == grid.tokens[0, step]
        cursor.feed(grid.tokens[:, step])
    assert cursor.given(example, predict, known) == {}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(EVERY), st.integers(0, 2**31))
def test_whatever_the_cursor_allows_can_be_placed_again(name, seed):
    """A model that draws anything allowed, forever uncertain, yields items that the layout can carry."""
    layout, predict = LAYOUTS[name]
    specs, rng = specs_of(layout), np.random.default_rng(seed)
    cursor, drawn = Cursor(layout, specs), []
    for step in range(3000):
        column, dense = [], {}
        for row, ranges in cursor.ranges().items():
            assert all(first < past for first, past in ranges)
            first, past = ranges[rng.integers(len(ranges))] if step < 60 else ranges[-1]  # then: end, if it may
            column.append(int(rng.integers(first, past if step < 60 else first + 1)))
            stream = cursor.vocabs[row].name(column[-1])[0]
            if stream in specs and specs[stream].dim:
                dense[stream] = rng.normal(size=specs[stream].dim).astype(np.float32)
        before = {stream: list(items) for stream, items in cursor.turns[-1].items()} if cursor.turns else {}
        items = cursor.feed(column, dense)
        assert all(len(cursor.turns[-1][s]) == len(before.get(s, ())) + 1 for s, _ in items)
        drawn.append(column)
        if cursor.turn_done or (layout.endless and step == 80):
            break
    assert cursor.turn_done != layout.endless
    grid = Grid(np.array(drawn).T, np.full((len(cursor.vocabs), len(drawn)), GIVEN, np.int8), tuple(cursor.vocabs))
    if not by_time(layout):
        items = cursor.turns[0]
        example = {s: Stream.dense(np.reshape(items[s], (-1, 4))) if specs[s].dim else Stream(np.array(items[s], int))
                   for s in layout.streams}  # fmt: skip
        assert np.array_equal(layout.place([example], specs, predict).tokens, grid.tokens)
    elif not any(specs[s].dim for s in layout.streams):
        assert layout.read(grid, specs) == cursor.turns


@settings(max_examples=100, deadline=None)
@given(cases(most=20), st.floats(0, 1))
def test_a_fork_goes_on_alone(case, share):
    layout, predict, specs, turns, _, shared = case
    grid = layout.place(turns, specs, predict, vocabs=shared)
    cursor, all_columns = Cursor(layout, specs, shared), list(columns(grid))
    cut = int(share * len(all_columns))
    for column, dense in all_columns[:cut]:
        cursor.feed(column, dense)
    before = cursor.allowed(), [{name: len(items) for name, items in turn.items()} for turn in cursor.turns]
    forks = [cursor.fork(), copy.deepcopy(cursor), cursor.fork().fork()]
    for fork in forks:
        assert fork.ranges() == cursor.ranges()
        for column, dense in all_columns[cut:]:
            fork.feed(column, dense)
    assert (cursor.allowed(), [{n: len(items) for n, items in turn.items()} for turn in cursor.turns]) == before
    for fork in forks if all_columns else []:
        for example, got in zip(turns, fork.turns, strict=True):
            assert all(same_items(example[name], got[name]) for name in layout.streams)


@settings(max_examples=60, deadline=None)
@given(cases(most=20))
def test_the_cursor_knows_in_which_chunk_an_item_came(case):
    layout, predict, specs, turns, _, shared = case
    cursor, grid = Cursor(layout, specs, shared), layout.place(turns[-1:], specs, predict, vocabs=shared)
    for column, dense in columns(grid):
        cursor.feed(column, dense)
    for block in layout.blocks:
        for name in streams_of(block):
            onsets = cursor.onsets(name)
            if not isinstance(block, Weave) or not isinstance(block.by, Chunk) or not len(turns[-1][name]):
                assert onsets is None
                continue
            stream, long = turns[-1][name], int(block.by.seconds * TICKS + 0.5)
            assert np.array_equal(onsets // long, stream.times(specs[name]) // long)
            assert (np.diff(onsets) > 0).all()
            assert np.array_equal(cursor.fork().onsets(name), onsets)
