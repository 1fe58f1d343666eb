"""The contexts of many sessions in one Stack: heard items in, drawn items out, a step of all of them in one call.

What a session said is kept twice: as it was drawn, and as the context has it, where silence stands for what nobody
heard. Changing the context means forgetting the steps since, and feeding them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput
from oration.generate import Sampler
from oration.live.bank import bank
from oration.live.plan import Cell, Plan
from oration.lms import LanguageModel

BLOCK = 64
"""Steps whose chances a session draws at once."""


class Duet:
    """`slots` contexts. A column's number counts from the session's first; item i of a row stands in column i + delay.

    With `plan.ahead` the column after the last that was heard is drawn, else that one itself.
    """

    def __init__(
        self, lm: LanguageModel, plan: Plan, slots: int, silence: Mapping[str, tuple[int, int]], rewinds: int
    ) -> None:
        """
        Args:
            silence: own stream -> its items where silence begins, and where it goes on.
            rewinds: most columns whose context can be changed.
        """
        self.lm, self.plan, self.rewinds = lm, plan, rewinds
        window = lm.body.window
        self.limit = None if window is not None and getattr(lm.body, "context", None) is None else lm.context
        if self.limit is None and window is None:
            raise BadInput(
                f"{lm.config.name!r} has neither a context nor a window, so a session would grow without end; give the "
                "model context=..., or its body window=..."
            )
        self.bank = bank(lm, slots, self.limit or 0, rewinds)
        self.most = max(cell.delay for cell in plan.cells)
        self.ring = max(self.limit or 0, window or 0) + rewinds + self.most + 2
        self.drawn = np.zeros((slots, len(lm.rows), self.ring), np.int64)
        self.said = np.zeros_like(self.drawn)
        self.quiet = np.zeros((slots, self.ring), bool)
        """Items that the context holds as silence."""
        self.forced = np.zeros_like(self.quiet)
        """Items that were silenced as they were drawn."""
        self.dense = {
            cell.stream: np.zeros((slots, self.ring, cell.dim), np.float32) for cell in plan.given if cell.dim
        }
        self.columns = np.zeros(slots, np.int64)
        """Columns that were fed."""
        self.base = np.zeros(slots, np.int64)
        """The column at which a slot's grid begins."""
        self.hushed = np.zeros(slots, bool)
        """Slots for whose context silence stands in for whatever they draw."""
        self.over = np.zeros(slots, bool)
        """Slots whose rows have ended."""
        self.vectors: dict[int, Tensor] = {}
        """Slot -> the body's vector that its last column was drawn from."""
        self.opening: dict[int, Tensor] = {}
        """Slot -> that of its first column, where that was drawn before anything was heard."""
        self._first = {cell.k: silence.get(cell.stream, (0, 0))[0] for cell in plan.mine}
        self._rest = {cell.k: silence.get(cell.stream, (0, 0))[1] for cell in plan.mine}
        self._given, self._own = plan.given, {cell.row: cell for cell in plan.own}
        self._mine = {cell.k for cell in plan.mine}
        self._pads = torch.tensor([vocab.offset("pad") for vocab in lm.vocabs.values()])
        self._prefix: list[Tensor | None] = [None] * slots
        self._begun = [False] * slots
        self._samplers: list[Sampler] = [Sampler()] * slots
        self._chance: list[Any] = [torch.Generator()] * slots
        self._chances = np.zeros((slots, BLOCK, len(lm.rows)))
        self._spent = np.full(slots, BLOCK)
        cells = sorted(plan.cells, key=lambda cell: cell.k)
        self._ks = np.array([cell.k for cell in cells])
        self._delays = np.array([cell.delay for cell in cells])
        self._offsets = np.array([cell.offset for cell in cells])

    def begin(self, slot: int, seed: int, sampler: Sampler, prefix: Tensor | None = None) -> None:
        """Let a slot begin anew.

        Args:
            prefix: long[K, P], columns before the Stack.

        Raises:
            BadInput: a sampler that needs to know what came long before.
        """
        if any(s.repetition != 1 or s.guidance != 1 for s in (sampler, *(s for _, s in sampler.rows))):
            raise BadInput(
                "a live session draws without repetition penalty and guidance, which count from its beginning; "
                "leave both at 1"
            )
        if self.limit is not None and prefix is not None and prefix.shape[1] + 2 * self.most + 4 > self.limit // 2:
            raise BadInput(
                f"a text of {prefix.shape[1]} steps leaves no room to speak in a context of {self.limit}; shorten it"
            )
        self.bank.reset(slot)
        self.columns[slot] = self.base[slot] = 0
        self.hushed[slot] = self.over[slot] = self._begun[slot] = False
        self.quiet[slot] = self.forced[slot] = False
        self._prefix[slot], self._samplers[slot] = prefix, sampler
        self._chance[slot] = torch.Generator().manual_seed(seed)
        self._spent[slot] = BLOCK

    @torch.no_grad()
    def step(self, at: Sequence[int], heard: Mapping[str, np.ndarray]) -> None:
        """The next items of all heard streams of the slots `at`: feed them, and draw."""
        for slot in at:
            if self.limit is not None and self._held(slot) >= self.limit - 1:
                self._again(slot, self.limit // 2)
        rows = np.asarray(at)
        place = self.columns[rows] % self.ring
        for cell in self._given:
            if cell.stream in self.dense:
                self.dense[cell.stream][rows, place] = heard[cell.stream]
            else:
                self.said[rows, cell.k, place] = heard[cell.stream]
        fresh = [slot for slot in at if not self._begun[slot]]
        if fresh:
            self._start(fresh)
        if self.plan.ahead:
            hidden = self._feed(at)
            self._draw(rows, hidden)
        else:
            self._draw(rows, torch.stack([self.vectors[slot] for slot in at]))
            hidden = self._feed(at)
            for row, slot in enumerate(at):
                self.vectors[slot] = hidden[row]

    def done(self, slot: int) -> int:
        """The newest item that is complete in all rows of the model's own; below 0: none."""
        return self.latest(slot) - self.plan.wait

    def items(self, at: Sequence[int], of: np.ndarray, streams: Sequence[str]) -> dict[str, np.ndarray]:
        """Items `of`, long[m], as they were drawn: stream -> int64[m]."""
        rows, known = np.asarray(at), {cell.stream: cell.k for cell in self.plan.own}
        return {name: self.drawn[rows, known[name], of % self.ring] for name in streams}

    @torch.no_grad()
    def mend(self, slot: int, first: int, quiet: Sequence[bool]) -> bool:
        """Have the context say which of the model's own items, from `first` on, nobody heard.

        Those that were silenced as they were drawn stay so, and of newer ones no others are.

        Returns:
            False: some of it lies further back than can be changed, and stays.
        """
        known = np.arange(first, max(first + len(quiet), self.latest(slot) + 1))
        silent = self.forced[slot, known % self.ring].copy()
        silent[: len(quiet)] |= np.asarray(quiet, bool)
        ahead = min((cell.delay for cell in self.plan.mine), default=0)
        oldest = int(self.columns[slot]) - self._reach(slot) - ahead
        latest = self.latest(slot)
        kept = (known >= max(0, oldest)) & (known <= latest)
        whole = bool((known >= min(oldest, latest)).all()) or oldest <= 0
        known, silent = known[kept], silent[kept]
        changed = known[self.quiet[slot, known % self.ring] != silent]
        if not len(changed):
            return whole
        self.quiet[slot, known % self.ring] = silent
        for cell in self.plan.mine:
            items = np.arange(int(changed[0]), latest - cell.delay + 1)
            self.said[slot, cell.k, items % self.ring] = self._spoken(slot, cell, items)
        self._refeed(slot, int(changed[0]) + ahead)
        return whole

    def hush(self, slot: int) -> None:
        """Silence stands for whatever is not said yet and for all that follows, until `hushed` is unset."""
        coming = np.arange(max(0, self.done(slot) + 1), self.latest(slot) + 1)
        self.forced[slot, coming % self.ring] = True
        self.hushed[slot] = True

    def latest(self, slot: int) -> int:
        """The newest item of which anything is drawn."""
        return int(self.columns[slot]) - (not self.plan.ahead)

    def _spoken(self, slot: int, cell: Cell, items: np.ndarray) -> np.ndarray:
        """What the context holds of these items."""
        quiet, before = self.quiet[slot, items % self.ring], self.quiet[slot, (items - 1) % self.ring] & (items > 0)
        silence = np.where(before, self._rest[cell.k], self._first[cell.k])
        return np.where(quiet, silence, self.drawn[slot, cell.k, items % self.ring])

    def _reach(self, slot: int) -> int:
        """Columns whose context can still be changed."""
        return min(int(self.columns[slot] - self.base[slot]), self.rewinds)

    def _held(self, slot: int) -> int:
        """Steps in a slot's past, the start vector included."""
        prefix = self._prefix[slot]
        return int(self.columns[slot] - self.base[slot]) + 1 + (0 if prefix is None else prefix.shape[1])

    def _start(self, fresh: Sequence[int]) -> None:
        """The start vector and the text before the Stack, then, where one is ahead, the first column."""
        for slot in fresh:
            self._begun[slot] = True
        hidden = torch.cat([self.bank.feed([slot], self._before(slot), {}) for slot in fresh])
        if self.plan.ahead:
            self._draw(np.asarray(fresh), hidden)
            self.opening.update({slot: hidden[row] for row, slot in enumerate(fresh)})
        else:
            self.vectors.update({slot: hidden[row] for row, slot in enumerate(fresh)})

    def _before(self, slot: int) -> Tensor:
        """long[1, K, P]"""
        prefix = self._prefix[slot]
        return torch.zeros(1, len(self.lm.rows), 0, dtype=torch.long) if prefix is None else prefix[None]

    def _feed(self, at: Sequence[int]) -> Tensor:
        """The columns that are complete now -> float[m, ...]"""
        rows = np.asarray(at)
        numbers = self.columns[rows]
        hidden = self.bank.feed(at, self._built(rows, numbers[:, None]), self._dense(rows, numbers[:, None]))
        self.columns[rows] += 1
        return hidden

    def _built(self, rows: np.ndarray, numbers: np.ndarray) -> Tensor:
        """Columns `numbers`, int64[m, S], of the slots `rows` -> long[m, K, S]."""
        items = numbers[:, None, :] - self._delays[None, :, None]
        held = self.said[rows[:, None, None], self._ks[None, :, None], items % self.ring] + self._offsets[None, :, None]
        there = items >= self.base[rows][:, None, None]
        columns = np.broadcast_to(self._pads.numpy()[None, :, None], (len(rows), len(self._pads), numbers.shape[1]))
        columns = columns.copy()
        columns[:, self._ks] = np.where(there, held, self._pads.numpy()[self._ks][None, :, None])
        return torch.from_numpy(columns)

    def _dense(self, rows: np.ndarray, numbers: np.ndarray) -> dict[str, Tensor]:
        late = {cell.stream: cell.delay for cell in self._given}
        return {
            name: torch.from_numpy(held[rows[:, None], (numbers - late[name]) % self.ring])
            for name, held in self.dense.items()
        }

    def _draw(self, rows: np.ndarray, hidden: Tensor) -> None:
        """The own cells of the slots' next columns."""
        columns = self.columns[rows]
        self.quiet[rows, columns % self.ring] = self.forced[rows, columns % self.ring] = self.hushed[rows]
        chances, column = self._numbers(rows), self.lm.head.begin(hidden)
        groups = self._groups(rows)
        for k, row in enumerate(self.lm.rows):
            cell = self._own.get(row)
            if cell is None:
                if not self.plan.ahead:
                    column.take(row, self._built(rows, columns[:, None])[:, k, 0])
                continue
            symbols = self._pick(cell, column.logits(row), chances[:, k], groups)
            items = columns - cell.delay
            there = items >= self.base[rows]
            who, at = rows[there], items[there] % self.ring
            self.drawn[who, k, at] = symbols[there]
            self.said[who, k, at] = symbols[there]
            if cell.end is not None:
                self.over[who] |= symbols[there] == cell.size
            if k in self._mine:
                for slot, item in zip(rows[there], items[there], strict=True):
                    if self.quiet[slot, item % self.ring]:
                        self.said[slot, k, item % self.ring] = self._spoken(slot, cell, np.array([item]))[0]
            tokens = np.where(there, self.said[rows, k, items % self.ring] + cell.offset, cell.pad)
            column.take(row, torch.from_numpy(tokens))
        if self.plan.ahead:
            self.vectors.update({int(slot): hidden[row] for row, slot in enumerate(rows)})

    def _pick(self, cell: Cell, logits: Tensor, chance: Tensor, groups: list[tuple[Sampler, list[int]]]) -> np.ndarray:
        """int64[m]: symbols of a row; one past its last where it ends."""
        inside = logits[:, cell.offset : cell.offset + cell.size].float()
        if cell.end is not None:
            inside = torch.cat((inside, logits[:, cell.end : cell.end + 1].float()), 1)
        allowed = torch.ones(1, inside.shape[1], dtype=torch.bool)
        symbols = np.empty(len(inside), np.int64)
        for sampler, members in groups:
            every = len(members) == len(inside)
            mine, drawn = (inside, chance) if every else (inside[members], chance[members])
            symbols[members] = sampler.of(cell.row).pick(mine, allowed, drawn).numpy()
        return symbols

    def _groups(self, rows: np.ndarray) -> list[tuple[Sampler, list[int]]]:
        """The slots that draw alike."""
        groups: list[tuple[Sampler, list[int]]] = []
        for i, slot in enumerate(rows):
            found = next((g for g in groups if g[0] == self._samplers[slot]), None)
            if found is None:
                groups.append((self._samplers[slot], [i]))
            else:
                found[1].append(i)
        return groups

    def _numbers(self, rows: np.ndarray) -> Tensor:
        """float64[m, K]: each slot's own chances, one a row, as `Drawer` draws them."""
        for slot in rows[self._spent[rows] >= BLOCK]:
            drawn = torch.rand(BLOCK, len(self.lm.rows), dtype=torch.float64, generator=self._chance[slot])
            self._chances[slot], self._spent[slot] = drawn.numpy(), 0
        found = self._chances[rows, self._spent[rows]]
        self._spent[rows] += 1
        return torch.from_numpy(found)

    def _refeed(self, slot: int, first: int) -> None:
        """Feed the columns from `first` on again."""
        last = int(self.columns[slot])
        if first >= last:
            return
        if not self.bank.rewind(slot, last - first):
            self._again(slot, min(last - int(self.base[slot]), self.ring - self.most - 2))
            return
        self._push(slot, first, last)

    def _again(self, slot: int, keep: int) -> None:
        """Begin the grid anew with the last `keep` columns."""
        last = int(self.columns[slot])
        self.base[slot] = last - min(keep, last - int(self.base[slot]))
        self.bank.reset(slot)
        self.bank.feed([slot], self._before(slot), {})
        self._push(slot, int(self.base[slot]), last)

    def _push(self, slot: int, first: int, last: int) -> None:
        rows, numbers = np.array([slot]), np.arange(first, last)[None]
        hidden = self.bank.feed([slot], self._built(rows, numbers), self._dense(rows, numbers))
        if not self.plan.ahead:
            self.vectors[slot] = hidden[0]
