"""The one promise of everything that converses live, and which engine a recipe can drive.

Positions are samples of a session's own clocks (`oration.dialogue.ledger`). `now` is passed in and decides nothing, so
the same input gives the same session, in real time or faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from oration.core import BadInput, Waveform
from oration.dialogue.events import Event
from oration.dialogue.ledger import Ledger
from oration.dialogue.policy import Policy
from oration.generate import Sampler


class Full(BadInput):
    """All slots of an engine are taken."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a session may choose for itself."""

    policy: Policy | None = None
    """None: the engine's."""
    voice: str | None = None
    """None: the recipe's."""
    sampler: Sampler = field(default_factory=Sampler)
    longest: float = 20.0
    """Most seconds of one reply."""
    lead: float = 2.0
    """Most seconds that a reply is made ahead of what the client has confirmed as played."""
    history: int = 4
    """Turns, the user's and the model's, that a reply reads before the last one, where the model reads several."""


class Session(Protocol):
    """One conversation. Nothing in it waits or blocks: work is done by the engine's `step`."""

    ledger: Ledger
    closed: bool
    policy: Policy
    """May be set while the session runs."""

    def push(self, wave: Waveform, now: float) -> None:
        """The user's sound, in pieces of any length, at one rate. More than is waited for drops the oldest."""
        ...

    def text(self, words: str) -> None:
        """What the user types, where the model reads text."""
        ...

    def commit(self) -> None:
        """The user's turn ends here; an engine without turns does nothing."""
        ...

    def respond(self) -> None:
        """Reply to what there is."""
        ...

    def cancel(self, now: float) -> None:
        """The reply under way is over: nothing of its epoch leaves afterwards."""
        ...

    def played(self, upto: int, now: float) -> None:
        """The client confirms: all output before this position was played, or flushed by it."""
        ...

    def take(self) -> list[Event]:
        """What happened since last time."""
        ...

    def close(self, now: float) -> None:
        """Free the slot; what is pending is discarded on the ledger."""
        ...


class Engine(Protocol):
    """One per loaded model and worker; its sessions share its steps."""

    rate: int
    """Hz, both ways."""
    frame: int
    """Samples per step."""
    slots: int
    name: str
    delay: float
    """Seconds from a sample's arrival to the first sample that can depend on it, computing left aside."""

    def open(self, options: Options, seed: int) -> Session:
        """A new session.

        Raises:
            Full: all slots are taken.
        """
        ...

    def step(self, now: float) -> bool:
        """One bounded piece of work for every session that has any; False: there was nothing to do."""
        ...
