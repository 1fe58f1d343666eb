"""A second model that turns the vectors behind a first one's symbols into sound, some items for each: SALMONN-omni."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oration.core import BadInput
from oration.generate import Sampler
from oration.layouts import Ratio, Weave
from oration.live.bank import bank
from oration.live.duet import Duet
from oration.live.plan import Plan
from oration.lms import LanguageModel
from oration.model import SpeechLM
from oration.reply import Link


@dataclass(eq=False)
class Part:
    """One step: the vector that was given, the items that were drawn for it."""

    vector: Tensor
    drawn: list[int]
    quiet: bool = False


class Follower:
    """`slots` contexts of a Weave by Ratio of one stream of vectors and one that is said."""

    def __init__(self, model: SpeechLM, link: Link, lm: LanguageModel, slots: int, silence: int, keep: int) -> None:
        """
        Args:
            silence: the said stream's item of silence.
            keep: steps whose context can be changed.
        """
        (weave,) = link.task.layout.blocks if len(link.task.layout.blocks) == 1 else (None,)
        given = [arm for arm in getattr(weave, "arms", ()) if arm in link.given]
        if not isinstance(weave, Weave) or not isinstance(weave.by, Ratio) or weave.marked or len(given) != 1:
            raise BadInput(
                f"task {link.task.name!r} of {link.lm.name!r} does not go step by step with the model before it; "
                "expected a Weave by Ratio, without marks, of that one's vectors and of what is said"
            )
        self.lm, self.silence, self.link = lm, silence, link
        self.vectors = given[0]
        said = [arm for arm in weave.arms if arm not in given]
        counts = dict(zip(weave.arms, weave.by.counts, strict=True))
        if len(said) != 1 or counts[self.vectors] != 1 or weave.arms[0] != self.vectors or lm.context is None:
            raise BadInput(
                f"task {link.task.name!r} weaves {weave.arms} by {weave.by.counts}; live, one vector comes first and "
                "one stream follows, in a context that has an end"
            )
        self.stream, self.count, self.row = said[0], counts[said[0]], weave.row
        vocab, self.k = lm.vocabs[weave.row], lm.rows.index(weave.row)
        self.placeholder = vocab.offset(self.vectors)
        self.first, self.last = vocab.ranges[self.stream]
        self.limit, self.keep = lm.context, keep
        self.most = (self.limit // 2) // (self.count + 1)
        self.parts = [deque[Part](maxlen=max(self.most, keep)) for _ in range(slots)]
        self.steps = [0] * slots
        self.bank = bank(lm, slots, self.limit, (keep + 1) * (self.count + 1))
        self._pads = torch.tensor([v.offset("pad") for v in lm.vocabs.values()])
        self._chance = [torch.Generator()] * slots
        self._samplers = [Sampler()] * slots
        self._width = model.specs[self.vectors].dim

    def begin(self, slot: int, seed: int, sampler: Sampler) -> None:
        """Let a slot begin anew."""
        self.bank.reset(slot)
        self.parts[slot].clear()
        self.steps[slot] = 0
        self._chance[slot], self._samplers[slot] = torch.Generator().manual_seed(seed), sampler

    def step(self, at: Sequence[int], given: Tensor, quiet: Sequence[bool]) -> np.ndarray:
        """A vector of each of the slots `at`, float[m, D] -> what is said, int64[m, count].

        Args:
            quiet: whether the context is to hold silence for it.
        """
        for slot in at:
            if self.steps[slot] + 2 * (self.count + 1) >= self.limit:
                self._again(slot)
        said = np.empty((len(at), self.count), np.int64)
        for slot in at:
            if self.parts[slot]:  # each column has its chances, as in `Drawer`; the first stands before all draws
                self._chances(slot)
        hidden = self._feed(at, [[self.placeholder]] * len(at), given[:, None])
        for number in range(self.count):
            logits = self.lm.head.begin(hidden).logits(self.row)[:, self.first : self.last].float()
            allowed = torch.ones(1, logits.shape[1], dtype=torch.bool)
            for row, slot in enumerate(at):
                sampler = self._samplers[slot].of(self.row)
                said[row, number] = int(sampler.pick(logits[row : row + 1], allowed, self._chances(slot)))
            fed = [
                [self.first + (self.silence if q else int(item))]
                for item, q in zip(said[:, number], quiet, strict=True)
            ]
            hidden = self._feed(at, fed, None)
        for row, slot in enumerate(at):
            self.parts[slot].append(Part(given[row], said[row].tolist(), quiet[row]))
        return said

    def _chances(self, slot: int) -> Tensor:
        """float64[1]: the next of a slot's chances in the row."""
        drawn = torch.rand(len(self.lm.rows), dtype=torch.float64, generator=self._chance[slot])
        return drawn[self.k : self.k + 1]

    def mend(self, slot: int, back: int, quiet: Mapping[int, bool]) -> None:
        """Have the context say which of the last steps nobody heard: number from the end, 0 the newest -> whether."""
        parts, changed = self.parts[slot], -1
        for age, silent in quiet.items():
            if age < min(back, len(parts), self.keep) and parts[-1 - age].quiet != silent:
                parts[-1 - age].quiet = silent
                changed = max(changed, age)
        if changed >= 0:
            fed = (changed + 1) * (self.count + 1)
            if not self.bank.rewind(slot, fed):
                self._again(slot)
                return
            self.steps[slot] -= fed
            self._give(slot, [*parts][-1 - changed :])

    def _again(self, slot: int) -> None:
        """Begin the grid anew with the last steps."""
        self.bank.reset(slot)
        self.steps[slot] = 0
        self._give(slot, [*self.parts[slot]][-self.most :])

    def _give(self, slot: int, parts: Sequence[Part]) -> None:
        tokens, vectors = list[int](), torch.zeros(len(parts) * (self.count + 1), self._width)
        for number, part in enumerate(parts):
            vectors[number * (self.count + 1)] = part.vector
            said = [self.silence] * self.count if part.quiet else part.drawn
            tokens += [self.placeholder, *(self.first + item for item in said)]
        if tokens:
            self._feed([slot], [tokens], vectors[None])

    def _feed(self, at: Sequence[int], tokens: Sequence[Sequence[int]], vectors: Tensor | None) -> Tensor:
        columns = self._pads[None, :, None].expand(len(at), -1, len(tokens[0])).clone()
        columns[:, self.k] = torch.tensor(tokens, dtype=torch.long)
        for slot in at:
            self.steps[slot] += len(tokens[0])
        return self.bank.feed(at, columns, {} if vectors is None else {self.vectors: vectors})


class Followed(Duet):
    """A `Duet` whose steps are followed by a second model's."""

    def __init__(
        self,
        lm: LanguageModel,
        plan: Plan,
        slots: int,
        silence: Mapping[str, tuple[int, int]],
        rewinds: int,
        follower: Follower,
    ) -> None:
        super().__init__(lm, plan, slots, silence, rewinds)
        self.follower = follower

    def begin(self, slot: int, seed: int, sampler: Sampler, prefix: Tensor | None = None) -> None:
        super().begin(slot, seed, sampler, prefix)
        self.follower.begin(slot, seed, sampler)

    def mend(self, slot: int, first: int, quiet: Sequence[bool]) -> bool:
        whole = super().mend(slot, first, quiet)
        done = self.done(slot)
        ages = {done - first - i: bool(q) or bool(self.forced[slot, (first + i) % self.ring])
                for i, q in enumerate(quiet)}  # fmt: skip
        self.follower.mend(slot, done + 1, {age: q for age, q in sorted(ages.items()) if age >= 0})
        return whole
