"""The contexts of many sessions in one row of slices: a slice of what was heard, then the slices that the model says.

Each slice is a mark and its items. A slice that the model says has as many items as its time holds, or up to so many
where runs are merged; then the next mark is given. Slices are kept, so that a context can be changed or begun anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput, Specs
from oration.generate import Sampler
from oration.layouts import Chunk, Weave
from oration.layouts.block import switch
from oration.live.bank import bank
from oration.lms import LanguageModel


@dataclass(frozen=True)
class Arm:
    """A stream of the Weave."""

    stream: str
    mark: int
    """The token that opens its slices."""
    offset: int
    size: int
    most: int
    """Items in a slice."""
    regular: bool
    """Whether a slice has just so many."""
    heard: bool


@dataclass(eq=False)
class Slice:
    """A slice's time on the grid."""

    drawn: dict[str, list[int]]
    """Stream -> its items, heard and drawn."""
    said: dict[str, list[int]]
    """The same as the context has it."""
    fed: int = 0
    """Its tokens in the past."""

    def tokens(self, arms: Sequence[Arm]) -> list[int]:
        found: list[int] = []
        for arm in arms:
            if arm.stream in self.said:
                found += [arm.mark, *(arm.offset + item for item in self.said[arm.stream])]
        return found


@dataclass(eq=False)
class _Line:
    """One session."""

    slices: deque[Slice]
    chance: torch.Generator
    sampler: Sampler
    count: int = 0
    """Slices so far; the last of them is number `count` - 1."""
    steps: int = 0
    """Steps in the past, the start vector included."""
    begun: bool = False
    forced: deque[bool] = field(default_factory=deque)
    """Whether a slice was silenced as it was drawn, one for each kept."""


