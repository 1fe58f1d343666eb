"""A scripted user with a microphone and a loudspeaker, on one sample clock. Knows no engine.

The loudspeaker plays what has arrived, in order, and says how far it came; the user's steps wait for what sounds there.
Both ways take `network` seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from oration.dialogue.events import Audio, Event, Flush
from oration.live.client import Loudspeaker
from oration.rehearse.script import Deed, Interrupt, Listen, Pause, Say, Script, Sound, Step, Wait

AUDIBLE = -50.0
"""dB of full scale over 10 ms from which the loudspeaker can be heard."""
PATIENCE = 6.0
"""Seconds for which a user who wants to speak over a reply waits for one."""


@dataclass(frozen=True)
class Did:
    """What the user did, in samples of the microphone's clock."""

    kind: Deed
    start: int
    stop: int
    asks: bool = False
    """Whether an answer is expected after it."""
    note: str = ""


class User:
    """Goes through a script: `speak` gives the microphone's next samples, `listen` takes what the engine sent."""

    def __init__(
        self,
        script: Script,
        voices: dict[str, Sequence[np.ndarray]],
        rate: int,
        *,
        seed: int = 0,
        network: float = 0.02,
    ) -> None:
        """
        Args:
            voices: `speech`, `feedback`, `noise`, `bystander` -> recordings, float32[T] at root mean square 1.
            network: seconds that sound takes each way.
        """
        self.script, self.voices, self.rate = script, voices, rate
        self.rng = np.random.default_rng(seed)
        self.speaker, self.done = Loudspeaker(), False
        self.did: list[Did] = []
        self._delay = round(network * rate)
        self._transit: deque[tuple[int, Audio | Flush]] = deque()
        self._heard: list[np.ndarray] = []
        self._said: list[np.ndarray] = []
        self.now = 0
        """Samples of the microphone so far."""
        self._steps: deque[Step] = deque(script.steps)
        self._since = 0  # when the current step began
        self._line: tuple[np.ndarray, int, Did] | None = None  # what is being said, how far, and what it is
        self._late = max(1, round(script.later * rate))
        self._past = np.zeros(self._late + 1, np.float32)  # what the loudspeaker played last
        self._sounding: int | None = None  # since when a reply sounds
        self._last: int | None = None  # when it could last be heard
        noise = voices.get("noise") or ()
        self._room = np.zeros(0, np.float32) if script.background is None or not len(noise) else self._one("noise")

    def listen(self, events: Iterable[Event]) -> None:
        """What the engine sent now."""
        sounds = (event for event in events if isinstance(event, Audio | Flush))
        self._transit.extend((self.now + self._delay, event) for event in sounds)

    def speak(self, samples: int) -> np.ndarray:
        """float32[samples]: the microphone's next, while the loudspeaker plays as many."""
        while self._transit and self._transit[0][0] <= self.now:
            self.speaker.add(self._transit.popleft()[1])
        mouth = self._talk(samples)
        heard = self.speaker.play(samples)
        self._heard.append(heard)
        if len(self._room):
            at = np.arange(self.now, self.now + samples) % len(self._room)
            mouth += self._room[at] * np.float32(_factor(self.script.background or 0.0))
        if self.script.echo is not None:
            mouth += self._echo(heard) * np.float32(_factor(self.script.echo))
        self._said.append(mouth)
        self.now += samples
        self._notice(heard)
        return mouth

    def both(self) -> tuple[np.ndarray, np.ndarray]:
        """What the loudspeaker played and what the microphone heard, float32[T] each."""
        nothing = np.zeros(0, np.float32)
        return np.concatenate([nothing, *self._heard]), np.concatenate([nothing, *self._said])

    def _talk(self, samples: int) -> np.ndarray:
        out, at = np.zeros(samples, np.float32), 0
        while at < samples:
            if self._line is None and not self._next(self.now + at):
                break
            if self._line is None:
                continue
            wave, done, what = self._line
            part = wave[done : done + samples - at]
            out[at : at + len(part)] = part
            at += len(part)
            if done + len(part) < len(wave):
                self._line = wave, done + len(part), what
            else:
                self._line, self._since = None, self.now + at
                self.did.append(Did(what.kind, what.start, self.now + at, what.asks, what.note))
        return out

    def _next(self, now: int) -> bool:
        """Begin what comes next, if its time has come -> whether it has."""
        if not self._steps:
            self.done = True
            return False
        step, waited = self._steps[0], (now - self._since) / self.rate
        if isinstance(step, Say):
            self._say(now, "turn", "speech", step.level, asks=step.ends)
        elif isinstance(step, Pause | Wait):
            if waited < step.seconds:
                return False
            kind: Deed = "pause" if isinstance(step, Pause) else "silence"
            self.did.append(Did(kind, self._since, now))
        elif isinstance(step, Listen):
            quiet = (
                self._last is not None and self._last >= self._since and (now - self._last) / self.rate >= step.quiet
            )
            if not quiet and (waited < step.longest or self.sounds(now)):
                return False
        elif not self._overlay(step, now, waited):
            return False
        self._steps.popleft()
        self._since = now
        return True

    def _overlay(self, step: Sound | Interrupt, now: int, waited: float) -> bool:
        """Begin what is heard over a reply, or in silence."""
        if step.over is not None:
            since = self._sounding
            if since is None or not self.sounds(now):
                return waited >= PATIENCE  # there was nothing to speak over
            if (now - since) / self.rate < step.over:
                return False
        if isinstance(step, Interrupt):
            self._say(now, "barge-in", "speech", step.level, asks=True)
        else:
            kind: Deed = "turn" if step.voice == "speech" else step.voice
            self._say(now, kind, step.voice, step.level, note="over a reply" if step.over is not None else "")
        return True

    def _say(self, now: int, kind: Deed, voice: str, level: float, *, asks: bool = False, note: str = "") -> None:
        wave = self._one(voice) * np.float32(_factor(level))
        self._line = wave, 0, Did(kind, now, now, asks, note)

    def _one(self, voice: str) -> np.ndarray:
        found = self.voices.get(voice) or self.voices["speech"]
        return found[int(self.rng.integers(len(found)))]

    def _echo(self, heard: np.ndarray) -> np.ndarray:
        """What the loudspeaker played `later` seconds ago, less its highest frequencies."""
        self._past = np.concatenate([self._past, heard])
        part = self._past[: len(heard) + 1]
        self._past = self._past[len(heard) :]
        return (part[1:] + part[:-1]) / 2

    def _notice(self, heard: np.ndarray) -> None:
        """Whether a reply sounds, as somebody hears it."""
        size = max(1, self.rate // 100)
        for start in range(0, len(heard), size):
            part = heard[start : start + size]
            loud = float(np.mean(np.square(part))) > 10 ** (AUDIBLE / 10)
            at = self.now - len(heard) + start
            if loud:
                if not self.sounds(at):
                    self._sounding = at
                self._last = at + len(part)

    def sounds(self, now: int) -> bool:
        """Whether a reply could be heard within the last 0.3 s."""
        return self._last is not None and now - self._last < 0.3 * self.rate


def _factor(decibels: float) -> float:
    return float(10 ** (decibels / 20))
