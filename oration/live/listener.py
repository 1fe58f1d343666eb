"""The user's turn to streams while it is being spoken, so that little is left to do when it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from oration.core import Example, Stream, Waveform
from oration.model import SpeechLM
from oration.reply import Link


class Recent:
    """The last seconds of input, by position."""

    def __init__(self, keep: int) -> None:
        """`keep`: samples."""
        self.keep, self.stop, self._held, self._pieces = keep, 0, 0, deque[np.ndarray]()

    @property
    def start(self) -> int:
        """Position of the oldest sample that is kept."""
        return self.stop - self._held

    def add(self, samples: np.ndarray) -> None:
        """float32[n], what follows."""
        self._pieces.append(samples)
        self.stop, self._held = self.stop + len(samples), self._held + len(samples)
        while self._held - len(self._pieces[0]) >= self.keep:
            self._held -= len(self._pieces.popleft())

    def cut(self, start: int, stop: int) -> np.ndarray:
        """float32[stop - start], less where it is not kept."""
        whole = np.concatenate([np.zeros(0, np.float32), *self._pieces])
        base = self.start
        return whole[max(0, start - base) : max(0, stop - base)]


class Listener:
    """The tokenizers that a reply reads, live where they can be."""

    def __init__(self, model: SpeechLM, links: Sequence[Link]) -> None:
        self.model = model
        self.parts = [model.part(name) for name in listening(model, links)]
        self._live: list[Any] = []
        self._found: list[Example] = []
        self._held: list[np.ndarray] = []
        self.begin()

    def begin(self) -> None:
        """Another turn."""
        self._live = [part.live() if hasattr(part, "live") else None for part in self.parts]
        self._found, self._held = [], []

    def push(self, samples: np.ndarray) -> None:
        """float32[n] more of it, at the model's rate."""
        if not len(samples):
            return
        self._held.append(samples)
        wave = Waveform(samples, self.model.rate)
        self._found += [example for live in self._live if live is not None for example in live.push(wave)]

    def end(self) -> Example:
        """Its streams. Afterwards it is ready for another turn."""
        for part, live in zip(self.parts, self._live, strict=True):
            if live is not None:
                self._found += live.flush()
            else:
                whole = Waveform(np.concatenate([np.zeros(0, np.float32), *self._held]), self.model.rate)
                self._found += part.encode([whole])
        names = dict.fromkeys(name for example in self._found for name in example)
        found = {n: Stream.joined([e[n] for e in self._found if n in e]) for n in names}
        self.begin()
        return found


def listening(model: SpeechLM, links: Sequence[Link]) -> list[str]:
    """The tokenizers of sound whose streams a reply reads; those that only a vocoder needs are left out."""
    made: set[str] = set()
    read: set[str] = set()
    for link in links:
        names = {*link.task.layout.streams, *(n for operation in link.task.operations for n in operation.needs)}
        read |= {name.removeprefix("user.") for name in names} - made
        made |= set(link.task.predict)
    found = []
    for name, config in model.configs.items():
        if config in model.recipe.tokenizers and "wave" in config.needs and read & _bases(config):
            found.append(name)
    return found


def _bases(config: Any) -> set[str]:
    return {name.removeprefix("user.") for name in config.specs()}
