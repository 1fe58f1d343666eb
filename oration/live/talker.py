"""A session that takes turns: the policy's consequences become replies, pauses, resumptions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oration.audio.vad import HOP, RATE, Ear
from oration.dialogue.events import Floor, Heard, Holder, Said, Speech
from oration.dialogue.policy import Policy
from oration.dialogue.turns import Act, Frame, State, TurnTaking
from oration.live.engine import Options
from oration.live.guard import Guard
from oration.live.listener import Recent
from oration.live.responder import Making, Responder
from oration.live.seat import Seat

ITEMS = 8
"""Items of a reply that one piece of work makes."""
TAIL = 0.1
"""Seconds kept after the last frame that was taken for speech: words fade out."""
PATIENCE = 10.0
"""Seconds of input without a confirmation, while some is due, after which a reply is given up."""


@dataclass(eq=False)
class Reply:
    """One reply of a session, over all its epochs: it may be taken up again after a false interruption."""

    heard: Any
    """The user's turn it answers, as the responder's `Hearing` gave it."""
    text: str | None
    making: Making | None = None
    waves: list[np.ndarray] = field(default_factory=list)
    """All its sound so far."""
    made: int = 0
    given: int = 0
    """Samples of it that were emitted, those left out after an interruption not counted twice."""
    base: int = 0
    """Where in it the epoch under way began."""
    paused: bool = False

    def rest(self, most: int) -> np.ndarray:
        """float32[n], the next samples to be emitted; at most so many."""
        at, found = 0, []
        for wave in self.waves:
            if at + len(wave) > self.given:
                found.append(wave[max(0, self.given - at) :])
            at += len(wave)
        return np.concatenate([np.zeros(0, np.float32), *found])[:most]


class Talker(Seat):
    """One who is listened to until their turn is over, then answered."""

    def __init__(
        self, rate: int, frame: int, policy: Policy, options: Options, seed: int, responder: Responder, ear: Ear
    ) -> None:
        super().__init__(rate, frame, policy)
        self.options, self.seed, self.responder, self.ear = options, seed, responder, ear
        self.turns = TurnTaking(rate, policy)
        self.guard = Guard(rate)
        self.hearing, self.past = responder.listener(), responder.past(options)
        self.recent = Recent(round((policy.endpoint.longest + 4.0) * rate))
        self.reply: Reply | None = None
        self._pushed = 0  # up to where the turn under way went to the listener
        self._unanswered: Any = None  # a turn that waits for `respond`
        self._frames = 0
        self._levels: deque[float] = deque()
        self._holder: Holder = "nobody"
        self._confirmed_at = 0
        self._replies = 0
        self._now = 0.0

    # The client's side

    def played(self, upto: int, now: float) -> None:
        before = self.ledger.confirmed
        super().played(upto, now)
        if self.ledger.confirmed > before:
            self._confirmed_at = self.heard

    def text(self, words: str) -> None:
        """What the user types is a turn."""
        if not self.responder.reads:
            super().text(words)
            return
        self.tell(Heard(heard=self.heard, epoch=self.epoch, text=words))
        self._answer({}, words)

    def commit(self) -> None:
        for act in self.turns.commit(self._position()):
            self._do(act, addressed=True)

    def respond(self) -> None:
        if self.turns.turn is not None:
            self.commit()
        if self._unanswered is not None:
            self._answer(self._unanswered)
        elif not self.replying:
            self._speak_up()

    def cancel(self, now: float) -> None:
        if self.reply is not None:
            self.reply.paused = True
        if self.replying:
            self.end("cancelled", now)
        elif self.ledger.emitted > self.ledger.confirmed:
            self.fence(now)

    # The engine's side

    @property
    def state(self) -> State:
        """What the model does, by what was sent and heard of it, not by what it means to do."""
        sounding = self.ledger.emitted > self.ledger.confirmed and not self.ledger.fenced(self.epoch)
        if not sounding and not self.replying:
            return "listening"
        heard = self.ledger.heard(self.epoch) + (self.reply.base if self.reply else 0)
        return "speaking" if heard else "thinking"

    def listen(self, samples: np.ndarray) -> None:
        """A frame of input, before anything is known of it."""
        clean = self.guard.clean(samples, self.ledger, self.policy.echo)
        self.recent.add(clean)
        self.ear.push(clean)
        self._levels.append(float(10 * np.log10(np.mean(np.square(clean, dtype=np.float64)) + 1e-10)))

    def hear(self, chance: float, now: float) -> None:
        """The detector's word on the next frame of input."""
        self._now = now
        start = self._position()
        self._frames += 1
        stop, level = self._position(), self._levels.popleft() if self._levels else -100.0
        self.turns.policy = self.policy
        for act in self.turns.hear(Frame(chance, level, start, stop), self.state):
            self._do(act)
        self._encode()
        self._tell_floor()

    def work(self, now: float) -> bool:
        """Some items of the reply, or some of its sound on its way; False: nothing to do."""
        self._now = now
        reply = self.reply
        if reply is None or reply.paused or not self.replying:
            return False
        room = round(self.options.lead * self.rate) - (self.ledger.emitted - self.ledger.confirmed)
        if room <= 0:
            return self._lost_patience(now)
        if reply.making is None:
            self._replies += 1
            reply.making = self.responder.reply(
                reply.heard, reply.text, self.past, self.options, self.seed + self._replies
            )
        if reply.given < reply.made:
            sound = reply.rest(room)
            reply.given += len(sound)
            at = self.emit(sound, now)
            self.guard.emitted(sound, at.start)
            self._tell_floor()
        elif not reply.making.done:
            reply.making.step(ITEMS)
        self._collect(reply)
        if reply.making.done and reply.given >= reply.made:
            self.end("done" if reply.made < round(self.options.longest * self.rate) else "limit", now)
        return True

    def failed(self, why: str, now: float) -> None:
        """The reply under way cannot be made."""
        self.trouble("reply_failed", why)
        self.reply = None
        self.end("failed", now)

    def _collect(self, reply: Reply) -> None:
        assert reply.making is not None
        while reply.making.waves:
            wave = reply.making.waves.popleft()
            reply.waves.append(wave)
            reply.made += len(wave)
        while reply.making.understood:
            self.tell(Heard(heard=self.heard, epoch=self.epoch, text=reply.making.understood.popleft()))
        while reply.making.words:
            self.tell(Said(heard=self.heard, epoch=self.epoch, text=reply.making.words.popleft()))

    def _lost_patience(self, now: float) -> bool:
        """No session is to wait for ever for a client that confirms nothing."""
        if self.heard - self._confirmed_at > PATIENCE * self.rate:
            self._confirmed_at = self.heard
            self.trouble("unconfirmed", f"the client confirmed nothing as played for {PATIENCE:g} s; the reply ends")
            self.end("failed", now)
        return False

    def _do(self, act: Act, addressed: bool | None = None) -> None:
        """What follows from an act of the user."""
        now, at = self._now, act.at
        if act.kind == "onset":
            self._turn_begins()
            self._speech(True, at)
        elif act.kind == "offset":
            self._speech(False, at)
        elif act.kind == "backchannel":
            self._speech(True, act.start)
            self._speech(False, at)
        elif act.kind == "interrupt":
            self._pause(now)
        elif act.kind == "resume":
            self._resume(now)
        elif act.kind == "end":
            self._turn_ends(act, self._addressed(act) if addressed is None else addressed)
        elif act.kind == "prompt" and not self.replying:
            self._speak_up()

    def _speech(self, on: bool, at: int) -> None:
        self.ledger.speaks(on, at, self._now)
        self.tell(Speech(heard=self._position(), epoch=self.epoch, on=on, at=at))

    def _turn_begins(self) -> None:
        self.hearing.begin()
        self._pushed = max(self.turns.turn or 0, self.recent.start)

    def _pause(self, now: float) -> None:
        """Fall silent at once; whether for good is not known yet."""
        never = self.state == "thinking"
        if self.reply is not None:
            self.reply.paused = True
        if self.replying:
            self.end("cancelled", now)
        else:
            self.fence(now)
        if never:  # nothing of it was heard, and the turn it answered goes on
            self.reply = None
            self._turn_begins()

    def _resume(self, now: float) -> None:
        """It was nothing: go on from where the reply was heard."""
        if self.reply is None:
            return
        self.reply.base = self.reply.given = self.reply.base + self.ledger.heard(self.epoch)
        self.reply.paused = False
        self.begin(now, resumes=self.epoch)

    def _encode(self) -> None:
        """What is certain to belong to the turn goes to the listener: silence waits until speech follows it."""
        if self.turns.turn is None:
            return
        upto = min(self.turns.spoken, self.recent.stop)
        if upto > self._pushed:
            self.hearing.push(self.recent.cut(self._pushed, upto))
            self._pushed = upto

    def _turn_ends(self, act: Act, addressed: bool) -> None:
        if act.voiced == 0:  # a turn that was ended by word, and in which nothing was noticed
            self.hearing.begin()
            self.hearing.push(self.recent.cut(act.start, self.recent.stop))
        else:
            self.hearing.push(self.recent.cut(self._pushed, min(act.at, self._pushed + round(TAIL * self.rate))))
        heard = self.hearing.end()
        if not addressed or (act.voiced and not self._asks(heard)):
            return
        if words := self.responder.understood(heard):
            self.tell(Heard(heard=self._position(), epoch=self.epoch, text=words))
        if self.policy.endpoint.create or act.voiced == 0:
            self._answer(heard)
        else:
            self._unanswered = heard

    def _addressed(self, act: Act) -> bool:
        """Whether a turn was meant for the model."""
        rule = self.policy.addressed
        return act.voiced >= rule.speech * self.rate and act.level >= rule.level

    def _asks(self, heard: Any) -> bool:
        """Whether the responder takes a turn for a query, where it is asked to tell."""
        least = self.policy.addressed.query
        found = self.responder.query(heard) if least > 0 else None
        return found is None or found >= least

    def _answer(self, heard: Any, text: str | None = None) -> None:
        """Begin a reply; what was heard of the one before becomes past."""
        if self.replying:
            self.end("cancelled", self._now)
        if self.reply is not None and self.reply.making is not None:
            samples = self.reply.base + self.ledger.heard(self.epoch)
            self.responder.remember(self.past, self.reply.heard, self.reply.making, samples / self.rate)
        self.reply, self._unanswered = Reply(heard, text), None
        self._confirmed_at = self.heard
        self.begin(self._now)

    def _speak_up(self) -> None:
        """Say something though nobody has: to the last moment of silence."""
        stop = self.recent.stop
        if stop < self.rate // 2:
            return
        self.hearing.begin()
        self.hearing.push(self.recent.cut(stop - self.rate // 2, stop))
        self._answer(self.hearing.end())

    def _position(self) -> int:
        """Input position that the detector has come to."""
        return round(self._frames * HOP * self.rate / RATE)

    def _tell_floor(self) -> None:
        user, model = self.turns.turn is not None, self.state != "listening" and self.ledger.emitted > 0
        holder: Holder = "both" if user and model else "user" if user else "model" if model else "nobody"
        if holder != self._holder:
            self._holder = holder
            self.tell(Floor(heard=self._position(), epoch=self.epoch, holder=holder))
