"""Golden pictures, the edges of time, delays, vocabularies, and what each mistake is answered with."""

from fractions import Fraction

import numpy as np
import pytest

from oration.core import (
    ABSENT,
    GIVEN,
    PREDICT,
    TICKS,
    BadInput,
    Grid,
    Spec,
    Stream,
    Vocab,
    from_record,
    ticks,
    to_record,
)
from oration.layouts import (
    Block,
    Chunk,
    Cursor,
    Layout,
    Line,
    Ratio,
    Say,
    Stack,
    Time,
    Weave,
    delay,
    fits,
    picture,
    vocabs,
)

AB = {"a": Spec(9, 10), "b": Spec(9)}


def items(n, *seconds):
    return Stream(np.arange(n), np.array([ticks(s) for s in seconds], int) if seconds else None)


def draw(block, example, specs=None, width=None):
    return picture(Layout((block,)), example, specs or AB, width)


def test_a_chunk_holds_the_items_of_its_own_time_and_silence_is_a_chunk():
    example = {"a": items(6), "b": items(2, 0.45, 0.5)}
    assert draw(Weave(("a", "b"), Chunk(0.2)), example) == "main | @a a0 a1 @b @a a2 a3 @b @a a4 a5 @b b0 b1 ]"


@pytest.mark.parametrize(("seconds", "rate"), [(0.4, 12.5), (0.16, 25), (0.1, 50), (0.3, 10), (1 / 3, 3), (0.7, 10)])
def test_an_item_on_the_edge_of_a_chunk_belongs_to_the_next_and_none_is_lost(seconds, rate):
    """3 x 0.4 s > 1.2 s in floating point: there an item was once lost."""
    specs, long = {"a": Spec(500, rate), "b": Spec(500)}, ticks(seconds)
    edges = Stream(np.arange(40), np.arange(40) * long)
    grid = Layout((Weave(("b", "a"), Chunk(seconds)),)).place([{"a": items(300), "b": edges}], specs, ())
    vocab = vocabs((Layout((Weave(("b", "a"), Chunk(seconds)),)),), specs)["main"]
    chunk, a, b = -1, 0, 0
    for token in grid.tokens[0]:
        name, symbol = vocab.name(int(token))
        chunk += name == "@b"
        if name == "a":
            assert symbol == a
            assert chunk == Fraction(a * TICKS) / Fraction(rate) // long
        if name == "b":
            assert symbol == chunk == b
        a, b = a + (name == "a"), b + (name == "b")
    assert (a, b) == (300, 40)


def test_the_arm_that_ends_first_says_so_and_the_other_goes_on():
    specs, ratio = {"t": Spec(9), "a": Spec(9, 12.5)}, Weave(("t", "a"), Ratio((2, 3)))
    assert draw(ratio, {"t": items(3), "a": items(7)}, specs) == "main | t0 t1 a0 a1 a2 t2 t] a3 a4 a5 a6 a]"
    assert draw(ratio, {"t": items(2), "a": items(0)}, specs) == "main | t0 t1 a] t]"
    assert draw(ratio, {"t": items(0), "a": items(0)}, specs) == "main | t] a]"


def test_items_at_one_time_come_in_the_order_of_the_arms():
    example = {"a": items(3), "b": items(2, 0.1, 0.1)}
    assert draw(Weave(("b", "a"), Time()), example) == "main | @a a0 @b b0 b1 @a a1 a2 ]"
    assert draw(Weave(("a", "b"), Time()), example) == "main | @a a0 a1 @b b0 b1 @a a2 ]"
    assert draw(Weave(("a", "b"), Time(), marks=False), example) == "main | a0 a1 b0 b1 a2 ]"


def test_a_stack_keeps_each_row_to_its_own_delay_and_end():
    stack = Stack(("a", "b"), delays=(2, 0))
    assert draw(stack, {"a": items(2), "b": items(1)}) == "a | .  .  a0 a1 a]\nb | b0 b] .  .  ."
    assert draw(stack, {"a": items(2), "b": items(1)}, width=15) == "a | .  .  ...\nb | b0 b] ..."


