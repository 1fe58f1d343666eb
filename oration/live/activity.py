"""Who is to be heard, by loudness alone: a frame above a level is speech, and pauses up to a length belong to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oration.dialogue.events import Holder

SPEAKS = -45.0
"""dBFS above which a frame counts as sound."""
PAUSE = 0.4
"""Seconds of silence that end it."""


class Activity:
    """One voice, frame by frame."""

    def __init__(self, rate: int, frame: int, *, level: float = SPEAKS, pause: float = PAUSE) -> None:
        """`level`: dBFS; `pause`: seconds."""
        self.power = 10 ** (level / 10)
        self.frames = max(1, round(pause * rate / frame))
        self.on = False
        self.silent = 0
        """Frames since the last that was loud."""

    def push(self, samples: np.ndarray) -> bool | None:
        """A frame float32[n] -> True where sound begins, False where it has ended, None: as before."""
        loud = float(np.dot(samples, samples)) > self.power * max(1, len(samples))
        self.silent = 0 if loud else self.silent + 1
        if loud and not self.on:
            self.on = True
            return True
        if self.on and self.silent >= self.frames:
            self.on = False
            return False
        return None

    def stop(self) -> None:
        """It is silent from here on."""
        self.on = False


def holder(user: bool, model: bool) -> Holder:
    """Who has the floor."""
    if user and model:
        return "both"
    return "user" if user else "model" if model else "nobody"


class Words:
    """Symbols of text as they are said -> pieces of text."""

    MOST = 200
    """Symbols that are read together, so that a session does not grow."""

    def __init__(self, decode: Callable[[np.ndarray], str], unspoken: tuple[int, ...]) -> None:
        self.decode, self.unspoken = decode, unspoken
        self.ids: list[int] = []
        self.told = ""

    def push(self, symbol: int) -> str:
        """The next symbol -> what it adds to the text; a character of which only a part is known waits."""
        if symbol in self.unspoken:
            return ""
        if len(self.ids) >= self.MOST:
            self.ids, self.told = [], ""
        self.ids.append(symbol)
        text = self.decode(np.array(self.ids, np.int64))
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            return ""
        new = text[len(self.told) :] if text.startswith(self.told) else ""
        self.told = text
        return new
