"""An engine without a model: it says back what it hears, one frame later. For tests of transport and of clients."""

from __future__ import annotations

from oration.dialogue.policy import Policy
from oration.live.engine import Full, Options
from oration.live.seat import Seat


class Echo:
    """As many sessions as wanted; a step costs time only for those who were sent a frame."""

    name = "echo"

    def __init__(self, *, rate: int = 24_000, frame: int = 1920, slots: int = 4096) -> None:
        self.rate, self.frame, self.slots = rate, frame, slots
        self.delay = frame / rate
        self.sessions = 0
        self._ready: list[EchoSession] = []

    def open(self, options: Options, seed: int) -> EchoSession:
        """A session; `seed` changes nothing, as there is no chance in it.

        Raises:
            Full: all slots are taken.
        """
        if self.sessions >= self.slots:
            raise Full(f"all {self.slots} sessions of the echo engine are taken; try again when one has ended")
        self.sessions += 1
        return EchoSession(self, options.policy or Policy())

    def step(self, now: float) -> bool:
        """All frames that have come."""
        ready, self._ready = self._ready, []
        for session in ready:
            session.answer(now)
        return bool(ready)

    def wake(self, session: EchoSession) -> None:
        """A frame has come."""
        self._ready.append(session)


class EchoSession(Seat):
    """One who is said back to."""

    def __init__(self, engine: Echo, policy: Policy) -> None:
        super().__init__(engine.rate, engine.frame, policy)
        self.engine, self._awake = engine, False
        self.on_input = self._wake

    def answer(self, now: float) -> None:
        """Say back the frames that are complete."""
        self._awake = False
        while not self.closed and (frame := self.read(self.frame, now)) is not None:
            if not self.replying:
                self.begin(now)
            self.emit(frame, now)

    def close(self, now: float) -> None:
        if not self.closed:
            self.engine.sessions -= 1
        super().close(now)

    def _wake(self) -> None:
        if not self._awake and self.ledger.waiting >= self.frame:
            self._awake = True
            self.engine.wake(self)