def test_an_endless_stack_goes_on_until_it_is_stopped():
    stack = Stack(("a", "b"), (1, 0), end="never")
    assert draw(stack, {"a": items(1), "b": items(3)}) == "a | .  a0 .\nb | b0 b1 b2"
    layout = Layout((stack,))
    assert layout.endless
    grid = layout.place([{"a": items(1), "b": items(3)}], AB, ("a",))
    assert grid.role.tolist() == [[ABSENT, PREDICT, ABSENT], [GIVEN, GIVEN, GIVEN]]
    cursor = Cursor(layout, AB)
    for step in range(9):
        assert cursor.allowed() == {"a": ["a"] if step else ["pad"], "b": ["b"]}
        assert cursor.stops() == {}
        cursor.feed([3 if step else 9, 4])
    assert not cursor.turn_done
    cursor.feed([5, 9])  # the stream of row b is over
    assert cursor.allowed() == {"a": ["a"], "b": ["pad"]}
    with pytest.raises(BadInput, match="row 'b': 'b' cannot come here"):
        cursor.feed([5, 5])
    assert Cursor(layout, AB).given({"a": items(0), "b": items(0)}, ("a",)) == {"a": (9, None), "b": (9, None)}


def test_zeros_in_all_rows_end_a_stack_and_are_no_item():
    stack = Stack(("a", "b"), end="zeros")
    example = {"a": Stream(np.array([0, 3])), "b": Stream(np.array([5, 0]))}
    assert draw(stack, example) == "a | a0 a1 a]\nb | b0 b1 b]"
    layout = Layout((stack, Line("c")))
    specs = {**AB, "c": Spec(4)}
    grid = layout.place([{**example, "c": items(1)}], specs, ("a", "b"), known={"a": 2})
    assert grid.tokens[:2, :3].tolist() == [[0, 3, 0], [5, 0, 0]]
    assert grid.role[:2, :3].tolist() == [[GIVEN, GIVEN, PREDICT], [PREDICT] * 3]
    cursor = Cursor(layout, specs)
    assert cursor.stops() == {"a": 0, "b": 0}
    assert cursor.feed([0, 5, 4]) == [("a", 0), ("b", 5)]
    assert cursor.given({"a": items(1), "b": items(1)})["b"] == (0, None)
    assert cursor.feed([0, 0, 4]) == []
    assert cursor.turns == [{"a": [0], "b": [5], "c": []}]
    assert (cursor.stops(), cursor.allowed()["main"]) == ({}, ["c", "end"])


def test_rows_of_other_names_are_shared_by_blocks():
    layout = Layout((Stack(("u", "v"), rows=("x", "y")), Stack(("b", "a"), (0, 1), rows=("x", "y"))))
    specs = AB | {"u": Spec(1, 5, dim=2), "v": Spec(3)}
    assert {row: vocab.blocks[:2] for row, vocab in vocabs((layout,), specs).items()} == {
        "x": (("u", 1), ("b", 9)),
        "y": (("v", 3), ("a", 9)),
    }
    example = {"u": Stream.dense(np.ones((2, 2))), "v": items(1), "a": items(1), "b": items(2)}
    assert picture(layout, example, specs) == "x | u0 u1 u] b0 b1 b]\ny | v0 v] .  .  a0 a]"


def test_fixed_symbols_of_a_stream_that_nothing_gives_bring_their_size():
    layout = Layout((Say((2,), stream="task", size=5), Line("a")))
    assert vocabs((layout,), AB)["main"].blocks == (("task", 5), ("a", 9), ("pad", 1), ("end", 1))
    assert draw(layout.blocks[1], {"a": items(1)}) == "main | a0 a]"
    assert picture(layout, {"a": items(1)}, AB) == "main | =2 a0 a]"
    assert layout.read(layout.place([{"a": items(1)}], AB, ("a",)), AB) == [{"a": [0]}]


