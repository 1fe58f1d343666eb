"""Examples that begin alike are run once over what they share, and then each over its own ending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from oration.core import Dense, Grid, collate
from oration.lms import LanguageModel

LEAST = 16
"""Steps below which sharing a beginning is not worth a run of its own."""


@dataclass(frozen=True, eq=False)
class Family:
    """Grids with the same first `shared` columns."""

    members: tuple[int, ...]
    shared: int


@dataclass(frozen=True, eq=False)
class Group:
    """Families run at once: all of them single grids, or none."""

    grids: Sequence[Grid]
    families: Sequence[Family]

    def hidden(self, lm: LanguageModel) -> Iterator[tuple[int, int, Tensor]]:
        """(grid, step, float[n, D]): the hidden vectors of the steps from there on; of each grid all, in order."""
        pads, device = [vocab.offset("pad") for vocab in lm.vocabs.values()], lm.first.device
        members = [i for family in self.families for i in family.members]
        if not any(family.shared for family in self.families):
            whole = lm.hidden(collate([self.grids[i] for i in members], pads).to(device))
            yield from ((i, 0, whole[line, : self.grids[i].steps]) for line, i in enumerate(members))
            return
        # A vector belongs to the step after the columns it has seen, so the last column of a grid is never fed.
        ends = [
            cut(self.grids[i], self.grids[i].steps - 1, family.shared)
            for family in self.families
            for i in family.members
        ]
        longest = max(family.shared for family in self.families)
        state = lm.start(len(self.families), longest + 1 + max(max(end.steps for end in ends), 0))
        starts = [cut(self.grids[family.members[0]], family.shared) for family in self.families]
        before = lm.follow(state, collate(starts, pads).to(device))
        own = [n for n, family in enumerate(self.families) for _ in family.members]
        for i, n in zip(members, own, strict=True):
            yield i, 0, before[n, : min(self.families[n].shared + 1, self.grids[i].steps)]
        going = [at for at, end in enumerate(ends) if end.steps]
        if going:
            state = state.select(torch.tensor([own[at] for at in going], device=device))
            after = lm.follow(state, collate([ends[at] for at in going], pads).to(device))
            for line, at in enumerate(going):
                yield members[at], self.families[own[at]].shared + 1, after[line, : ends[at].steps]


def groups(grids: Sequence[Grid], batch: int, context: int | None, most: int | None = None) -> list[Group]:
    """Grids -> groups of about `batch` of them and of similar lengths. Grids without steps are left out.

    Args:
        context: the longest beginning and the longest ending of a group fit it together; 0: nothing is shared.
        most: steps of a group, unless one family has more.
    """
    alone, together = [], []
    for family in families(grids) if context != 0 else [Family((i,), 0) for i in range(len(grids))]:
        if len(family.members) > 1:
            together.append(family)
        elif grids[family.members[0]].steps:
            alone.append(family)
    made = []
    for kind in (alone, together):
        kind.sort(key=lambda f: (f.shared, max(grids[i].steps for i in f.members)))
        chosen: list[Family] = []
        for family in kind:
            more = [*chosen, family]
            long = max(f.shared for f in more) + max(grids[i].steps - f.shared for f in more for i in f.members)
            steps = sum(f.shared + sum(grids[i].steps - f.shared for i in f.members) for f in more)
            full = sum(len(f.members) for f in more) > batch or (most is not None and steps > most)
            if chosen and (full or (context and long > context)):
                made.append(Group(grids, chosen))
                more = [family]
            chosen = more
        if chosen:
            made.append(Group(grids, chosen))
    return made


def families(grids: Sequence[Grid]) -> list[Family]:
    """Group the grids that begin alike, where it saves steps.

    >>> import numpy as np
    >>> rows, role = ("main",), np.zeros((1, 40), np.int8)
    >>> story = np.arange(40)[None]
    >>> other = np.where(np.arange(40) < 30, story, 7)
    >>> [(f.members, f.shared) for f in families([Grid(t, role, rows) for t in (story, story[:, ::-1], other)])]
    [((0, 2), 30), ((1,), 0)]
    """
    # Compared as bytes, column by column, those that begin alike are neighbours.
    order = sorted(range(len(grids)), key=lambda i: grids[i].tokens.T.tobytes())
    found: list[Family] = []
    for i in order:
        if found:
            last = found[-1]
            common = alike(grids[last.members[0]], grids[i])
            if last.shared:
                common = min(common, last.shared)
            saved = len(last.members) * common - (len(last.members) - 1) * last.shared
            if common >= LEAST and saved > 0:
                found[-1] = Family((*last.members, i), common)
                continue
        found.append(Family((i,), 0))
    return sorted((Family(tuple(sorted(f.members)), f.shared) for f in found), key=lambda f: f.members)


def alike(one: Grid, other: Grid) -> int:
    """How many first columns two grids share; a column that both could go on from is left to each."""
    steps = max(0, min(one.steps, other.steps) - 1)
    same = (one.tokens[:, :steps] == other.tokens[:, :steps]).all(0)
    for name in one.dense.keys() | other.dense.keys():
        pair = [grid.dense.get(name) for grid in (one, other)]
        vectors = [
            {} if d is None else {int(s): v.tobytes() for s, v in zip(d.steps, d.values, strict=True) if s < steps}
            for d in pair
        ]
        for step in vectors[0].keys() | vectors[1].keys():
            same[step] &= vectors[0].get(step) == vectors[1].get(step)
    return steps if same.all() else int(same.argmin())


def cut(grid: Grid, stop: int, start: int = 0) -> Grid:
    """Columns `start` to `stop`."""
    dense = {}
    for name, d in grid.dense.items():
        here = (d.steps >= start) & (d.steps < stop)
        if here.any():
            dense[name] = Dense(d.row, d.steps[here] - start, d.values[here])
    stop = max(start, stop)
    return Grid(grid.tokens[:, start:stop], grid.role[:, start:stop], grid.rows, dense)
