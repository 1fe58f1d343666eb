"""Moshi's binary protocol as a dialect of a call: one byte of type, then Ogg pages with Opus at 24 kHz, or text.

kyutai-labs/moshi, rust/protocol.md. Its clients confirm nothing, so what was sent counts as played at the pace of time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from oration.core import BadInput, Waveform
from oration.dialogue.events import Audio, Ended, Event, Flush, Said, Trouble
from oration.live.engine import Full, Options
from oration.serve.call import Call, Out
from oration.serve.security import safe_name
from oration.serve.sound import Opus, Track

if TYPE_CHECKING:
    from oration.serve.hub import Hub

HANDSHAKE, SOUND, TEXT, CONTROL, METADATA, ERROR, PING = range(7)
RATE = 24_000
START, END_TURN, PAUSE, RESTART = range(4)


class Moshi:
    """One side of `/api/chat`."""

    def __init__(self, call: Call, hub: Hub, voice: str | None) -> None:
        self.call, self.hub, self.voice = call, hub, voice
        self.opus = Opus(RATE)
        self.track = Track(hub.worker.engine.rate, RATE)
        self._until = 0.0
        self._playing: list[tuple[int, float]] = []

    def start(self, now: float) -> None:
        """A slot, then the handshake: the client may speak once it has it."""
        try:
            voice = None if self.voice is None else safe_name(self.voice, "voice")
            self.call.open(Options(voice=voice), 0, now)
        except Full as full:
            self.fail("full", str(full), 1013)
            return
        except BadInput as wrong:
            self.fail("bad_voice", str(wrong), 1008)
            return
        self._say(HANDSHAKE, bytes(8))

    def take(self, message: bytes | str, arrived: float, now: float) -> None:
        """A message of the client's; unknown types are ignored, as the protocol says."""
        self.tick(now)
        if isinstance(message, str) or not message or self.call.session is None:
            return
        if message[0] == SOUND:
            try:
                samples = self.opus.decode(message[1:])
            except BadInput as broken:
                self.opus = Opus(RATE)
                self.fail("bad_sound", str(broken))
                return
            if len(samples):
                self.call.push(Waveform(samples, RATE), arrived)
        elif message[0] == CONTROL and message[1:2] == bytes((END_TURN,)):
            self.call.commit(now)
        elif message[0] == CONTROL and message[1:2] == bytes((PAUSE,)):
            self.call.cancel(now)

    def tell(self, event: Event, now: float) -> None:
        """An event of the session."""
        if isinstance(event, Audio):
            self._until = max(self._until, now) + len(event.wave) / self.hub.worker.engine.rate
            self._playing.append((event.stop, self._until))
            for _, samples in self.track.push(event.start, event.wave):
                self._say(SOUND, self.opus.encode(samples), (event.start, event.stop), now)
        elif isinstance(event, Said):
            self._say(TEXT, event.text.encode())
        elif isinstance(event, Ended):
            for _, samples in self.track.flush():
                self._say(SOUND, self.opus.encode(samples))
        elif isinstance(event, Flush):
            self.track.drop()
            self._playing, self._until = [], now
        elif isinstance(event, Trouble):
            self._say(ERROR, event.sentence.encode())

    def tick(self, now: float) -> None:
        """Time passes for what is being played."""
        upto = -1
        while self._playing and self._playing[0][1] <= now:
            upto = self._playing.pop(0)[0]
        if upto >= 0 and self.call.session is not None:
            self.call.played(upto, now)

    def fail(self, code: str, sentence: str, close: int | None = None) -> None:
        """An error."""
        self.hub.metrics.errors[code] += 1
        self._say(ERROR, json.dumps({"code": code, "message": sentence}).encode())
        if close is not None:
            self.call.say(Out(b"", close=(close, code)))

    def _say(self, kind: int, payload: bytes, span: tuple[int, int] = (0, 0), made: float = 0.0) -> None:
        if payload:
            self.call.say(Out(bytes((kind,)) + payload, start=span[0], stop=span[1], made=made))


def dialect(call: Call, hub: Hub, websocket: Any) -> Moshi:
    """For `/api/chat`."""
    return Moshi(call, hub, websocket.query_params.get("voice"))
