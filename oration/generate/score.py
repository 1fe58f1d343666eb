"""How likely a language model finds an example. Knows roles and blocks of symbols, not layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oration.core import GIVEN, PREDICT, TICKS, BadInput, Example, Grid, Spec, Vocab, collate, ticks
from oration.generate.prefix import Group, cut, groups
from oration.layouts import cells as layout_cells
from oration.lms import LanguageModel, evaluating
from oration.tasks import Task

STEPS = 1024
"""Steps that a CPU runs at once: more do not fit its cache, and are slower for it."""


@dataclass(frozen=True)
class Likelihood:
    """Log-likelihood of some symbols."""

    nats: float
    """Sum of log p, at most 0 (but for vectors, whose density may be above 1)."""
    count: int
    """How many symbols."""

    @property
    def mean(self) -> float:
        """Nats per symbol: the length-normalised score; NaN of no symbols."""
        return self.nats / self.count if self.count else float("nan")


@dataclass(frozen=True)
class Score:
    """The likelihood of one example's predicted cells, by block: a stream's name, `end`, `@stream` for marks."""

    parts: Mapping[str, Likelihood]
    items: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Predicted stream -> float64[T], log p of each item in nats; NaN for those that are not scored."""

    @property
    def total(self) -> Likelihood:
        """All predicted symbols together: the log-likelihood of what is not given."""
        return Likelihood(sum(p.nats for p in self.parts.values()), sum(p.count for p in self.parts.values()))

    def __getitem__(self, block: str) -> Likelihood:
        return self.parts.get(block, Likelihood(0.0, 0))


@dataclass(frozen=True, eq=False)
class Cells:
    """An example on the grid, and which of its cells are scored."""

    grid: Grid
    asked: np.ndarray
    """bool[K, S]"""
    items: np.ndarray
    """bool[K, S]: items and marks of predicted streams, scored or not; the rest is the layout's or given."""

    @property
    def steps(self) -> int:
        """How far the grid has to be seen: up to its last cell that is scored."""
        return int(np.flatnonzero(self.asked.any(0))[-1]) + 1 if self.asked.any() else 0


@torch.inference_mode()
def score(
    lm: LanguageModel,
    task: Task,
    examples: Sequence[Example],
    specs: Mapping[str, Spec],
    known: Sequence[Mapping[str, int]] | None = None,
    *,
    seconds: float | None = None,
    items: int | None = None,
    batch: int = 16,
    share: bool = True,
) -> list[Score]:
    """The log-likelihood of each example (prepared: operations done), batched by length.

    Examples that begin alike (the endings of one story) are found, and what they share is computed once. A model that
    does not go step by step says itself what the likelihood of a cell is (`cell_nats`).

    Args:
        specs: of the streams after the task's operations.
        known: for each example, how many first items of each predicted stream are prompt and not scored.
        seconds: score a window only: what begins within so many seconds after the prompt.
        items: score a window only: so many items of each predicted stream after the prompt.
        batch: examples run at once; it does not change the result.
        share: False: compute what examples share for each of them.

    Raises:
        BadInput: `known` of another length than `examples`, a window that says nothing, a continuous stream that the
            head cannot draw, or an example longer than the model's context.
    """
    if known is not None and len(known) != len(examples):
        raise BadInput(f"score got {len(known)} prompts (`known`) for {len(examples)} examples; give one for each")
    own, prompts = getattr(lm, "cell_nats", None), known or [{} for _ in examples]
    for name in task.predict:
        if specs[name].dim and own is None and not getattr(lm.head, "continuous", False):
            raise BadInput(
                f"task {task.name!r} predicts {name!r}, which is continuous, but {type(lm.head).__name__} has no "
                "density for it; use a head that makes vectors"
            )
    cells = [
        _cells(lm, task, example, specs, prompt, _window(task, example, specs, prompt, seconds, items))
        for example, prompt in zip(examples, prompts, strict=True)
    ]
    nats = {i: np.zeros(cell.asked.shape) for i, cell in enumerate(cells)}
    with evaluating(lm):
        if own is not None:
            cells = _own(lm, cells, nats, batch)
        else:
            seen, most = (
                [cut(cell.grid, cell.steps) for cell in cells],
                STEPS if lm.first.device.type == "cpu" else None,
            )
            for group in groups(seen, batch, lm.context if share else 0, most):
                _score(lm, cells, group, nats)
    return [_sums(lm, task, example, cells[i], nats[i], specs) for i, example in enumerate(examples)]


def _window(
    task: Task,
    example: Example,
    specs: Mapping[str, Spec],
    known: Mapping[str, int],
    seconds: float | None,
    items: int | None,
) -> dict[str, int] | None:
    """Predicted stream -> the item at which the window ends; a stream of n items ends with item n. None: no window."""
    if seconds is None and items is None:
        return None
    if (seconds is not None) == (items is not None) or (seconds or items or 0) <= 0:
        raise BadInput(f"a window is so many seconds or so many items, but got seconds={seconds}, items={items}")
    if items is not None:
        return {name: known.get(name, 0) + items for name in task.predict}
    assert seconds is not None
    times = {n: example[n].times(specs[n]) for n in task.predict if specs[n].rate or example[n].onsets is not None}
    if not times:
        raise BadInput(
            f"seconds={seconds} says nothing to task {task.name!r}: none of {task.predict} has times; give items"
        )
    clocks = [known.get(n, 0) * TICKS / Fraction(rate) for n in times if (rate := specs[n].rate)]
    firsts = [int(at[known.get(n, 0)]) for n, at in times.items() if known.get(n, 0) < len(at)]
    past = int(max(clocks, default=min(firsts, default=0))) + ticks(seconds)
    ends = {name: known.get(name, 0) for name in task.predict}
    for name, at in times.items():  # a stream with a rate may have ended before the window: then its end is in it
        regular = specs[name].length(past / TICKS) if specs[name].rate and example[name].onsets is None else 0
        ends[name] = max(ends[name], regular, int((at < past).sum()))
    return ends


