"""A layout puts the streams of an example on a grid, and reads them off again. It loses nothing and knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oration.core import ABSENT, GIVEN, PREDICT, BadInput, Dense, Example, Grid, Specs, Vocab
from oration.layouts.block import PAD, Block, Run, distinct, endless, streams_of
from oration.layouts.cursor import Cursor
from oration.layouts.rows import rows_of


@dataclass(frozen=True)
class Layout:
    """Blocks one after another; they repeat for each turn of a dialogue. They do not nest."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        distinct(self.streams, "a layout")
        for block, after in zip(self.blocks, self.blocks[1:], strict=False):
            if endless(block):
                raise BadInput(
                    f"a {type(block).__name__} that never ends is followed by a {type(after).__name__}, which would "
                    "never begin; put it last, or let it end"
                )

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams it carries, fixed symbols left out."""
        return tuple(name for block in self.blocks for name in streams_of(block))

    @property
    def endless(self) -> bool:
        """Whether only a limit ends a turn; then it is the only turn."""
        return bool(self.blocks) and endless(self.blocks[-1])

    def place(
        self,
        turns: Sequence[Example],
        specs: Specs,
        predict: Sequence[str],
        known: Mapping[str, int] | None = None,
        vocabs: Mapping[str, Vocab] | None = None,
    ) -> Grid:
        """Put the turns of a dialogue on a grid.

        Args:
            turns: one example per turn.
            predict: the streams the model is to predict; the others are given.
            known: of a predicted stream, how many first items of the last turn are given too (the prompt). Its end is
                one item more.
            vocabs: the vocabularies of the model, if it reads other layouts besides.

        Raises:
            BadInput: a stream that is missing or unknown, lacks the times its block needs, or has ids outside its spec.
        """
        rows = rows_of(self, specs, vocabs)
        known = known or {}
        self._verify(turns, specs, (*predict, *known))
        placed, steps = [], 0
        for number, example in enumerate(turns):
            prompt = known if number == len(turns) - 1 else {}
            for block in self.blocks:
                runs = block.schedule(example, specs)
                placed += [(run, steps, prompt, example) for run in runs if len(run.steps)]
                steps += length(runs)
        index = {row: k for k, row in enumerate(rows)}
        tokens = np.repeat([[vocab.offset(PAD)] for vocab in rows.values()], steps, 1)
        roles = np.full((len(rows), steps), ABSENT, np.int8)
        vectors: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {}
        for run, start, prompt, example in placed:
            k, where = index[run.row], _where(run.steps, start)
            tokens[k, where] = run.symbols + rows[run.row].offset(run.block)
            roles[k, where] = np.maximum(roles[k, where], _roles(run, predict, prompt))
            values = example[run.block].values if run.block == run.owner else None
            if values is not None:
                vectors.setdefault(run.block, []).append((k, run.steps + start, values))
        return Grid(tokens, roles, tuple(rows), {name: _dense(parts) for name, parts in vectors.items()})

    def read(self, grid: Grid, specs: Specs, vocabs: Mapping[str, Vocab] | None = None) -> list[dict[str, list[Any]]]:
        """The inverse of `place`: turn by turn, the items of each stream (symbols, or vectors of a continuous one).

        Raises:
            BadInput: a column that the layout does not allow there, or a grid of other rows.
        """
        cursor = Cursor(self, specs, vocabs)
        if grid.rows != tuple(cursor.vocabs):
            raise BadInput(
                f"the grid has the rows {grid.rows}, expected {tuple(cursor.vocabs)}; read it with its own layout"
            )
        vectors = {name: dict(zip(d.steps.tolist(), d.values, strict=True)) for name, d in grid.dense.items()}
        for step, column in enumerate(grid.tokens.T.tolist()):
            cursor.feed(column, {name: at[step] for name, at in vectors.items() if step in at})
        return cursor.turns or [{name: [] for name in self.streams}] * self.endless

    def _verify(self, turns: Sequence[Example], specs: Specs, asked: tuple[str, ...]) -> None:
        streams = self.streams
        if self.endless and len(turns) > 1:
            raise BadInput(
                f"a layout that never ends holds one turn, but got {len(turns)}; make them one example, or let it end"
            )
        for name in asked:
            if name not in streams:
                raise BadInput(f"{name!r} cannot be predicted: this layout has {streams}; ask for one of them")
        for number, example in enumerate(turns):
            for name in streams:
                if name not in example:
                    raise BadInput(
                        f"turn {number} has no stream {name!r}, only {sorted(example)}; "
                        "give it (empty if nothing is known of it), or use a layout without it"
                    )
                example[name].verify(name, specs[name])


def length(runs: list[Run]) -> int:
    """Steps that a block takes."""
    return 1 + max((int(run.steps[-1]) for run in runs if len(run.steps)), default=-1)


def _where(steps: np.ndarray, start: int) -> slice | np.ndarray:
    """The steps as a slice if they are neighbours (many times faster), else as they are."""
    first, past = int(steps[0]) + start, int(steps[-1]) + start + 1
    return slice(first, past) if past - first == len(steps) else steps + start


def _roles(run: Run, predict: Sequence[str], known: Mapping[str, int]) -> np.ndarray | int:
    """int8[N]: GIVEN or PREDICT."""
    if run.owner is None or run.owner not in predict:
        return GIVEN
    first = known.get(run.owner, 0)
    return np.where(run.items < first, GIVEN, PREDICT).astype(np.int8) if first else PREDICT


def _dense(parts: list[tuple[int, np.ndarray, np.ndarray]]) -> Dense:
    """The vectors of one stream, over blocks and turns."""
    return Dense(parts[0][0], np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts]))