def test_a_regular_arm_cannot_overfill_its_chunk_and_a_switch_needs_an_item():
    cursor = Cursor(Layout((Weave(("a", "b"), Chunk(0.2)),)), AB)
    mark = {name: cursor.vocabs["main"].offset(name) for name in ("@a", "@b", "end")}
    assert cursor.allowed() == {"main": ["@a", "end"]}
    cursor.feed([mark["@a"]])
    for item in (3, 4):
        assert cursor.allowed() == {"main": ["a", "@b"]}
        cursor.feed([item])
    assert cursor.allowed() == {"main": ["@b"]}  # 0.2 s at 10 Hz
    cursor.feed([mark["@b"]])
    for _ in range(50):
        cursor.feed([9])
        assert cursor.allowed() == {"main": ["b", "@a", "end"]}

    cursor = Cursor(Layout((Weave(("a", "b"), Time()),)), AB)
    assert cursor.allowed() == {"main": ["@a", "@b", "end"]}
    cursor.feed([mark["@b"]])
    assert cursor.allowed() == {"main": ["b"]}
    cursor.feed([9])
    assert cursor.allowed() == {"main": ["b", "@a", "end"]}


def test_who_predicts_the_end_of_a_slice():
    """SyncLLM hears the user, so only the marks that close its own slices are its own."""
    layout = Layout((Weave(("a", "b"), Chunk(0.2)),))
    example = {"a": items(4), "b": items(1, 0.25)}
    roles = layout.place([example], AB, ("a",)).role[0]
    text = draw(layout.blocks[0], example).split(" | ")[1].split()
    assert [cell for cell, role in zip(text, roles, strict=True) if role == PREDICT] == [
        "@a",
        "a0",
        "a1",
        "@b",
        "a2",
        "a3",
        "@b",
    ]
    roles = layout.place([example], AB, ("a", "b"), known={"a": 3, "b": 1}).role[0]
    assert "".join(".P"[role - 1] for role in roles) == "......PP.P"


def test_what_must_come_is_one_token_and_a_turn_follows_a_turn():
    layout = Layout((Say((7, 8), stream="b"), Line("a"), Stack(("b",))))
    cursor = Cursor(layout, AB)
    assert cursor.vocabs["main"].blocks == (("b", 9), ("a", 9), ("pad", 1), ("end", 1))
    assert cursor.ranges() == {"main": [(7, 8)], "b": [(9, 10)]}
    assert cursor.given({}) == {"main": (7, None), "b": (9, None)}
    assert list(cursor.roles(("a", "b"))) == [GIVEN, 0]
    with pytest.raises(BadInput, match=r"row 'main': the symbol 6 of 'b' cannot come here; expected 7"):
        cursor.feed([6, 9])
    for column in ([7, 9], [8, 9], [9 + 4, 9], [19, 9]):
        cursor.feed(column)
    assert cursor.allowed() == {"main": ["pad"], "b": ["b", "end"]}
    assert cursor.feed([18, 2]) == [("b", 2)]
    assert not cursor.turn_done
    cursor.feed([18, 10])
    assert cursor.turn_done
    assert cursor.ranges()["main"] == [(7, 8)]
    cursor.feed([7, 9])
    assert not cursor.turn_done
    assert cursor.turns == [{"a": [4], "b": [2]}, {"a": [], "b": []}]


def test_a_vector_travels_beside_its_placeholder():
    specs = {"a": Spec(1, 25, dim=2)}
    cursor = Cursor(Layout((Line("a"),)), specs)
    with pytest.raises(BadInput, match="'a' is continuous"):
        cursor.feed([0])
    vector = np.ones(2, np.float32)
    assert cursor.feed([0], {"a": vector}) == [("a", vector)]
    assert cursor.given({"a": Stream.dense(np.eye(2))})["main"][1].tolist() == [0, 1]


def test_several_layouts_of_one_model_share_their_rows():
    specs = {"text": Spec(50), "units": Spec(9, 50), "codec.0": Spec(7, 50)}
    asr, tts = (
        Layout((Line("units"), Line("text"))),
        Layout((Line("text"), Weave(("units",), Chunk(1)), Stack(("codec.0",)))),
    )
    both = vocabs((asr, tts), specs)
    assert both["main"].blocks == (("units", 9), ("text", 50), ("pad", 1), ("end", 1), ("@units", 1))
    assert list(both) == ["main", "codec.0"]
    example = {"units": items(3), "text": items(4)}
    grid = asr.place([example], specs, ("text",), vocabs=both)
    assert grid.rows == ("main", "codec.0")
    assert (grid.tokens[1] == both["codec.0"].offset("pad")).all()
    assert not grid.role[1].any()
    assert asr.read(grid, specs, both) == [{"units": [0, 1, 2], "text": [0, 1, 2, 3]}]


