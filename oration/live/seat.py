"""What every session has, whatever its engine: the queue of input, the ledger, epochs, the events to be taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from oration.audio.resample import Resampler
from oration.core import BadInput, Waveform
from oration.dialogue.events import Audio, Began, Ended, Event, Flush, Trouble, Why
from oration.dialogue.ledger import Ledger
from oration.dialogue.policy import Policy


class Seat:
    """A session without the part that thinks. Engines derive theirs from it."""

    def __init__(self, rate: int, frame: int, policy: Policy, *, hold: float = 10.0) -> None:
        """`hold`: seconds of input that may wait; more of it drops the oldest."""
        self.ledger = Ledger(rate, frame)
        self.rate, self.frame, self.policy = rate, frame, policy
        self.closed = False
        self.epoch = 0
        """The reply under way, or the last one."""
        self.replying = False
        """Whether `epoch` has begun and not ended."""
        self.on_input: Callable[[], None] | None = None
        """Called when sound arrives: how an engine learns who has work."""
        self._events: list[Event] = []
        self._pieces: deque[np.ndarray] = deque()
        self._hold = round(hold * rate)
        self._resampler: Resampler | None = None

    # The client's side

    def push(self, wave: Waveform, now: float) -> None:
        """The user's sound, at any one rate.

        Raises:
            BadInput: the session is closed, or the rate differs from that of the piece before.
        """
        if self.closed:
            raise BadInput("this session is closed, so it takes no more sound; open another")
        samples = self._at_rate(wave)
        if not len(samples):
            return
        self.ledger.receive(len(samples), now)
        self._pieces.append(samples)
        if (over := self.ledger.waiting - self._hold) > 0:
            self.drop(over, "late", now)
        if self.on_input is not None:
            self.on_input()

    def text(self, words: str) -> None:
        """An engine that reads text overrides this."""
        self.trouble("no_text", "this model does not read text, so what was typed is ignored; speak to it")

    def commit(self) -> None:
        """An engine with turns overrides this."""

    def respond(self) -> None:
        """An engine with turns overrides this."""

    def cancel(self, now: float) -> None:
        """End the reply under way, for good."""
        if self.replying:
            self.end("cancelled", now)

    def played(self, upto: int, now: float) -> None:
        """The client confirms."""
        self.ledger.play(upto, now)

    def take(self) -> list[Event]:
        """What happened since last time."""
        events, self._events = self._events, []
        return events

    def close(self, now: float) -> None:
        """Everything pending is given up, and the ledger is complete."""
        if self.closed:
            return
        if self.replying:
            self.end("cancelled", now)
        self.closed = True
        self.drop(self.ledger.waiting, "closed", now)
        self.ledger.discard(self.ledger.confirmed, self.ledger.emitted, "closed", now)

    # The engine's side

    @property
    def heard(self) -> int:
        """Input position: all before is consumed or dropped."""
        return self.ledger.taken

    def read(self, samples: int, now: float) -> np.ndarray | None:
        """float32[samples] of waiting input, consumed; None if fewer wait."""
        if self.ledger.waiting < samples:
            return None
        self.ledger.consume(samples, now)
        if len(self._pieces[0]) == samples:
            return self._pieces.popleft()
        return self._cut(samples)

    def drop(self, samples: int, why: str, now: float) -> None:
        """Give up the oldest waiting input."""
        if dropped := self.ledger.drop(samples, why, now):
            self._cut(len(dropped))

    def begin(self, now: float, *, resumes: int | None = None) -> int:
        """A new reply -> its epoch. One under way is cancelled first."""
        if self.replying:
            self.end("cancelled", now)
        self.epoch, self.replying = self.epoch + 1, True
        self.ledger.begin(self.epoch, now, resumes=resumes)
        self.tell(Began(heard=self.heard, epoch=self.epoch, resumes=resumes))
        return self.epoch

    def emit(self, samples: np.ndarray, now: float) -> range:
        """Sound of the reply under way, float32[n] -> its positions."""
        heard = self.heard
        at = self.ledger.emit(len(samples), self.epoch, now, heard=heard)
        if at:
            self._events.append(Audio(heard=heard, epoch=self.epoch, wave=samples, start=at.start))
        return at

    def end(self, why: Why, now: float) -> None:
        """The reply under way ends; unless it is done, nothing of it leaves any more and the client is to flush."""
        if not self.replying:
            return
        self.replying = False
        if why in ("cancelled", "failed"):
            self.fence(now)
        self.tell(Ended(heard=self.heard, epoch=self.epoch, why=why))

    def fence(self, now: float) -> range:
        """Nothing of the last reply leaves from now on, also if it has ended: what is sent is to be flushed."""
        again = self.ledger.fenced(self.epoch)
        rest = self.ledger.cancel(self.epoch, now)
        if self.epoch and not again:
            self._events = [e for e in self._events if not (isinstance(e, Audio) and e.epoch == self.epoch)]
            self.tell(Flush(heard=self.heard, epoch=self.epoch, start=rest.start))
        return rest

    def tell(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)

    def trouble(self, kind: str, sentence: str) -> None:
        """Tell that something failed."""
        self.tell(Trouble(heard=self.heard, epoch=self.epoch, kind=kind, sentence=sentence))

    def _at_rate(self, wave: Waveform) -> np.ndarray:
        if self._resampler is None:
            if wave.rate == self.rate:
                return wave.samples
            if self.ledger.received:
                raise BadInput(f"a piece of sound has {wave.rate} Hz, expected {self.rate} Hz as those before")
            self._resampler = Resampler(wave.rate, self.rate)
        if wave.rate != self._resampler.from_rate:
            before = self._resampler.from_rate
            raise BadInput(f"a piece of sound has {wave.rate} Hz, expected {before} Hz as those before")
        return np.array(self._resampler.push(wave.samples), np.float32)

    def _cut(self, samples: int) -> np.ndarray:
        """float32[samples] from the front of the queue."""
        parts = []
        while samples:
            piece = self._pieces.popleft()
            if len(piece) > samples:
                self._pieces.appendleft(piece[samples:])
                piece = piece[:samples]
            parts.append(piece)
            samples -= len(piece)
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.float32), *parts])