def _cells(
    lm: LanguageModel,
    task: Task,
    example: Example,
    specs: Mapping[str, Spec],
    known: Mapping[str, int],
    window: Mapping[str, int] | None,
) -> Cells:
    grid = task.place([example], specs, None, lm.vocabs)
    asked = items = grid.role == PREDICT
    if known:
        grid = task.place([example], specs, known, lm.vocabs)
        asked = grid.role == PREDICT
    if window is not None:  # what would be given if the window belonged to the prompt
        asked = asked & (task.place([example], specs, window, lm.vocabs).role == GIVEN)
    return Cells(grid, asked, items)


def _own(lm: Any, cells: Sequence[Cells], nats: dict[int, np.ndarray], batch: int) -> list[Cells]:
    """Let a model of whole grids fill in `nats`; returns the cells it has scored."""
    order, found = sorted(range(len(cells)), key=lambda i: cells[i].grid.steps), list(cells)
    pads = [vocab.offset("pad") for vocab in lm.vocabs.values()]
    for at in range(0, len(order), batch):
        chosen = order[at : at + batch]
        grids = collate([cells[i].grid for i in chosen], pads).to(lm.first.device)
        logp, has = (t.cpu().numpy() for t in lm.cell_nats(grids))
        for line, i in enumerate(chosen):
            steps = cells[i].grid.steps
            nats[i][:] = logp[line, :, :steps]
            found[i] = Cells(cells[i].grid, cells[i].asked & has[line, :, :steps], cells[i].items)
    return found


def _score(lm: LanguageModel, cells: Sequence[Cells], group: Group, nats: dict[int, np.ndarray]) -> None:
    """Fill in `nats` for the examples of one group."""
    for i, first, hidden in group.hidden(lm):
        asked = cells[i].asked[:, first : first + len(hidden)]
        steps = np.flatnonzero(asked.any(0))
        if len(steps):
            nats[i][:, first + steps] += _nats(lm, hidden[steps], cells[i].grid, first + steps, asked[:, steps])


def _nats(lm: LanguageModel, hidden: Tensor, grid: Grid, steps: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """float64[K, n]: log p of the cells asked for at these steps, from float[n, D]."""
    tokens = torch.from_numpy(grid.tokens[:, steps]).to(hidden.device)
    rows = [row for row, here in zip(lm.rows, asked, strict=True) if here.any()]
    logits = lm.head(hidden, tokens.T, rows)
    nats = np.zeros(asked.shape)
    for k, row in enumerate(lm.rows):
        if row in rows:
            logp = logits[row].float().log_softmax(-1).gather(-1, tokens[k][:, None])[:, 0]
            nats[k] = np.where(asked[k], logp.double().cpu().numpy(), 0)
    for name, dense in grid.dense.items():
        here = np.flatnonzero(np.isin(steps, dense.steps) & asked[dense.row])
        if len(here):
            true = torch.from_numpy(dense.values[np.searchsorted(dense.steps, steps[here])]).to(hidden)
            nats[dense.row, here] += lm.head.vector_nats(hidden[here], name, true).double().cpu().numpy()
    return nats


def _sums(
    lm: LanguageModel, task: Task, example: Example, cells: Cells, nats: np.ndarray, specs: Mapping[str, Spec]
) -> Score:
    """By block, and by item of the predicted streams."""
    parts: dict[str, Likelihood] = {}
    items = {name: np.full(len(example[name]), np.nan) for name in task.predict}
    for k, vocab in enumerate(lm.vocabs.values()):
        for block, (first, last) in vocab.ranges.items():
            held = (cells.grid.tokens[k] >= first) & (cells.grid.tokens[k] < last) & cells.items[k]
            if vocab.shared:  # symbols of two streams: the layout says whose cell it is
                held &= _whose(task, example, specs, vocab, block, lm.rows[k])
            found = nats[k][held & cells.asked[k]]
            if len(found):
                before = parts.get(block, Likelihood(0.0, 0))
                parts[block] = Likelihood(before.nats + float(found.sum()), before.count + len(found))
            if block in items and held.any():
                items[block] = np.where(cells.asked[k], nats[k], np.nan)[held]
    return Score(parts, items)


def _whose(task: Task, example: Example, specs: Mapping[str, Spec], vocab: Vocab, block: str, row: str) -> np.ndarray:
    """bool[S]: where a cell of the row is not another stream's than the block's."""
    table = layout_cells(task.layout, [example], specs, task.predict)
    others = {name for pair in vocab.shared for name in pair} - {block}
    if row not in table.rows:
        return np.ones(table.steps, bool)
    here = table.stream[table.rows.index(row)]
    item = table.kind[table.rows.index(row)] == "item"
    return ~(item & np.isin(here, [i for i, name in enumerate(table.streams) if name in others]))
