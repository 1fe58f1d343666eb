"""A client in the same process: a microphone of samples, a loudspeaker that plays at the rate of time, or faster."""

from __future__ import annotations

from collections import deque

import numpy as np

from oration.core import Waveform
from oration.dialogue.events import Audio, Event, Flush
from oration.live.engine import Engine, Session


class Loudspeaker:
    """Plays what was sent in order of position; what a flush names is left out."""

    def __init__(self) -> None:
        self.position = 0
        """Output position: all before it was played or left out."""
        self.stale = 0
        """Samples of a reply that came after it was to be flushed, which no engine may send."""
        self._queue: deque[Audio] = deque()
        self._flushed = 0  # the last reply that was to be flushed, and with it all before

    def add(self, event: Audio | Flush) -> None:
        """Something has arrived."""
        if isinstance(event, Flush):
            self._flushed = max(self._flushed, event.epoch)
            self._queue = deque(audio for audio in self._queue if audio.epoch != event.epoch)
        elif event.epoch <= self._flushed:
            self.stale += len(event.wave)
        else:
            self._queue.append(event)

    @property
    def waiting(self) -> int:
        """Samples that are still to be played."""
        return sum(audio.stop - max(self.position, audio.start) for audio in self._queue)

    def play(self, samples: int) -> np.ndarray:
        """float32[samples], silence where there is nothing to play."""
        found, left = [], samples
        while left and self._queue:
            audio = self._queue[0]
            at = max(self.position, audio.start)
            piece = audio.wave[at - audio.start :][:left]
            found.append(piece)
            self.position, left = at + len(piece), left - len(piece)
            if self.position >= audio.stop:
                self._queue.popleft()
        return np.concatenate([*found, np.zeros(left, np.float32)])


class Client:
    """Pushes pieces of sound, sends and plays what comes back, confirms it. One `turn` is one piece."""

    def __init__(self, engine: Engine, session: Session) -> None:
        self.engine, self.session, self.loudspeaker = engine, session, Loudspeaker()
        self.events: list[Event] = []
        """All that came, but for sound."""

    def turn(self, piece: np.ndarray, now: float, *, steps: int = 64) -> np.ndarray:
        """A piece of the microphone's sound, float32[n] -> what the loudspeaker plays meanwhile, float32[n].

        Args:
            steps: of the engine, at most: how much it may compute in this time.
        """
        if len(piece):
            self.session.push(Waveform(piece, self.engine.rate), now)
        for _ in range(steps):
            worked = self.engine.step(now)
            self.collect(now)
            if not worked:
                break
        sound = self.loudspeaker.play(len(piece))
        self.session.played(self.loudspeaker.position, now)
        return sound

    def collect(self, now: float) -> None:
        """Take what the session has to tell."""
        for event in self.session.take():
            if isinstance(event, Audio | Flush):
                self.loudspeaker.add(event)
            if isinstance(event, Audio):
                self.session.ledger.send(event.stop, now)
            else:
                self.events.append(event)
            if isinstance(event, Flush):
                self.session.played(self.loudspeaker.position, now)
