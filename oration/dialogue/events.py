"""What a session tells whoever carries its sound: frozen values, each with the input position it was decided at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Holder = Literal["user", "model", "both", "nobody"]
"""Who is speaking."""

Why = Literal["done", "cancelled", "limit", "failed"]
"""How a reply ended."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """Something that happened in a session."""

    heard: int
    """Input samples consumed when it was decided."""
    epoch: int
    """The reply it belongs to; 0 before the first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Audio(Event):
    """Sound of a reply."""

    wave: np.ndarray
    """float32[n] at the session's rate."""
    start: int
    """Output position of its first sample."""

    @property
    def stop(self) -> int:
        return self.start + len(self.wave)


@dataclass(frozen=True, kw_only=True, eq=False)
class Said(Event):
    """Text of what the model says, as it says it: a piece to be appended."""

    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard(Event):
    """Text of what the user said."""

    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Speech(Event):
    """The user begins or stops to speak, as the policy sees it."""

    on: bool
    at: int
    """Input position of the change itself, which lies before `heard`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Floor(Event):
    """Who speaks from now on."""

    holder: Holder


@dataclass(frozen=True, kw_only=True, eq=False)
class Began(Event):
    """A reply begins. `resumes`: the reply that it takes up again after a false interruption."""

    resumes: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Ended(Event):
    """A reply ends: exactly one for each that began, and nothing of it comes after."""

    why: Why


@dataclass(frozen=True, kw_only=True, eq=False)
class Flush(Event):
    """The client is to play nothing more of this reply, and to confirm the position it really reached."""

    start: int
    """Output position from which nothing of it needs to be played, as far as is known here."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trouble(Event):
    """Something failed, and the session goes on."""

    kind: str
    sentence: str
