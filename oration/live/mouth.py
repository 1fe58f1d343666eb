"""Items of streams to sound, frame by frame: many sessions in one call where the net can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from oration.codecs import CodecModel
from oration.codecs.sessions import Sessions
from oration.core import BadInput, Example, Specs, Stream, Waveform

Items = Mapping[str, np.ndarray]

FADE = 0.01
"""Seconds over which sound that was made twice goes from one to the other."""
BACK = 4
"""Items that a vocoder of whole recordings is given before each."""


class Mouth(Protocol):
    """`slots` streams of items, each said by whole items."""

    rate: int
    """Hz"""
    hop: int
    """Samples of an item."""
    late: int
    """Samples by which sound is behind its items."""

    def say(self, at: Sequence[int], items: Items) -> np.ndarray:
        """An item of each stream for each of the slots `at` -> float32[m, hop]"""
        ...

    def reset(self, slot: int) -> None:
        """Let a slot begin anew."""
        ...


def mouth(part: Any, needs: Sequence[str], slots: int, specs: Specs, always: Example) -> Mouth:
    """The best way to speak with a built vocoder, or with a codec perhaps from `codecs.sessions.fast`.

    Args:
        needs: the streams that come item by item.
        always: what is the same for all items, such as who speaks.
    """
    if isinstance(part, CodecModel):
        try:
            return CodecMouth(part, needs, slots)
        except BadInput:
            return LiveMouth(part, part.speaker, needs, slots, specs, always)
    if hasattr(part, "reach"):
        return LiveMouth(part, part.live, needs, slots, specs, always)
    return WholeMouth(part, needs, slots, specs)


class CodecMouth:
    """A codec whose decoder answers each frame at once."""

    def __init__(self, part: CodecModel, needs: Sequence[str], slots: int) -> None:
        self.sessions = Sessions(part, slots)
        self.rate, self.hop, self.late = part.rate, part.hop, self.sessions.delay
        self.needs, self.slots = tuple(needs), slots

    def say(self, at: Sequence[int], items: Items) -> np.ndarray:
        codes = torch.from_numpy(np.stack([items[name] for name in self.needs], 1))
        if len(at) == self.slots and [*at] == [*range(self.slots)]:
            return self.sessions.decode(codes).cpu().numpy()
        active = torch.zeros(self.slots, dtype=torch.bool)
        active[list(at)] = True
        whole = torch.zeros(self.slots, codes.shape[1], dtype=torch.long)
        whole[list(at)] = codes
        return self.sessions.decode(whole, active)[list(at)].cpu().numpy()

    def reset(self, slot: int) -> None:
        self.sessions.reset(torch.arange(self.slots) == slot)


class LiveMouth:
    """A vocoder that takes parts of streams, a session after another; silence until its look ahead is complete."""

    def __init__(self, part: Any, make: Any, needs: Sequence[str], slots: int, specs: Specs, always: Example) -> None:
        self.make, self.needs, self.always = make, tuple(needs), dict(always)
        self.rate = int(part.rate)
        rate = specs[self.needs[0]].rate
        assert rate is not None
        self.hop = round(self.rate / rate)
        self.specs = {name: specs[name] for name in self.needs}
        self.live: list[Any] = [None] * slots
        self.ready: list[np.ndarray] = [np.zeros(0, np.float32)] * slots
        self.late = self._lateness()
        for slot in range(slots):
            self.reset(slot)

    def _lateness(self) -> int:
        """By trying."""
        live, given, worst = self.make(), 0, 0
        nothing = {name: Stream(np.zeros(1, np.int64)) for name in self.needs}
        for count in range(1, 65):
            given += sum(len(wave) for wave in live.push({**nothing, **(self.always if count == 1 else {})}))
            worst = max(worst, count * self.hop - given)
        return worst

    def say(self, at: Sequence[int], items: Items) -> np.ndarray:
        sound = np.empty((len(at), self.hop), np.float32)
        for row, slot in enumerate(at):
            part: Example = {name: Stream(items[name][row : row + 1].astype(np.int64)) for name in self.needs}
            if self.live[slot] is None:
                self.live[slot] = self.make()
                part |= self.always
            ready = np.concatenate([self.ready[slot], *(wave.samples for wave in self.live[slot].push(part))])
            sound[row], self.ready[slot] = ready[: self.hop], ready[self.hop :]
        return sound

    def reset(self, slot: int) -> None:
        self.live[slot], self.ready[slot] = None, np.zeros(self.late, np.float32)


class WholeMouth:
    """A vocoder of whole recordings: it says the last items again and again, and what it says twice is faded over."""

    def __init__(self, part: Any, needs: Sequence[str], slots: int, specs: Specs) -> None:
        self.part, self.needs, self.rate = part, tuple(needs), int(part.rate)
        rate = specs[self.needs[0]].rate
        assert rate is not None
        self.hop = self.late = round(self.rate / rate)
        self.fade = min(self.hop, round(FADE * self.rate))
        self.held: list[list[dict[str, int]]] = [[] for _ in range(slots)]
        self.tail = [np.zeros(self.fade, np.float32)] * slots

    def say(self, at: Sequence[int], items: Items) -> np.ndarray:
        sound = np.zeros((len(at), self.hop), np.float32)
        rising = np.linspace(0, 1, self.fade, endpoint=False, dtype=np.float32)
        for row, slot in enumerate(at):
            held = self.held[slot] = [*self.held[slot], {n: int(items[n][row]) for n in self.needs}][-BACK - 2 :]
            if len(held) < 2:
                continue
            whole = {name: Stream(np.array([item[name] for item in held])) for name in self.needs}
            made: Waveform = self.part.decode([whole])[0]
            samples = np.pad(made.samples, (0, max(0, len(held) * self.hop - len(made))))
            start = (len(held) - 2) * self.hop
            piece = samples[start : start + self.hop].copy()
            piece[: self.fade] = piece[: self.fade] * rising + self.tail[slot] * (1 - rising)
            sound[row], self.tail[slot] = piece, samples[start + self.hop : start + self.hop + self.fade]
        return sound

    def reset(self, slot: int) -> None:
        self.held[slot], self.tail[slot] = [], np.zeros(self.fade, np.float32)
