"""Our compact protocol as a dialect of a call: hello and resume, sound with positions, confirmations, stats."""

from __future__ import annotations

import hmac
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from oration.core import BadInput, Waveform
from oration.dialogue.events import Audio, Event, Flush
from oration.live.engine import Full, Options
from oration.serve import wire
from oration.serve.call import Call, Out
from oration.serve.security import Refused, safe_name
from oration.serve.sound import RATES, Track, format_of

if TYPE_CHECKING:
    from oration.serve.hub import Hub

GAP = 10.0
"""Seconds of missing input that are filled with silence; after more, the positions are taken for wrong."""
ACK = 0.24
"""Seconds of input between two acknowledgements."""
REPLACED = (4009, "another connection took the session up")


class Compact:
    """One side of `/v1/live`."""

    def __init__(self, call: Call, hub: Hub) -> None:
        self.call, self.hub = call, hub
        self.rate = 0
        """Hz on the wire; 0 before hello."""
        self.got = 0
        """Input samples received, at the wire's rate."""
        self.waiting = 0
        self._acked = 0
        self._events = 0
        self._format = format_of("pcm16", 24_000)
        self._name = "pcm16"
        self._track = Track(1, 1)
        self._epoch = 0

    def start(self, now: float) -> None:
        """Nothing: the client begins."""

    def take(self, message: bytes | str, arrived: float, now: float) -> None:
        """A message of the client's.

        Raises:
            BadInput: it is not one.
        """
        if isinstance(message, str):
            raise BadInput("a text message means nothing here; messages of oration.1 are binary (docs/protocol.md)")
        said = wire.parse(message)
        if said.kind == wire.PING:
            self._say(wire.position(wire.PONG, said.at))
        elif said.kind == wire.HELLO:
            self._hello(said.body or {}, now)
        elif not self.rate:
            raise BadInput(f"a message {wire.NAMES[said.kind]!r} came before hello; begin with hello (0x01)")
        elif said.kind == wire.AUDIO:
            self._sound(said.at, said.sound, arrived, now)
        elif said.kind == wire.PLAYED:
            self.waiting = said.waiting
            self.call.played(self._position(said.at), now)
        elif said.kind == wire.CONTROL:
            self._control(said.body or {}, now)
        else:
            raise BadInput(f"a message {wire.NAMES[said.kind]!r} goes from server to client only; see docs/protocol.md")

    def tell(self, event: Event, now: float) -> None:
        """An event of the session."""
        if isinstance(event, Audio):
            if event.epoch != self._epoch:
                self._rest(now)
                self._epoch = event.epoch
            heard = self._input(event.heard)
            for start, samples in self._track.push(event.start, event.wave):
                self._audio(start, samples, event.epoch, heard, (event.start, event.stop), now)
            return
        if isinstance(event, Flush):
            self._track.drop()
            self._redo(wire.flush(event.epoch, self._track.wire(event.start)), now)
            return
        self._rest(now)
        body: dict[str, Any] = {"type": type(event).__name__.lower()}
        for field in fields(event):
            value = getattr(event, field.name)
            body[field.name] = self._input(value) if field.name in ("heard", "at") else value
        self._redo(b"", now, body)

    def tick(self, now: float) -> None:
        """The session's numbers."""
        if not self.rate or self.call.connection is None:
            return
        metrics = self.hub.metrics
        body = {
            "stages": metrics.recent(now),
            "ledger": self.call.counts(),
            "lateness_ms": round(self.call.late * 1000, 3),
            "sessions": len(self.hub.connections),
            "waiting": self.waiting,
        }
        self._ack(now, always=True)
        self._say(wire.document(wire.STATS, body))

    def fail(self, code: str, sentence: str, close: int | None = None) -> None:
        """An error, which ends the connection if there is a close code."""
        self.hub.metrics.errors[code] += 1
        body = {"code": code, "message": sentence, "fatal": close is not None}
        self.call.say(Out(wire.document(wire.ERROR, body), close=None if close is None else (close, code)))

    # Hello

    def _hello(self, body: dict[str, Any], now: float) -> None:
        if self.rate:
            raise BadInput("hello came twice; a session keeps its settings, so open another connection")
        try:
            self._authorise(body)
            if "resume" in body:
                self._resume(body, now)
            else:
                self._open(body, now)
        except Refused as refused:
            self.fail(refused.code, str(refused), 1008)
        except Full as full:
            self.fail("full", str(full), 1013)
        except BadInput as wrong:
            self.fail("bad_hello", str(wrong), 4000)

    def _authorise(self, body: dict[str, Any]) -> None:
        if body.get("version") != wire.VERSION:
            raise BadInput(f"hello has version {body.get('version')!r}; this server speaks version {wire.VERSION}")
        if self.call.needs_token:
            token = body.get("token")
            self.call.who = self.hub.gate.name(token if isinstance(token, str) else None)
            self.call.needs_token = False

    def _open(self, body: dict[str, Any], now: float) -> None:
        self._set(body)
        voice, seed = body.get("voice"), body.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            raise BadInput(f"hello has seed {seed!r}; expected a whole number from 0")
        options = Options(voice=None if voice is None else safe_name(voice, "voice"))
        try:
            self.call.open(options, seed, now)
        except BaseException:
            self.rate = 0
            raise
        if body.get("record") is True and self.hub.settings.recordings is not None:
            self.call.record(self.hub.settings.recordings, now)
        self._welcome(False)

    def _set(self, body: dict[str, Any]) -> None:
        engine = self.hub.worker.engine
        rate = body.get("rate", engine.rate)
        if not isinstance(rate, int) or isinstance(rate, bool) or not RATES[0] <= rate <= RATES[1]:
            raise BadInput(f"hello has rate {rate!r}; expected {RATES[0]} to {RATES[1]} Hz")
        self._format, self._name = format_of(body.get("format", "pcm16"), rate), body.get("format", "pcm16")
        self._track, self.rate = Track(engine.rate, rate), rate

    def _welcome(self, resumed: bool) -> None:
        engine, limits, call = self.hub.worker.engine, self.hub.settings.limits, self.call
        body = {
            "session": call.id,
            "key": call.key,
            "rate": self.rate,
            "frame": self._track.wire(engine.frame),
            "format": self._name,
            "engine": engine.name,
            "delay": engine.delay,
            "input": self.got,
            "output": self._track.wire(call.output),
            "events": self._events,
            "resumed": resumed,
            "recorded": call.log is not None,
            "limits": {
                "message": limits.message,
                "idle": limits.idle,
                "absolute": limits.absolute,
                "resume": limits.resume,
            },
        }
        self._say(wire.document(wire.WELCOME, body))

    def _resume(self, body: dict[str, Any], now: float) -> None:
        """Take a lost session up: its dialect goes on with our connection."""
        asked = body["resume"]
        asked = asked if isinstance(asked, dict) else {}
        old = self.hub.worker.calls.get(str(asked.get("session")))
        key, received, events = str(asked.get("key")), asked.get("received"), asked.get("events", 2**62)
        mine = old.dialect if old is not None else None
        if old is None or old is self.call or not isinstance(mine, Compact) or old.session is None:
            raise Refused(404, "no_session", "there is no such session to resume, or not any more; begin another")
        if not hmac.compare_digest(key.encode(), old.key.encode()):
            raise Refused(401, "bad_key", "the key is not that of the session, so it cannot be resumed")
        if old.who != self.call.who:
            raise Refused(401, "bad_token", "the session belongs to another token")
        if not isinstance(received, int) or not isinstance(events, int) or min(received, events) < 0:
            raise BadInput(f"hello resumes from {received!r}; expected the number of output samples received")
        mine.again(self.call, received, events, now)

    def again(self, fresh: Call, received: int, events: int, now: float) -> None:
        """Another connection takes this session up; `received`, `events`: what the client has of it."""
        call, worker = self.call, self.hub.worker
        if call.connection is not None and call.connection is not fresh.connection:
            worker.deliver([(call.connection, [Out(b"", close=REPLACED)])])
        connection = fresh.connection
        fresh.moved, fresh.connection, fresh.over = call, None, True
        worker.calls.pop(fresh.id, None)
        call.connection, call.gone_at = connection, None
        self.hub.move(connection, call)
        self._format = format_of(self._name, self.rate)
        call.outs.clear()
        rest = call.resumed(self._position(received), events, now)
        self._welcome(True)
        for out in rest:
            call.outs.append(self._repeat(out, received))
        self.hub.metrics.resumed += 1

    def _repeat(self, out: Out, received: int) -> Out:
        """A message of the history, for the new connection: of sound only what the client does not have."""
        if out.redo[0] != "sound":
            return out
        _, start, epoch, heard, samples = out.redo
        skip = max(0, received - start)
        if skip >= len(samples):
            skip = 0 if self._name == "opus" else len(samples)
        data = wire.sound(start + skip, epoch, heard, self._format.encode(samples[skip:]))
        again = Out(data, start=out.start, stop=out.stop, epoch=out.epoch)
        again.index = out.index
        return again

    # Messages

    def _sound(self, start: int, sound: bytes | memoryview, arrived: float, now: float) -> None:
        samples = self._format.decode(sound)
        if self._name != "opus":
            gap = start - self.got
            if gap > GAP * self.rate:
                raise BadInput(f"sound at position {start} follows {self.got} samples; send what lies between first")
            if gap > 0:
                self.fail("gap", f"{gap} samples before position {start} never came and are taken as silence")
                samples = np.concatenate([np.zeros(gap, np.float32), samples])
            elif gap < 0:  # sent again after a resume
                samples = samples[-gap:]
        if not len(samples):
            return
        self.got += len(samples)
        self.call.push(Waveform(samples, self.rate), arrived)
        self._ack(now)

    def _control(self, body: dict[str, Any], now: float) -> None:
        call, kind = self.call, body.get("type")
        if kind == "cancel":
            call.cancel(now)
        elif kind == "commit":
            call.commit(now)
        elif kind == "respond":
            call.respond(now)
        elif kind == "text":
            words = body.get("text")
            if not isinstance(words, str) or not words.strip():
                raise BadInput(f"control 'text' has text {str(words)[:50]!r}; expected some words")
            call.text(words, now)
        elif kind == "policy":
            changes = body.get("policy")
            if not isinstance(changes, dict):
                raise BadInput('control \'policy\' has no object "policy"; expected {"endpoint": {"silence": 0.8}}')
            call.policy(changes, now)
        elif kind == "close":
            self.hub.worker.end(call, now)
            call.say(Out(b"", close=(1000, "closed")))
            self.hub.worker.flush(call)
        else:
            known = "cancel, commit, respond, text, policy, close"
            raise BadInput(f"control of type {str(kind)[:50]!r} is unknown; give one of {known}")

    # Out

    def _position(self, upto: int) -> int:
        """Output position on the wire -> of the ledger; the wire's end is the ledger's, whatever was rounded."""
        end = self.call.output
        return end if upto >= self._track.wire(end) else self._track.engine(upto)

    def _input(self, position: int) -> int:
        engine = self._track.from_rate
        return min(self.got, position * self.rate // engine) if engine != self.rate else position

    def _rest(self, now: float) -> None:
        """A reply's last samples, out of the filter."""
        for start, samples in self._track.flush():
            at = self._track.engine(start)
            self._audio(start, samples, self._epoch, self._input(self.call.received), (at, at), now)

    def _audio(
        self, start: int, samples: np.ndarray, epoch: int, heard: int, span: tuple[int, int], now: float
    ) -> None:
        data = wire.sound(start, epoch, heard, self._format.encode(samples)) if self.call.connection else b""
        redo = ("sound", start, epoch, heard, samples)
        self.call.say(Out(data, start=span[0], stop=span[1], epoch=epoch, made=now, redo=redo))

    def _redo(self, data: bytes, now: float, body: dict[str, Any] | None = None) -> None:
        """A message that is said again to whoever comes back."""
        number, self._events = self._events, self._events + 1
        if body is not None:
            data = wire.document(wire.EVENT, {**body, "n": number})
        at = self.call.output
        self.call.say(Out(data, start=at, stop=at, made=now, redo=("event", number)))

    def _say(self, data: bytes) -> None:
        self.call.say(Out(data))

    def _ack(self, now: float, *, always: bool = False) -> None:
        if self.got - self._acked >= ACK * self.rate or (always and self.got > self._acked):
            self._acked = self.got
            self._say(wire.position(wire.GOT, self.got))


def dialect(call: Call, hub: Hub, websocket: Any) -> Compact:
    """For `/v1/live`."""
    return Compact(call, hub)
