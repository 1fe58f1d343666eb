"""Who has the floor: a state machine over probabilities of speech. It counts samples, and knows neither sound nor time.

What happened in the field and must not happen here (an interruption with no words that silences the model for good, one
set of thresholds for thinking and for speaking, a "mm-hmm" that begins a turn) is a transition of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from oration.dialogue.policy import Interrupt, Policy

State = Literal["listening", "thinking", "speaking"]
"""What the model does: `thinking` until the first sample of its reply was heard, `speaking` until the last was."""

Kind = Literal["onset", "offset", "interrupt", "confirm", "resume", "backchannel", "end", "prompt"]
"""What follows from a frame: the user begins or stops to speak; the reply is to fall silent; it is over for good; it
was a false alarm and the reply goes on; the user only said that they listen; the user's turn is over; nobody has said
anything for long."""

PAUSE = 0.2
"""Seconds of silence after which sounds too short for a turn are forgotten."""


@dataclass(frozen=True)
class Frame:
    """What is known of a stretch of input."""

    chance: float
    """Probability of the user's speech."""
    level: float
    """dBFS."""
    start: int
    stop: int
    """Input positions."""


@dataclass(frozen=True)
class Act:
    """A consequence."""

    kind: Kind
    at: int
    """Input position of the change itself."""
    start: int = 0
    """Of a turn that is over, where its sound begins, with what is kept before the onset."""
    voiced: int = 0
    """Samples of speech in it."""
    level: float = -100.0
    """Their mean level, dBFS."""


@dataclass
class _Run:
    """Speech under way, or what may become speech."""

    start: int
    last: int
    voiced: int = 0
    power: float = 0.0

    def add(self, frame: Frame) -> None:
        n = frame.stop - frame.start
        self.last, self.voiced = frame.stop, self.voiced + n
        self.power += n * 10 ** (frame.level / 10)

    @property
    def level(self) -> float:
        return float(10 * np.log10(self.power / self.voiced + 1e-12)) if self.voiced else -100.0