class Braid:
    """`slots` contexts of a Weave by Chunk."""

    def __init__(
        self,
        lm: LanguageModel,
        weave: Weave,
        specs: Specs,
        heard: Sequence[str],
        slots: int,
        silence: Mapping[str, int],
        frames: int,
        keep: int,
    ) -> None:
        """
        Args:
            heard: the arms that are given.
            silence: own stream -> its item of silence.
            frames: items of sound in a slice.
            keep: slices whose context can be changed.
        """
        assert isinstance(weave.by, Chunk)
        self.lm, self.frames, self.keep, self.silence = lm, frames, keep, dict(silence)
        self.row, self.k = weave.row, lm.rows.index(weave.row)
        vocab = lm.vocabs[weave.row]
        self.arms = [_arm(name, vocab, specs, heard, weave.by.seconds, frames) for name in weave.arms]
        self.first = next(i for i, arm in enumerate(self.arms) if arm.heard)
        """The grid's slices begin with this arm for us: what stands before it in the layout is said a slice later."""
        window = lm.body.window
        self.limit = lm.context if lm.context is not None else 4096
        longest = sum(arm.most + 1 for arm in self.arms)
        if 2 * longest + 2 > self.limit:
            raise BadInput(f"a context of {self.limit} steps holds no two slices of {longest}; give the model a longer")
        self.kept = max(keep, (window or self.limit) // max(1, len(self.arms)) + 1)
        self.bank = bank(lm, slots, self.limit, longest * (keep + 1))
        self._pads = torch.tensor([v.offset("pad") for v in lm.vocabs.values()])
        self.lines = [self._fresh(0, Sampler()) for _ in range(slots)]
        self.hushed = np.zeros(slots, bool)
        self.over = np.zeros(slots, bool)

    def _fresh(self, seed: int, sampler: Sampler) -> _Line:
        return _Line(deque(maxlen=self.kept), torch.Generator().manual_seed(seed), sampler)

    def begin(self, slot: int, seed: int, sampler: Sampler, prefix: Tensor | None = None) -> None:
        """Let a slot begin anew."""
        self.bank.reset(slot)
        self.lines[slot] = self._fresh(seed, sampler)
        self.hushed[slot] = False

    def step(self, at: Sequence[int], heard: Sequence[Mapping[str, list[int]]]) -> None:
        """A slice of each of the slots `at`: what was heard is fed, what follows it is drawn."""
        hidden: dict[int, Tensor] = {}
        opening: dict[int, list[int]] = {}
        order = self._order()
        for slot, items in zip(at, heard, strict=True):
            line = self.lines[slot]
            if line.steps + 2 * sum(arm.most + 1 for arm in self.arms) >= self.limit:
                self._again(slot, self.limit // 2)
            before = [] if line.begun else self._before(slot)
            line.begun = True
            given = {arm.stream: [*items[arm.stream]] for arm in order if arm.heard}
            line.slices.append(Slice(dict(given), dict(given)))
            line.forced.append(bool(self.hushed[slot]))
            opening[slot] = [*before, *self._opening(given)]
            line.slices[-1].fed = -len(before)
        for many in sorted({len(tokens) for tokens in opening.values()}):
            members = [slot for slot in at if len(opening[slot]) == many]
            hidden.update(self._feed(members, [opening[slot] for slot in members]))
        for arm in (arm for arm in order if not arm.heard):
            self._draw(arm, at, hidden)
        for slot in at:
            line = self.lines[slot]
            line.count += 1
            while len(line.forced) > len(line.slices):
                line.forced.popleft()
            if self.hushed[slot]:
                self._silence(slot, len(line.slices) - 1, [True] * self.frames)
                self._refeed(slot, len(line.slices) - 1)

    def _before(self, slot: int) -> list[int]:
        """What the layout has before the first slice that is heard: silence."""
        return [t for arm in self.arms[: self.first] for t in (arm.mark, *self._offsets(arm, self._quiet(arm)))]

    def _opening(self, given: Mapping[str, list[int]]) -> list[int]:
        return [t for arm in self.arms if arm.heard for t in (arm.mark, *self._offsets(arm, given[arm.stream]))]

    def _offsets(self, arm: Arm, items: Sequence[int]) -> list[int]:
        return [arm.offset + item for item in items]

    def _quiet(self, arm: Arm) -> list[int]:
        """An arm's slice in silence."""
        if arm.stream not in self.silence:
            return []
        return [self.silence[arm.stream]] * (arm.most if arm.regular else 1)

    def _draw(self, arm: Arm, at: Sequence[int], hidden: dict[int, Tensor]) -> None:
        """An own arm's slice of every slot."""
        hidden.update(self._feed(at, [[arm.mark] for _ in at]))
        going = [*at]
        items: dict[int, list[int]] = {slot: [] for slot in at}
        while going:
            drawn = self._pick(arm, going, torch.stack([hidden[slot] for slot in going]), items)
            going = [slot for slot in going if drawn[slot] < arm.size]
            for slot in going:
                items[slot].append(drawn[slot])
            if going:
                hidden.update(self._feed(going, [[arm.offset + drawn[slot]] for slot in going]))
            going = [slot for slot in going if len(items[slot]) < arm.most]
        for slot in at:
            for of in (self.lines[slot].slices[-1].drawn, self.lines[slot].slices[-1].said):
                of[arm.stream] = [*items[slot]]

    def _pick(self, arm: Arm, at: Sequence[int], hidden: Tensor, items: Mapping[int, list[int]]) -> dict[int, int]:
        """Slot -> the next item; `size`: the slice is over."""
        logits = self.lm.head.begin(hidden).logits(self.row)
        inside = logits[:, arm.offset : arm.offset + arm.size].float()
        if not arm.regular:
            after = self.arms[(self.arms.index(arm) + 1) % len(self.arms)].mark
            inside = torch.cat((inside, logits[:, after : after + 1].float()), 1)
        allowed, found = torch.ones(1, inside.shape[1], dtype=torch.bool), {}
        for row, slot in enumerate(at):
            line = self.lines[slot]
            chance = torch.rand(len(self.lm.rows), dtype=torch.float64, generator=line.chance)[self.k : self.k + 1]
            found[slot] = int(line.sampler.of(self.row).pick(inside[row : row + 1], allowed, chance))
        return found

    def _feed(self, at: Sequence[int], tokens: Sequence[Sequence[int]]) -> dict[int, Tensor]:
        """Equally many tokens of each slot -> its vector of the step after them."""
        if not at:
            return {}
        columns = self._pads[None, :, None].expand(len(at), -1, len(tokens[0])).clone()
        columns[:, self.k] = torch.tensor(tokens, dtype=torch.long).view(len(at), -1)
        hidden = self.bank.feed(at, columns, {})
        for slot in at:
            self.lines[slot].steps += len(tokens[0])
            if self.lines[slot].slices:
                self.lines[slot].slices[-1].fed += len(tokens[0])
        return {slot: hidden[row] for row, slot in enumerate(at)}

    # What was said

    def latest(self, slot: int) -> int:
        """The newest item of sound."""
        return self.lines[slot].count * self.frames - 1

    done = latest

    def hush(self, slot: int) -> None:
        """Silence stands for all that follows, until `hushed` is unset."""
        self.hushed[slot] = True

    def last(self, slot: int) -> dict[str, list[int]]:
        """The items of the newest slice as they were drawn."""
        return self.lines[slot].slices[-1].drawn

    def mend(self, slot: int, first: int, quiet: Sequence[bool]) -> bool:
        """As `Duet.mend`, counted in items of sound."""
        line = self.lines[slot]
        oldest = line.count - min(len(line.slices), self.keep)
        flags = {first + i: q for i, q in enumerate(quiet)}
        changed: int | None = None
        for number in range(max(0, oldest, first // self.frames), line.count):
            place = number - line.count + len(line.slices)
            silent = [bool(flags.get(number * self.frames + i, False)) for i in range(self.frames)]
            if line.forced[place]:
                silent = [True] * self.frames
            before = {**line.slices[place].said}
            self._silence(slot, place, silent)
            if line.slices[place].said != before and changed is None:
                changed = place
        if changed is not None:
            self._refeed(slot, changed)
        return first >= oldest * self.frames or line.count <= self.keep

    def _silence(self, slot: int, place: int, silent: Sequence[bool]) -> None:
        """A slice of the context with silence where `silent` says so; words of it stay if any of it was heard."""
        part = self.lines[slot].slices[place]
        for arm in self.arms:
            if arm.heard:
                continue
            drawn = part.drawn[arm.stream]
            if all(silent):
                part.said[arm.stream] = self._quiet(arm)
            elif arm.stream not in self.silence or not any(silent):
                part.said[arm.stream] = [*drawn]
            elif arm.regular:
                quiet = self.silence[arm.stream]
                part.said[arm.stream] = [quiet if q else item for item, q in zip(drawn, silent, strict=True)]
            else:
                part.said[arm.stream] = self._merged(arm, drawn, silent)

    def _merged(self, arm: Arm, drawn: Sequence[int], silent: Sequence[bool]) -> list[int]:
        """Runs of a slice, frame by frame, with those that nobody heard silent, merged again."""
        frames = self.spread(drawn, self.silence[arm.stream])
        found: list[int] = []
        for item, quiet in zip(frames, silent, strict=True):
            item = self.silence[arm.stream] if quiet else item
            if not found or found[-1] != item:
                found.append(item)
        return found

    def spread(self, items: Sequence[int], before: int) -> list[int]:
        """A slice's runs over its frames, as `DedupInChunks.undo`; without any, what was `before` goes on."""
        if not items:
            return [before] * self.frames
        return [items[i * len(items) // self.frames] for i in range(self.frames)]

    def _refeed(self, slot: int, place: int) -> None:
        """Feed the slices from `place` on again."""
        line, parts = self.lines[slot], [*self.lines[slot].slices][place:]
        fed = sum(part.fed for part in parts)
        if not self.bank.rewind(slot, fed):
            self._again(slot, self.limit)
            return
        line.steps -= fed
        self._give(slot, [], parts)

    def _again(self, slot: int, room: int) -> None:
        """Begin the grid anew with the last slices, as many as fit."""
        line, order, total = self.lines[slot], self._order(), 0
        room -= 2 * sum(arm.most + 1 for arm in self.arms)
        for kept, part in enumerate(reversed(line.slices)):
            total += len(part.tokens(order))
            if total > room:
                for _ in range(len(line.slices) - kept):
                    line.slices.popleft()
                    line.forced.popleft()
                break
        self.bank.reset(slot)
        line.steps, line.begun = 0, bool(line.slices)
        if line.slices:
            self._give(slot, self._before(slot), [*line.slices])

    def _give(self, slot: int, before: list[int], parts: Sequence[Slice]) -> None:
        """Feed slices as the context has them."""
        found = [part.tokens(self._order()) for part in parts]
        self._feed([slot], [[*before, *(token for tokens in found for token in tokens)]])
        for part, tokens in zip(parts, found, strict=True):
            part.fed = len(tokens)

    def _order(self) -> list[Arm]:
        """The arms as a slice is kept: the first that is heard stands first."""
        return [*self.arms[self.first :], *self.arms[: self.first]]


def _arm(name: str, vocab: Any, specs: Specs, heard: Sequence[str], seconds: float, frames: int) -> Arm:
    first, last = vocab.ranges[name]
    rate = specs[name].rate
    most = round(float(rate) * seconds) if rate is not None else frames
    return Arm(name, vocab.offset(switch(name)), first, last - first, max(1, most), rate is not None, name in heard)
