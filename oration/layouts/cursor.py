"""Where we are in a layout: what may come next, what has come. Generation, serving and reading all go through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oration.core import ABSENT, GIVEN, PREDICT, BadInput, Example, Specs, Vocab
from oration.layouts.alternate import onsets
from oration.layouts.block import END, PAD, Draw, Walk, is_stream, streams_of, switch
from oration.layouts.rows import rows_of

if TYPE_CHECKING:
    from oration.layouts.layout import Layout

ABSENT_DRAW = Draw((PAD,))


class Cursor:
    """One per sequence. Ask `ranges` (what the model may draw) and `given` (what it need not), then `feed` the column.

    After the last block of a turn the next turn begins with the next column.

    >>> from oration.core import Spec
    >>> from oration.layouts import Layout, Line
    >>> cursor = Cursor(Layout((Line("a"),)), {"a": Spec(9)})
    >>> cursor.allowed(), cursor.ranges()
    ({'main': ['a', 'end']}, {'main': [(0, 9), (10, 11)]})
    >>> cursor.feed([4]), cursor.feed([10]), cursor.turn_done, cursor.turns
    ([('a', 4)], [], True, [{'a': [4]}])

    `fork`, or `copy.deepcopy`, gives a second one that goes its own way from here.
    """

    def __init__(self, layout: Layout, specs: Specs, vocabs: Mapping[str, Vocab] | None = None) -> None:
        self.layout, self.specs = layout, specs
        self.vocabs = rows_of(layout, specs, vocabs)
        self.turns: list[dict[str, list[Any]]] = []
        """The items of each stream, turn by turn."""
        self.turn_done = False
        """Whether the turn is complete; the next column begins another."""
        self._streams = [streams_of(block) for block in layout.blocks]
        self._slices: dict[str, list[tuple[int, int]]] = {}
        """Stream -> from when to when the slice of each of its items lasts, where the layout counts time."""
        self._begin()

    def fork(self) -> Cursor:
        """A cursor at the same place with items of its own. Costs the columns of the current block once."""
        other = object.__new__(Cursor)
        other.__dict__.update(self.__dict__)
        other.turns = [{stream: list(items) for stream, items in turn.items()} for turn in self.turns]
        other._count, other._past = dict(self._count), list(self._past)
        other._slices = {stream: list(slices) for stream, slices in self._slices.items()}
        other._walk = self.layout.blocks[self._at].walk(self.specs)
        other._draws = next(other._walk)
        for came in self._past:  # a generator cannot be copied, but it does the same again
            other._draws = other._walk.send(came)
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Cursor:
        return self.fork()

    def allowed(self) -> dict[str, list[str]]:
        """Row -> the vocabulary blocks it may draw from next; `["pad"]` for a row that is absent."""
        return {row: list(self._draws.get(row, ABSENT_DRAW).blocks) for row in self.vocabs}

    def ranges(self) -> dict[str, list[tuple[int, int]]]:
        """Row -> the tokens it may draw next, as (first, one past the last); one token if the layout fixes it."""
        ranges = {}
        for row, vocab in self.vocabs.items():
            draw = self._draws.get(row, ABSENT_DRAW)
            if draw.symbol is None:
                ranges[row] = [vocab.ranges[block] for block in draw.blocks]
            else:
                first = vocab.offset(draw.blocks[0]) + draw.symbol
                ranges[row] = [(first, first + 1)]
        return ranges

    def stops(self) -> dict[str, int]:
        """Row -> token: if each of these rows holds its token in the next column, the block ends. Mostly empty."""
        stops = {row: draw.stop for row, draw in self._draws.items()}
        if None in stops.values():
            return {}
        return {row: self.vocabs[row].offset(draw.blocks[0]) + (draw.stop or 0) for row, draw in self._draws.items()}

    def roles(self, predict: Sequence[str], known: Mapping[str, int] | None = None) -> np.ndarray:
        """int8[K]: the roles of the next column, as `Layout.place` gives them for a turn with these `known` items.

        Only where time alone decides (a Weave by Time of given and predicted arms) is it undecided: then it is PREDICT,
        once no known item is left.
        """
        known = known or {}
        roles = np.full(len(self.vocabs), ABSENT, np.int8)
        for k, row in enumerate(self.vocabs):
            if row in self._draws:
                asked = [s for s in self._draws[row].owners if s in predict]
                left = any(self._count[s] < known.get(s, 0) for s in asked)
                roles[k] = PREDICT if asked and not left else GIVEN
        return roles

    def given(
        self, example: Example, predict: Sequence[str] = (), known: Mapping[str, int] | None = None
    ) -> dict[str, tuple[int, np.ndarray | None]]:
        """Row -> (token, vector of a continuous stream) of the next column, for the cells that are not to be predicted.

        An example whose predicted streams are not there yet will do. A row left out is the model's to draw.
        """
        cells: dict[str, tuple[int, np.ndarray | None]] = {}
        for (row, vocab), role in zip(self.vocabs.items(), self.roles(predict, known), strict=True):
            draw = self._draws.get(row, ABSENT_DRAW)
            if role == PREDICT:
                continue
            if draw.symbol is not None or not draw.owners:
                cells[row] = vocab.offset(draw.blocks[0]) + (draw.symbol or 0), None
                continue
            stream = self._next(draw, example)
            if stream is None and draw.stop is not None:
                cells[row] = vocab.offset(draw.blocks[0]) + draw.stop, None
                continue
            if stream is None or stream not in draw.blocks:
                cells[row] = vocab.offset(self._mark(draw, stream, example)), None
                continue
            item, at = example[stream], self._count[stream]
            cells[row] = vocab.offset(stream) + int(item.ids[at]), None if item.values is None else item.values[at]
        self._verify(cells, example, predict)
        return cells

    def feed(self, column: Sequence[int] | np.ndarray, dense: Mapping[str, Any] | None = None) -> list[tuple[str, Any]]:
        """Take the next column, int[K], and return the items it completes as (stream, symbol or vector).

        Args:
            column: one token per row; an absent row holds its `pad`.
            dense: continuous stream -> its vector, where the column holds one.

        Raises:
            BadInput: a token that may not come here, or a vector that is missing. The cursor stays where it was.
        """
        if len(column) != len(self.vocabs):
            raise BadInput(f"a column has one token per row, {list(self.vocabs)}, but got {len(column)} tokens")
        came, fresh, stopped = {}, [], bool(self._draws)
        for token, (row, vocab) in zip(column, self.vocabs.items(), strict=True):
            name, symbol = vocab.name(int(token))
            draw = self._draws.get(row, ABSENT_DRAW)
            for stream, block in vocab.shared:  # one symbol of two streams: the layout knows whose turn it is
                if block == name and name not in draw.blocks and stream in draw.blocks:
                    name = stream
            lapsed = draw.lapses and name == PAD
            if not lapsed and (name not in draw.blocks or draw.symbol not in (None, symbol)):
                raise _unfit(row, name, symbol, draw)
            came[row] = name
            if row in self._draws:
                stopped &= draw.stop == symbol
            if draw.symbol is None and is_stream(name):
                if self.specs[name].dim and name not in (dense or {}):
                    raise BadInput(
                        f"{name!r} is continuous, so its column needs a vector; pass dense={{{name!r}: float[D]}}"
                    )
                fresh.append((name, (dense or {})[name] if self.specs[name].dim else symbol))
        if stopped:
            came, fresh = dict.fromkeys(came, END), []
        if self.turn_done or not self.turns:
            self.turns.append({stream: [] for streams in self._streams for stream in streams})
            self.turn_done, self._slices = False, {}
        for name, item in fresh:
            self.turns[-1][name].append(item)
            self._count[name] += 1
        for row, draw in self._draws.items():
            if draw.since is not None and draw.until is not None and is_stream(came[row]):
                self._slices.setdefault(came[row], []).append((draw.since, draw.until))
        self._advance({row: came[row] for row in self._draws})
        return fresh

    def onsets(self, stream: str) -> np.ndarray | None:
        """int64[T]: when the items of the last turn began, each slice's evenly over it; None if time is not counted.

        Only a Weave by Chunk counts time; items that came are else known by their order alone.
        """
        slices = np.array(self._slices.get(stream, ()), np.int64).reshape(-1, 2)
        if not self.turns or len(slices) < len(self.turns[-1].get(stream, ())) or stream not in self._slices:
            return None
        since, until = slices.T
        first = np.searchsorted(since, since)  # rising: chunks follow one another
        many = np.searchsorted(since, since, "right") - first
        return since + (until - since) * (np.arange(len(since)) - first) // many

    def _begin(self) -> None:
        """Stand before the first column of a turn."""
        self._count = {stream: 0 for streams in self._streams for stream in streams}
        self._enter(0)

    def _enter(self, at: int) -> None:
        """Stand before the first column of a block."""
        self._at = at
        self._past: list[dict[str, str]] = []
        """What the walk has been sent, so that a fork can walk the same way."""
        self._walk: Walk = self.layout.blocks[at].walk(self.specs)
        self._draws: dict[str, Draw] = next(self._walk)

    def _advance(self, came: dict[str, str]) -> None:
        self._past.append(came)
        try:
            self._draws = self._walk.send(came)
        except StopIteration:
            if self._at + 1 < len(self.layout.blocks):
                self._enter(self._at + 1)
            else:
                self._begin()
                self.turn_done = True

    def _next(self, draw: Draw, example: Example) -> str | None:
        """The stream whose item comes next: of several, the one that begins first. None: no more in this slice."""
        more = [stream for stream in draw.owners if not self._over(stream, example)]
        if draw.until is None and len(draw.owners) == 1:
            return more[0] if more else None
        times = {stream: int(onsets(stream, example, self.specs)[self._count[stream]]) for stream in more}
        return min(
            (s for s in more if draw.until is None or times[s] < draw.until), key=times.__getitem__, default=None
        )

    def _mark(self, draw: Draw, stream: str | None, example: Example) -> str:
        """The mark that comes where no item does."""
        if stream is not None:
            return switch(stream)
        if draw.lapses:
            return PAD
        marks = [name for name in draw.blocks if not is_stream(name)]
        over = all(self._over(stream, example) for stream in self._streams[self._at])
        return marks[-1] if over else marks[0]

    def _verify(self, cells: Mapping[str, tuple[int, Any]], example: Example, predict: Sequence[str]) -> None:
        """Refuse a column of an example that would end a block too early, or that comes after all is said."""
        streams = self._streams[self._at]
        over = all(self._over(stream, example) for stream in streams)
        if over and self.layout.endless and self._at == len(self._streams) - 1 and not set(streams) & set(predict):
            raise BadInput(f"nothing of {streams} is left to give, and this layout never ends by itself; stop here")
        stops = [
            draw.stop is not None and cells.get(row, (-1,))[0] == self.vocabs[row].offset(draw.blocks[0]) + draw.stop
            for row, draw in self._draws.items()
        ]
        if stops and all(stops) and not over:
            raise BadInput(
                f"item {self._count[streams[0]]} is symbol 0 in all of {streams}, which would end this Stack there (it "
                "ends with zeros); leave that item out, or end the Stack with end='each'"
            )

    def _over(self, stream: str, example: Example) -> bool:
        return stream not in example or self._count[stream] >= len(example[stream])


def _unfit(row: str, name: str, symbol: int, draw: Draw) -> BadInput:
    """What a column is refused with."""
    what = f"the symbol {symbol} of {name!r}" if draw.symbol is not None else repr(name)
    expected = f"one of {list(draw.blocks)}" if draw.symbol is None else f"{draw.symbol}"
    return BadInput(f"row {row!r}: {what} cannot come here; expected {expected}, so draw within Cursor.ranges()")