def test_delays_follow_from_the_layout():
    specs = {"t": Spec(9), "a": Spec(9, 12.5), "b": Spec(9, 12.5)}
    assert delay(Layout((Line("t"), Weave(("a", "b"), Chunk(0.4)))), specs) == {"t": 0, "a": 0.4, "b": 0.4}
    assert delay(Layout((Weave(("t", "a"), Ratio((13, 26))),)), specs) == {"t": 0, "a": 2.0}
    assert delay(Layout((Say((1,), "t"), Weave(("t", "a"), Time()))), specs) == {"t": 0, "a": 0}
    assert delay(Layout((Stack(("t", "a", "b"), (0, 1, 2)),)), specs) == {"t": 0, "a": 0.08, "b": 0.16}
    assert delay(Layout((Stack(("t", "u"), (0, 1)),)), {"t": Spec(9), "u": Spec(9)}) == {"t": 0, "u": None}


def test_layouts_are_data():
    layout = Layout((Say((1,)), Weave(("a", "b"), Chunk(0.4)), Stack(("c",), (1,)), Weave(("d", "e"), Ratio((1, 2)))))
    assert from_record(to_record(layout)) == layout
    assert all(isinstance(block, Block) for block in layout.blocks)


LINE, PAIR = Layout((Line("a"),)), Layout((Line("a"), Line("b")))
ONE = {"a": items(3), "b": items(2)}
ENDLESS, ZEROS = Layout((Stack(("a",), end="never"),)), Layout((Stack(("a", "b"), end="zeros"),))
OTHER = {"main": Vocab((("a", 8), ("pad", 1), ("end", 1)))}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: LINE.place([{"b": items(1)}], AB, ("a",)), r"turn 0 has no stream 'a', only \['b'\]"),
        (lambda: LINE.place([{"a": items(10)}], AB, ()), "stream 'a' holds the id 9, expected 0 to 8"),
        (lambda: LINE.place([{"a": Stream.dense(np.zeros((2, 3)))}], AB, ()), "vectors of width 3, expected 0"),
        (lambda: LINE.place([ONE], AB, ("units",)), "'units' cannot be predicted: this layout has"),
        (lambda: LINE.place([ONE], AB, ("a",), {"c": 1}), "'c' cannot be predicted"),
        (lambda: LINE.place([ONE], {"b": Spec(9)}, ()), r"the stream 'a', but nothing gives it: there are \['b'\]"),
        (lambda: LINE.place([ONE], AB, (), vocabs=OTHER), "9 symbols of 'a' in row 'main', but the model has 8"),
        (lambda: LINE.place([ONE], {"a": Spec(7)}, (), vocabs=OTHER), "7 symbols of 'a' .* model has 8"),
        (lambda: Cursor(LINE, AB, {}), "but the model has 0 there"),
        (lambda: Stack(("a", "b"), (0, 1, 2)), r"a Stack of 2 streams got 3 delays, \(0, 1, 2\)"),
        (lambda: Stack(("a",), (-1,)), r"delays \(-1,\); a delay is 0 steps or more"),
        (lambda: Stack(("a", "b"), rows=("x",)), r"a Stack of 2 streams got the rows \('x',\)"),
        (lambda: Stack(("a", "b"), rows=("x", "x")), "a row of its own"),
        (lambda: Stack(("a",), end="no"), "got end='no'"),
        (lambda: Stack(("a", "b"), (0, 1), end="zeros"), r"has no delays, got \(0, 1\)"),
        (lambda: Layout((Stack(("a",), end="never"), Line("b"))), "a Stack that never ends is followed by a Line"),
        (lambda: ENDLESS.place([ONE, ONE], AB, ()), "holds one turn, but got 2"),
        (lambda: Cursor(ENDLESS, AB).given({"a": items(0)}), "nothing of .*'a'.* is left to give"),
        (lambda: ZEROS.place([ONE], AB, ()), r"have \[3, 2\] items; cut them to the shortest"),
        (lambda: ZEROS.place([{"a": items(2), "b": items(2)}], AB, ()), "item 0 is symbol 0 in all of .'a', 'b'."),
        (lambda: Cursor(ZEROS, AB).given({"a": items(2), "b": items(2)}), "item 0 is symbol 0 in all of"),
        (lambda: Cursor(ZEROS, {**AB, "b": Spec(1, 5, dim=2)}), "holds symbols, but 'b' has vectors"),
        (lambda: Say((5,), size=5), "outside its size of 5"),
        (lambda: vocabs((Layout((Say((1,), "t", size=3), Line("a"))), Layout((Say((1,), "t", size=4), Line("a")))), AB),
         "one of 4 symbols here and as one of 3 there"),
        (lambda: fits(Layout((Stack(("a", "b"), (0, 30)),)), AB, 2.5), "puts 'b' 3 s late, but .* lasts 2.5 s"),
        (lambda: Layout((Weave(("a", "b"), Time()),)).place([ONE], AB, ()), "when the items of 'b' begin"),
        (lambda: Layout((Weave(("a", "b"), Chunk(1)),)).place([ONE], AB, ()), "when the items of 'b' begin"),
        (lambda: Layout((Line("a"), Stack(("b", "a")))), "a layout has two streams 'a'"),
        (lambda: Stack(("b", "a", "b")), "a Stack has two streams 'b'"),
        (lambda: Weave(("a", "a"), Time()), "a Weave has two streams 'a'"),
        (lambda: Layout(()), "a layout has no streams"),
        (lambda: Layout((Say((1,)),)), "a layout has no streams"),
        (lambda: Line("@a"), "a stream '@a', but 'pad', 'end' and names with @ or ] are marks"),
        (lambda: Say(()), "at least one symbol"),
        (lambda: Cursor(Layout((Say((9,), "a"), Line("b"))), AB), r"Say\(9,\) writes .* 'a', which has the ids 0 to 8"),
        (lambda: Cursor(Layout((Say((0,), "v"), Line("b"))), {**AB, "v": Spec(1, 5, dim=2)}), "has vectors instead"),
        (lambda: Weave(("a", "b"), Ratio((1,))), r"Ratio\(\(1,\)\) in a Weave of 2 arms"),
        (lambda: Weave(("a", "b"), Ratio((1, 0))), "a count of 1 or more"),
        (lambda: Weave(("a", "b"), Chunk(0.0)), r"Chunk\(0.0\).*above 0"),
        (lambda: Weave(("a", "b"), Chunk(1), marks=False), "cannot do without marks"),
        (lambda: Cursor(PAIR, AB).feed([9]), r"row 'main': 'b' cannot come here; expected one of \['a', 'end'\]"),
        (lambda: Cursor(PAIR, AB).feed([99]), "token 99 is outside this row's vocabulary of 20"),
        (lambda: Cursor(PAIR, AB).feed([0, 0]), "a column has one token per row, .'main'., but got 2"),
        (lambda: PAIR.read(Grid(np.zeros((1, 2), int), np.ones((1, 2)), ("a",)), AB), r"the rows \('a',\), expected"),
    ],
)  # fmt: skip
def test_each_mistake_gets_one_clear_sentence(wrong, says):
    with pytest.raises(BadInput, match=says) as caught:
        wrong()
    assert "\n" not in str(caught.value)
    assert ". " not in str(caught.value)


def test_a_refused_column_leaves_the_cursor_where_it_was():
    cursor = Cursor(LINE, AB)
    cursor.feed([1])
    before = cursor.allowed(), [dict(turn) for turn in cursor.turns]
    with pytest.raises(BadInput):
        cursor.feed([9])
    assert (cursor.allowed(), cursor.turns) == before
    cursor.feed([10])
    assert cursor.turn_done
    with pytest.raises(BadInput):
        cursor.feed([9])
    assert cursor.turn_done
    assert len(cursor.turns) == 1
