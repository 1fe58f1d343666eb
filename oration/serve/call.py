"""One session as the server holds it: it outlives connections, and is touched by the worker's thread only.

All a client can do to a session goes through here, so that it is logged in the order in which it happened. Positions
here are absolute: those of the session plus what earlier sessions counted, should the engine have been started anew.
"""

from __future__ import annotations

import secrets
from collections import Counter, deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from oration.core import BadInput, Waveform
from oration.dialogue.events import Audio, Event
from oration.dialogue.ledger import Counts, Ledger
from oration.live.engine import Full, Options, Session
from oration.live.seat import Seat

if TYPE_CHECKING:
    from oration.serve.log import Log
    from oration.serve.worker import Worker

SETTLE = 2000
"""Steps of the engine, at most, in which a turn that is ended by word is heard to its end."""
EVENTS = 4000
"""Messages, at most, that are kept to be sent again."""


class Out:
    """One message to the client, and the sound in it."""

    __slots__ = ("close", "data", "epoch", "index", "made", "redo", "start", "stop")

    def __init__(
        self,
        data: bytes | str,
        *,
        start: int = 0,
        stop: int = 0,
        epoch: int = 0,
        made: float = 0.0,
        redo: Any = None,
        close: tuple[int, str] | None = None,
    ) -> None:
        self.data = data
        self.start, self.stop, self.epoch = start, stop, epoch
        """Absolute output positions of its sound; equal where it has none, and then where it stands between sound."""
        self.made = made
        """Seconds, on the worker's clock."""
        self.redo = redo
        """What the dialect needs to say it again to another connection; None: it is not said again."""
        self.close = close
        """Close the connection after it, with this code and reason."""
        self.index = 0


class Dialect(Protocol):
    """A protocol's side of a call: messages in, messages out. Runs on the worker's thread."""

    def start(self, now: float) -> None:
        """The connection stands."""
        ...

    def take(self, message: bytes | str, arrived: float, now: float) -> None:
        """A message of the client's."""
        ...

    def tell(self, event: Event, now: float) -> None:
        """An event of the session, in absolute positions."""
        ...

    def tick(self, now: float) -> None:
        """About once a second."""
        ...

    def fail(self, code: str, sentence: str, close: int | None = None) -> None:
        """Tell that something went wrong; and close with this code, if one is given."""
        ...


