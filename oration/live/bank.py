"""The pasts of many sessions in one language model: some go on by a step while the others rest, as if it never was.

Three ways, by what the body remembers. A stack in C takes the sequences that it is told. A cache of torch goes on as a
whole, and those that rest forget the step. Anything else is a past for each session, one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from oration.core import BadInput, DenseBatch
from oration.lms import LanguageModel
from oration.lms.towers import TowersPast
from oration.nn.look import Cache
from oration.nn.native import NativeStack


class Bank(Protocol):
    """`slots` pasts. A slot that begins anew is fed the model's start vector with its first columns."""

    def feed(self, at: Sequence[int], columns: Tensor, dense: Mapping[str, Tensor]) -> Tensor:
        """Columns long[m, K, S] of the slots `at` -> float[m, ...], the vectors of the steps after the last of them.
        Without columns, S = 0, of slots that begin anew: of their first steps.

        Args:
            dense: continuous stream -> float[m, S, D]; what stands where its row holds something else is not read.
        """
        ...

    def reset(self, slot: int) -> None:
        """Let a slot begin anew."""
        ...

    def rewind(self, slot: int, steps: int) -> bool:
        """Forget the last steps of a slot; False: this past cannot, so it is to begin anew."""
        ...


def bank(lm: LanguageModel, slots: int, capacity: int, rewinds: int) -> Bank:
    """The pasts that a model's body needs.

    Args:
        capacity: most steps of a slot that count at all; with a window, the window does.
        rewinds: most steps that are ever forgotten again.
    """
    window = lm.body.window
    # Who rests is fed as much as who goes on, and no step that still counts may be written over by that.
    room = (capacity if window is None else window) + max(1, rewinds) + 1
    stack = getattr(lm.body, "stack", None)
    if isinstance(stack, NativeStack) and not hasattr(lm.body, "channels"):
        return NativeBank(lm, stack, stack.cache(slots, room), rewinds)
    past = lm.body.past(1, room)
    cache = past.cache if isinstance(past, TowersPast) else past
    if isinstance(cache, Cache):
        return MaskedBank(lm, slots, room, rewinds)
    return LoneBank(lm, slots, room)


def vectors(lm: LanguageModel, columns: Tensor, dense: Mapping[str, Tensor]) -> Tensor:
    """Columns long[m, K, S] -> what the body takes, float[m, S, ...]."""
    found: dict[str, DenseBatch] = {}
    for name, places in lm._dense.items():
        for k, first, last in places:
            at = (columns[:, k] >= first) & (columns[:, k] < last)
            which, step = at.nonzero(as_tuple=True)
            if len(which):
                if name not in dense:
                    raise BadInput(f"a column holds an item of {name!r} but no vector for it; give one")
                found[name] = DenseBatch(which, torch.full_like(which, k), step, dense[name][which, step])
    return lm.columns(columns, found)


def _parts(lm: LanguageModel, columns: Tensor, dense: Mapping[str, Tensor], most: int) -> Sequence[Tensor]:
    """What the body takes, some steps at a time."""
    return vectors(lm, columns, dense).split(most, 1) if columns.shape[2] else ()


class NativeBank:
    """One cache for all, in C: a step costs only those that take it."""

    def __init__(self, lm: LanguageModel, stack: NativeStack, cache: Cache, most: int) -> None:
        self.lm, self.stack, self.cache, self.most = lm, stack, cache, max(1, most)
        self._begun = [False] * len(cache.length)

    def feed(self, at: Sequence[int], columns: Tensor, dense: Mapping[str, Tensor]) -> Tensor:
        y, fresh = None, [slot for slot in at if not self._begun[slot]]
        if fresh:
            y = self.stack.after(self.lm.begin(len(fresh)).contiguous(), self.cache, torch.tensor(fresh))
            for slot in fresh:
                self._begun[slot] = True
        lines = torch.tensor(at)
        for part in _parts(self.lm, columns, dense, self.most):  # a ring holds the window and so many
            y = self.stack.after(part.contiguous(), self.cache, lines)
        assert y is not None
        return y[:, -1]

    def reset(self, slot: int) -> None:
        self._begun[slot] = False
        self.cache.length[slot] = 0
        self.cache.held[slot] = -1

    def rewind(self, slot: int, steps: int) -> bool:
        forget(self.cache, slot, steps)
        return True


class MaskedBank:
    """One cache of torch for all; who rests is fed anything, and forgets it."""

    def __init__(self, lm: LanguageModel, slots: int, room: int, most: int) -> None:
        self.lm, self.slots, self.most = lm, slots, max(1, most)
        self.past = lm.body.past(slots, room)
        self.caches: Cache = self.past.cache if isinstance(self.past, TowersPast) else self.past
        self.sides = 2 if isinstance(self.past, TowersPast) else 1
        self._begun = [False] * slots

    def feed(self, at: Sequence[int], columns: Tensor, dense: Mapping[str, Tensor]) -> Tensor:
        y, fresh = None, [slot for slot in at if not self._begun[slot]]
        if fresh:
            y = self._step(fresh, self.lm.begin(len(fresh)))
            for slot in fresh:
                self._begun[slot] = True
        for part in _parts(self.lm, columns, dense, self.most):
            y = self._step(at, part)
        assert y is not None
        return y[:, -1]

    def _step(self, at: Sequence[int], x: Tensor) -> Tensor:
        index = torch.tensor(at)
        if len(at) == self.slots:
            order = index.argsort()
            return self.lm.body.extend(x[order], self.past)[index]
        whole = x.new_zeros(self.slots, *x.shape[1:])
        whole[index] = x
        y = self.lm.body.extend(whole, self.past)
        rest = torch.full((self.slots,), x.shape[1])
        rest[index] = 0
        rest = rest.repeat(self.sides)
        cache = self.caches
        cache.length = cache.length - rest
        cache.held[(cache.held >= cache.length[:, None]) & (rest > 0)[:, None]] = -1
        return y[index]

    def reset(self, slot: int) -> None:
        self._begun[slot] = False
        for line in self._lines(slot):
            self.caches.length[line] = 0
            self.caches.held[line] = -1

    def rewind(self, slot: int, steps: int) -> bool:
        for line in self._lines(slot):
            forget(self.caches, line, steps)
        return True

    def _lines(self, slot: int) -> list[int]:
        return [slot + side * self.slots for side in range(self.sides)]


class LoneBank:
    """A past for each slot, fed one after another."""

    def __init__(self, lm: LanguageModel, slots: int, room: int) -> None:
        self.lm, self.room = lm, room
        self.pasts: list[Any] = [None] * slots

    def feed(self, at: Sequence[int], columns: Tensor, dense: Mapping[str, Tensor]) -> Tensor:
        found = []
        for row, slot in enumerate(at):
            own = {n: v[row : row + 1] for n, v in dense.items()}
            parts = [*_parts(self.lm, columns[row : row + 1], own, columns.shape[2])]
            if self.pasts[slot] is None:
                self.pasts[slot] = self.lm.body.past(1, self.room)
                parts = [self.lm.begin(1), *parts]
            x = torch.cat(parts, 1)
            found.append(self.lm.body.extend(x, self.pasts[slot])[:, -1])
        return torch.cat(found)

    def reset(self, slot: int) -> None:
        self.pasts[slot] = None

    def rewind(self, slot: int, steps: int) -> bool:
        return steps == 0


def forget(cache: Cache, line: int, steps: int) -> None:
    """Forget the last steps of one sequence of a cache."""
    length = int(cache.length[line]) - steps
    cache.length[line] = length
    held = cache.held[line]
    held[held >= length] = -1