class TurnTaking:
    """The user's side of a dialogue. The policy may be changed at any frame."""

    def __init__(self, rate: int, policy: Policy) -> None:
        """`rate`: samples per second of positions."""
        self.rate, self.policy = rate, policy
        self.turn: int | None = None
        """Where the user's turn under way begins."""
        self.doubtful = False
        """Whether that turn silenced the model and may prove to be nothing."""
        self._run: _Run | None = None
        self._on = False  # the last frame was speech
        self._floor = 0  # what comes before belongs to an earlier turn
        self._before: tuple[int, int, float] | None = None  # the turn that is being answered: start, voiced, power
        self._quiet, self._prompts = 0, 0

    @property
    def level(self) -> float:
        """dBFS of the speech under way; -100 without any."""
        return self._run.level if self._run else -100.0

    @property
    def spoken(self) -> int:
        """Input position at which the speech under way was last heard."""
        return self._run.last if self._run else 0

    def hear(self, frame: Frame, state: State) -> list[Act]:
        """The next frame of input, and what the model does meanwhile -> what follows."""
        self._note(frame, state)
        if self.turn is not None:
            return self._within(frame)
        if state == "listening":
            return self._begin(frame) or self._silence(frame)
        self._quiet = 0
        return self._over(frame, state, self.policy.thinking if state == "thinking" else self.policy.speaking)

    def commit(self, at: int) -> list[Act]:
        """The user's turn ends here by their own word, whatever was heard of it."""
        start = self._floor if self.turn is None else self.turn
        acts = [Act("offset", self._run.last)] if self.turn is not None and self._run else []
        return [*acts, self._end(start, at)]

    def clear(self, at: int) -> None:
        """Forget the turn under way, and all sound before this position."""
        self.turn, self._run, self._on, self.doubtful, self._floor = None, None, False, False, at

    def _note(self, frame: Frame, state: State) -> None:
        """Is this frame speech, and of which run?"""
        endpoint = self.policy.endpoint
        above = endpoint.threshold
        if state != "listening" and self.turn is None:
            above = (self.policy.thinking if state == "thinking" else self.policy.speaking).threshold
        self._on = frame.chance >= (min(endpoint.release, above) if self._on else above)
        if self._on:
            self._run = self._run or _Run(frame.start, frame.start)
            self._run.add(frame)

    def _within(self, frame: Frame) -> list[Act]:
        """The user has the floor."""
        assert self.turn is not None
        assert self._run is not None
        silent, rule, acts = frame.stop - self._run.last, self.policy.endpoint, list[Act]()
        if self.doubtful:
            interrupt = self.policy.speaking
            if self._run.voiced >= self._samples(interrupt.confirm):
                self.doubtful = False
                acts.append(Act("confirm", self._run.last))
            elif silent >= self._samples(interrupt.resume):
                at = self._run.last
                self.clear(at)
                return [Act("offset", at), Act("resume", frame.stop)]
        if silent >= self._samples(rule.silence) and not self.doubtful:
            return [*acts, Act("offset", self._run.last), self._end(self.turn, frame.stop)]
        if frame.stop - self.turn >= self._samples(rule.longest):
            return [*acts, Act("offset", self._run.last), self._end(self.turn, frame.stop)]
        return acts

    def _begin(self, frame: Frame) -> list[Act]:
        """Nobody has the floor: does the user take it?"""
        run = self._run
        if run is None:
            return []
        if run.voiced >= self._samples(self.policy.endpoint.speech):
            return [self._take(run.start)]
        if frame.stop - run.last >= self._samples(PAUSE):
            self._run = None
        return []

    def _over(self, frame: Frame, state: State, rule: Interrupt) -> list[Act]:
        """The model has the floor: does the user interrupt it?"""
        run, back = self._run, self.policy.backchannel
        if run is None:
            return []
        least = rule.speech
        if state == "speaking" and back.allowed:
            least = max(least, back.longest)
        loud = run.level >= self.policy.addressed.level
        if rule.allowed and loud and self._on and run.voiced >= self._samples(least):
            onset = self._take(run.start)
            if state == "thinking":
                self._reopen(run, frame)
            self.doubtful = state == "speaking"
            return [onset, Act("interrupt", run.start)]
        pause = self._samples(PAUSE if state == "speaking" and back.allowed else rule.gap)
        if frame.stop - run.last >= pause:
            self._run = None
            if run.voiced >= self._samples(self.policy.endpoint.speech):
                return [Act("backchannel", run.last, run.start, run.voiced, run.level)]
        return []

    def _reopen(self, run: _Run, frame: Frame) -> None:
        """A slow speaker goes on: one turn, not two."""
        if self._before is None or frame.stop - self._before[0] >= self._samples(self.policy.endpoint.longest):
            return
        self.turn, voiced, power = self._before
        run.voiced, run.power = run.voiced + voiced, run.power + power

    def _silence(self, frame: Frame) -> list[Act]:
        """Nobody says anything."""
        rule = self.policy.silence
        self._quiet = 0 if self._on or self.turn is not None else self._quiet + frame.stop - frame.start
        if rule.after is None or self._prompts >= rule.times or self._quiet < self._samples(rule.after):
            return []
        self._quiet, self._prompts = 0, self._prompts + 1
        return [Act("prompt", frame.stop)]

    def _take(self, onset: int) -> Act:
        self.turn = max(self._floor, onset - self._samples(self.policy.endpoint.prefix), 0)
        self._quiet = self._prompts = 0
        return Act("onset", onset)

    def _end(self, start: int, stop: int) -> Act:
        run = self._run or _Run(stop, stop)
        self._before = (start, run.voiced, run.power)
        act = Act("end", stop, start, run.voiced, run.level)
        self.clear(stop)
        return act

    def _samples(self, seconds: float) -> int:
        return round(seconds * self.rate)