class Call:
    """One session, its history for those who come back, and the messages that wait on either side."""

    def __init__(self, worker: Worker, connection: Any, who: str) -> None:
        self.worker, self.connection, self.who = worker, connection, who
        self.id, self.key = f"s_{secrets.token_hex(8)}", secrets.token_urlsafe(18)
        self.dialect: Dialect
        self.session: Session | None = None
        self.options, self.seed = Options(), 0
        self.log: Log | None = None
        self.inbox: deque[tuple[bytes | str, float]] = deque()
        self.queued = False
        """Whether the worker knows that there is something in the inbox."""
        self.moved: Call | None = None
        """The call that took this one's connection over."""
        self.needs_token = False
        """Whether the first message must carry a token."""
        self.outs: list[Out] = []
        self.history: deque[Out] = deque()
        self.index = 0
        self.gone_at: float | None = None
        self.over = False
        self.epoch = 0
        self.late = 0.0
        """Seconds between the arrival of the input and the output that followed it, the largest since the last tick."""
        self._inputs = self._outputs = self._epochs = 0
        self._past: list[tuple[Ledger, int]] = []
        self._counts: list[Counts] = []

    # What a client does

    def open(self, options: Options, seed: int, now: float) -> Session:
        """Take a slot of the engine; one whose client is lost makes room, if there is no other.

        Raises:
            Full: none is free.
            BadInput: the engine does not know a voice, say.
        """
        self.options, self.seed = options, seed
        try:
            self.session = self.worker.engine.open(options, seed)
        except Full:
            if not self.worker.make_room(now):
                raise
            self.session = self.worker.engine.open(options, seed)
        return self.session

    def push(self, wave: Waveform, now: float) -> None:
        """The user's sound."""
        if self.log is not None:
            self.log.sound(self, wave, now)
        self._session.push(wave, now)

    def played(self, upto: int, now: float) -> None:
        """All output before this absolute position was played or flushed."""
        for ledger, start in self._past:
            ledger.play(max(0, min(upto - start, ledger.emitted)), now)
        if (mine := upto - self._outputs) >= 0:
            self._note("played", now, upto=mine)
            self._session.played(mine, now)
        # Who has played what came after an event has received the event, as messages keep their order.
        while self.history and (first := self.history[0]).stop <= upto - (first.start == first.stop):
            self.history.popleft()

    def text(self, words: str, now: float) -> None:
        """What the user types."""
        self._note("text", now, words=words)
        self._session.text(words)

    def commit(self, now: float) -> None:
        """The user's turn ends."""
        self._note("commit", now)
        self._session.commit()

    def respond(self, now: float) -> None:
        """Reply now."""
        self._note("respond", now)
        self._session.respond()

    def cancel(self, now: float) -> None:
        """Stop the reply."""
        self._note("cancel", now)
        self._session.cancel(now)

    def policy(self, changes: dict[str, Any], now: float) -> None:
        """Change rules of turn-taking.

        Raises:
            BadInput: no such rule.
        """
        changed = self._session.policy.changed(changes)
        self._note("policy", now, changes=changes)
        self._session.policy = changed

    def clear(self, now: float) -> None:
        """What the engine has not consumed yet is not to be heard."""
        if isinstance(self._session, Seat):
            self._note("clear", now)
            self._session.drop(self._session.ledger.waiting, "cleared", now)

    def settle(self, now: float) -> None:
        """Let the engine consume what has come, as far as it does so at once."""
        for _ in range(SETTLE):
            if self._session.ledger.waiting < self._session.ledger.frame or not self.worker.engine.step(now):
                return

    def record(self, folder: Path, now: float) -> None:
        """Keep a log of this session from its first sample on."""
        from oration.serve.log import Log

        self.log = Log(folder, self, now)

    def close(self, now: float) -> None:
        """The session is over."""
        if self.session is not None and not self.session.closed:
            self._note("close", now)
            self.session.close(now)
            self.collect(now)
            self._session.ledger.balance()
        if self.log is not None:
            self.log.close(self)
            self.log = None
        self.over = True

    # What the worker does

    def collect(self, now: float) -> bool:
        """Pass on what happened in the session -> whether anything did."""
        if self.session is None:
            return False
        events = self.session.take()
        if not events:
            return False
        if self.log is not None:
            self.log.events(self, events)
        send = 0
        for event in events:
            self.epoch = max(self.epoch, event.epoch)
            if isinstance(event, Audio):
                send = event.stop
            self.dialect.tell(self._absolute(event) if self._epochs or self._outputs else event, now)
        if send:
            self.session.ledger.send(send, now)
        return True

    def say(self, out: Out) -> None:
        """A message to the client."""
        if out.redo is not None:
            out.index, self.index = self.index, self.index + 1
            self.history.append(out)
            self._trim(out.stop)
        self.outs.append(out)

    def give_up(self, start: int, stop: int, why: str, now: float) -> None:
        """Output that was handed over will not be sent."""
        for ledger, begin in self._past:
            ledger.discard(start - begin, min(stop - begin, ledger.emitted), why, now)
        if self.session is not None:
            start, stop = start - self._outputs, stop - self._outputs
            self._note("discard", now, start=start, stop=stop, why=why)
            self.session.ledger.discard(start, stop, why, now)
            start, stop = start + self._outputs, stop + self._outputs
        self.history = deque(out for out in self.history if not (start <= out.start < out.stop <= stop))

    def resumed(self, upto: int, events: int, now: float) -> list[Out]:
        """The client is back and holds all output before `upto` and all events before number `events` -> the rest."""
        held = [out for out in self.history if out.start < out.stop]
        first = held[0].start if held else self.output
        if upto < first:  # what lies between was trimmed: nobody will hear it
            self.give_up(upto, first, "resume window", now)
        ledger = self._session.ledger
        self._note("resume", now, upto=max(0, upto - self._outputs))
        ledger.resume(max(0, upto - self._outputs), now)
        rest: list[Out] = []
        for out in self.history:
            if out.redo[0] == "event":
                again = out.redo[1] >= events
            else:
                fenced = out.epoch > self._epochs and ledger.fenced(out.epoch - self._epochs)
                again = not fenced and max(out.stop, out.start + 1) > upto
            if again:
                rest.append(out)
        ledger.send(max([0, *(out.stop - self._outputs for out in rest)]), now)
        return rest

    def restart(self, now: float) -> None:
        """The engine was started anew: go on with a fresh session where the old one stopped.

        Raises:
            Full: the engine has no slot for it any more.
        """
        if self.session is None:
            return
        old = self.session.ledger
        old.drop(old.waiting, "worker", now)
        old.cancel(self.epoch, now)
        old.discard(old.sent, old.emitted, "worker", now)
        self._past = [(old, self._outputs)]
        self._counts.append(old.counts)
        if self.log is not None:
            self.log.close(self)
            self.log = None
        self._inputs += old.received
        self._outputs += old.emitted
        self._epochs, self.epoch = self._epochs + self.epoch, 0
        self.session = self.worker.engine.open(replace(self.options, policy=self.session.policy), self.seed)

    # What dialects ask

    @property
    def _session(self) -> Session:
        if self.session is None:
            raise BadInput("the session is not set up yet, so this means nothing; begin with hello")
        return self.session

    @property
    def ledger(self) -> Ledger:
        return self._session.ledger

    @property
    def output(self) -> int:
        """Absolute output position: all before is made."""
        return self._outputs + (self.session.ledger.emitted if self.session else 0)

    @property
    def received(self) -> int:
        """Absolute input position in samples of the engine's rate."""
        return self._inputs + (self.session.ledger.received if self.session else 0)

    def heard(self, epoch: int) -> int:
        """Samples of a reply that were certainly played."""
        if epoch > self._epochs:
            return self._session.ledger.heard(epoch - self._epochs)
        return sum(ledger.heard(epoch) for ledger, _ in self._past)

    def counts(self) -> dict[str, Any]:
        """The ledger's sums, of all sessions this call has had."""
        total: Counter[str] = Counter()
        dropped: Counter[str] = Counter()
        discarded: Counter[str] = Counter()
        for counts in [*self._counts, *([self.session.ledger.counts] if self.session else [])]:
            for name in ("received", "consumed", "waiting", "emitted", "unsent", "sent", "played"):
                total[name] += getattr(counts, name)
            dropped.update(counts.dropped)
            discarded.update(counts.discarded)
        return {**total, "dropped": dict(dropped), "discarded": dict(discarded)}

    def _absolute(self, event: Event) -> Event:
        changes: dict[str, Any] = {"heard": event.heard + self._inputs, "epoch": event.epoch + self._epochs}
        for name, base in (("start", self._outputs), ("at", self._inputs)):
            if hasattr(event, name):
                changes[name] = getattr(event, name) + base
        if getattr(event, "resumes", None) is not None:
            changes["resumes"] = event.resumes + self._epochs  # type: ignore[attr-defined]
        return replace(event, **changes)

    def _note(self, op: str, now: float, **values: Any) -> None:
        if self.log is not None:
            self.log.note(self, op, now, **values)

    def _trim(self, stop: int) -> None:
        """What is older than the window is not kept."""
        window = round(self.worker.settings.limits.replay * self.worker.engine.rate)
        history = self.history
        while history and (history[0].stop <= stop - window or len(history) > EVENTS):
            history.popleft()
