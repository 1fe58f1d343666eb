"""OpenAI's Realtime events (GA) as a dialect of a call. What is not done here is refused by name (docs/realtime.md).

Its clients do not confirm what they play, so a reply counts as played at the pace of time, a little late; a client that
truncates an item corrects that, and the context is what it says was heard.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from oration.core import BadInput
from oration.dialogue.events import Audio, Began, Ended, Event, Flush, Heard, Said, Speech, Trouble
from oration.live.engine import Full, Options
from oration.live.seat import Seat
from oration.serve import asks, terms
from oration.serve.call import Call, Out
from oration.serve.items import Answer, Conversation, Item, name
from oration.serve.security import safe_name
from oration.serve.sound import Track, format_of
from oration.serve.terms import Wrong

if TYPE_CHECKING:
    from oration.serve.hub import Hub

LAG = 0.5
"""Seconds by which playing is assumed to be behind: what a client says of the last half second still counts."""
PRESETS = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
"""Voices that clients ask for by habit: the model's own is given."""
LEAD = 30.0
"""Seconds a reply may be ahead of its playing: sound is sent as fast as it is made."""
STATUS = {"done": "completed", "cancelled": "cancelled", "limit": "incomplete", "failed": "failed"}


class Realtime:
    """One side of `/v1/realtime`."""

    def __init__(self, call: Call, hub: Hub, model: str) -> None:
        self.call, self.hub = call, hub
        self.session = terms.default(model)
        self.talk = Conversation()
        self.answer: Answer | None = None
        self.told: Answer | None = None
        """The last response, for what comes of it after its end."""
        self.user: Item | None = None
        """The user's item under way: spoken, not committed."""
        self.typed: list[str] = []
        self.buffer = 0
        """Input position, at the engine's rate, from which on nothing is committed."""
        self.asked: dict[str, Any] | None = None
        """A response.create that has not begun to be answered."""
        self.why = "turn_detected"
        self.spoken = False
        """Whether sound was sent, after which format and voice stay."""
        self.transcripts: list[Item] = []
        """Items whose transcription was asked for and has not come."""
        self.set_formats()
        self._playing: list[tuple[int, float]] = []  # (output position, when it is played), in order
        self._plays_until = 0.0

    # The connection

    def start(self, now: float) -> None:
        """The session exists before the client says anything."""
        try:
            self.reopen(None, now)
        except Full as full:
            self.fail("session_limit_reached", str(full), 1013)
            return
        self.send("session.created", session=self.session)
        self.send("conversation.created", conversation={"id": self.talk.id, "object": "realtime.conversation"})

    def reopen(self, voice: str | None, now: float) -> None:
        """A session with this voice.

        Raises:
            BadInput: the model does not know it.
        """
        if self.call.session is not None:
            self.call.session.close(now)
            self.call.session = None
        self.call.open(Options(voice=voice, lead=LEAD), 0, now)
        self.call.policy(terms.policy(self.session["audio"]["input"]["turn_detection"]), now)

    def take(self, message: bytes | str, arrived: float, now: float) -> None:
        """An event of the client's. Whatever is wrong with it is told, and changes nothing."""
        self.play(now)
        number: str | None = None
        try:
            if not isinstance(message, str):
                raise Wrong("invalid_message", "events are JSON in text messages; this message is binary")
            try:
                event = json.loads(message)
            except (ValueError, RecursionError):
                raise Wrong("invalid_json", "the message is not JSON") from None
            if isinstance(event, dict) and isinstance(event.get("event_id"), str):
                number = event["event_id"]
            if not isinstance(event, dict) or not isinstance(event.get("type"), str):
                raise Wrong("missing_type", "an event is an object with a string `type`", "type")
            asks.answer(self, event, now)
        except Wrong as wrong:
            self.error(wrong.code, str(wrong), wrong.param, number)
        except BadInput as bad:
            self.error("invalid_value", str(bad), None, number)

    def tell(self, event: Event, now: float) -> None:
        """An event of the session."""
        if isinstance(event, Audio):
            self._audio(event, now)
        elif isinstance(event, Said):
            self._said(event.text)
        elif isinstance(event, Began):
            self._began(event)
        elif isinstance(event, Ended):
            self._ended(event)
        elif isinstance(event, Speech):
            self._speech(event)
        elif isinstance(event, Heard):
            self._transcribed(event.text)
        elif isinstance(event, Flush):
            self._track.drop()
            self.play(now)
            self._playing.clear()
            self._plays_until = now
        elif isinstance(event, Trouble):
            self.error(event.kind, event.sentence, None, None)

    def tick(self, now: float) -> None:
        """Time passes for what is being played."""
        self.play(now)

    def fail(self, code: str, sentence: str, close: int | None = None) -> None:
        """An error of the server's."""
        self.error(code, sentence, None, None, kind="server_error")
        if close is not None:
            self.call.say(Out(b"", close=(close, code)))

    def error(self, code: str, sentence: str, param: str | None, number: str | None, kind: str = "") -> None:
        """An `error` event; the session goes on."""
        self.hub.metrics.errors[code] += 1
        body = {"type": kind or "invalid_request_error", "code": code, "message": sentence}
        self.send("error", error={**body, "param": param, "event_id": number})

    def send(self, kind: str, *, made: float = 0.0, span: tuple[int, int] = (0, 0), **fields: Any) -> None:
        """One event; `span`: the output positions of the sound in it."""
        text = json.dumps({"type": kind, "event_id": name("event"), **fields}, separators=(",", ":"))
        self.call.say(Out(text, start=span[0], stop=span[1], made=made))

    def set_formats(self) -> None:
        """As the session says."""
        audio = self.session["audio"]
        kind, self.rate = terms.form(audio["input"]["format"], "session.audio.input.format")
        self.coding = format_of(kind, self.rate)
        kind, rate = terms.form(audio["output"]["format"], "session.audio.output.format")
        self._coding = format_of(kind, rate)
        self._track = Track(self.hub.worker.engine.rate, rate)

    @property
    def owns_turns(self) -> bool:
        """Whether it is the model that decides when to speak, so that replies cannot be asked for."""
        return getattr(type(self.call.session), "respond", None) is Seat.respond

    @property
    def reads(self) -> bool:
        """Whether the model reads what is typed."""
        return bool(getattr(getattr(self.hub.worker.engine, "responder", None), "reads", False))

    def ms(self, position: int) -> int:
        """Input or output samples at the engine's rate -> milliseconds."""
        return position * 1000 // self.hub.worker.engine.rate

    def choose_voice(self, voice: object, now: float) -> None:
        """A voice of the model's, before there was sound.

        Raises:
            Wrong: unknown.
        """
        if voice in PRESETS:
            return
        try:
            self.reopen(safe_name(voice, "voice"), now)
        except BadInput as unknown:
            self.reopen(None, now)
            raise Wrong("voice_unknown", str(unknown), "session.audio.output.voice") from None

    # What plays

    def play(self, now: float) -> None:
        """Confirm what must have been played by now."""
        upto = -1
        while self._playing and self._playing[0][1] <= now - LAG:
            upto = self._playing.pop(0)[0]
        if upto >= 0 and self.call.session is not None:
            self.call.played(upto, now)

    def truncate(self, item: Item, samples: int, now: float) -> None:
        """The client played so many samples of this item, and no more."""
        self._playing = [(at, when) for at, when in self._playing if at > item.start + item.samples]
        if self.answer is not None and self.answer.item is item:
            self.why = "client_cancelled"
            self.call.cancel(now)
        end = item.start + item.samples
        self.call.played(item.start + samples, now)
        self.call.give_up(item.start + samples, end, "truncated", now)
        item.cut(samples)

    # The user

    def commit(self, item: Item) -> None:
        """The user's item is complete."""
        item.status = "completed"
        before = self.talk.add(item)
        self.buffer = self.call.received
        self.send("input_audio_buffer.committed", item_id=item.id, previous_item_id=before)
        self.send("conversation.item.added", item=item.body(), previous_item_id=before)
        self.send("conversation.item.done", item=item.body(), previous_item_id=before)
        if self.session["audio"]["input"]["transcription"]:
            self.transcripts.append(item)
        self.user = None

    def _speech(self, event: Speech) -> None:
        if self.session["audio"]["input"]["turn_detection"] is None:
            return
        if event.on:
            self.user = self.user or Item("user")
            self.send("input_audio_buffer.speech_started", audio_start_ms=self.ms(event.at), item_id=self.user.id)
        elif self.user is not None:
            self.send("input_audio_buffer.speech_stopped", audio_end_ms=self.ms(event.at), item_id=self.user.id)
            self.commit(self.user)

    def _transcribed(self, text: str) -> None:
        item = next((each for each in reversed(self.talk.items) if each.role == "user"), None)
        if item is None or item.kind != "input_audio":
            return
        item.text = f"{item.text} {text}".strip()
        if item in self.transcripts:
            self.transcripts.remove(item)
            kind = "conversation.item.input_audio_transcription"
            usage = {"type": "duration", "seconds": 0.0}
            self.send(f"{kind}.delta", item_id=item.id, content_index=0, delta=text)
            self.send(f"{kind}.completed", item_id=item.id, content_index=0, transcript=item.text, usage=usage)

    # The model

    def _began(self, event: Began) -> None:
        idle = (self.session["audio"]["input"]["turn_detection"] or {}).get("idle_timeout_ms")
        if (
            idle
            and self.asked is None
            and event.resumes is None
            and (not self.talk.items or self.talk.items[-1].role != "user")
        ):
            item, end = Item("user"), self.ms(event.heard)
            self.send(
                "input_audio_buffer.timeout_triggered",
                audio_start_ms=max(0, end - idle),
                audio_end_ms=end,
                item_id=item.id,
            )
            self.commit(item)
        asked, self.asked = self.asked or {}, None
        modality = asked.get("modality", self.session["output_modalities"][0])
        kind = "output_audio" if modality == "audio" else "output_text"
        item = Item("assistant", kind=kind, epoch=event.epoch)
        form = self.session["audio"]["output"]["format"]
        self.answer = self.told = Answer(item, modality, form, epoch=event.epoch, metadata=asked.get("metadata"))
        self.why = "turn_detected"
        self.send("response.created", response=self.answer.body(self.talk.id, "in_progress"))
        before = self.talk.add(item)
        empty = {**item.body(), "content": []}
        self.send("response.output_item.added", response_id=self.answer.id, output_index=0, item=empty)
        self.send("conversation.item.added", item=empty, previous_item_id=before)

    def _where(self, answer: Answer) -> dict[str, Any]:
        """The fields that all events of a response's content have; announces the content first."""
        where: dict[str, Any] = {
            "response_id": answer.id,
            "item_id": answer.item.id,
            "output_index": 0,
            "content_index": 0,
        }
        if not answer.said:
            answer.said = True
            empty = {"type": "audio", "transcript": ""} if answer.modality == "audio" else {"type": "text", "text": ""}
            self.send("response.content_part.added", part=empty, **where)
        return where

    def _said(self, text: str) -> None:
        if (answer := self.answer) is None:
            return
        answer.item.pieces.append((answer.item.samples, text))
        answer.item.text += text
        kind = "response.output_audio_transcript.delta" if answer.modality == "audio" else "response.output_text.delta"
        self.send(kind, **self._where(answer), delta=text)

    def _audio(self, event: Audio, now: float) -> None:
        if (answer := self.answer) is None or answer.epoch != event.epoch:
            return
        if answer.modality == "text":
            self.call.give_up(event.start, event.stop, "text only", now)
            return
        item = answer.item
        if item.start < 0:
            item.start = event.start
        item.samples = event.stop - item.start
        self.spoken = True
        rate = self.hub.worker.engine.rate
        self._plays_until = max(self._plays_until, now) + len(event.wave) / rate
        self._playing.append((event.stop, self._plays_until))
        for _, samples in self._track.push(event.start, event.wave):
            self._delta(answer, self._coding.encode(samples), now, (event.start, event.stop))

    def _delta(self, answer: Answer, sound: bytes, now: float, span: tuple[int, int] = (0, 0)) -> None:
        delta = asks.base64.b64encode(sound).decode()
        self.send("response.output_audio.delta", **self._where(answer), delta=delta, made=now, span=span)

    def _ended(self, event: Ended) -> None:
        answer = self.answer
        if answer is None or answer.epoch != event.epoch:
            return
        status, item = STATUS[event.why], answer.item
        if event.why in ("done", "limit"):
            for _, samples in self._track.flush():
                self._delta(answer, self._coding.encode(samples), 0.0)
        item.status = "completed" if status == "completed" else "incomplete"
        if answer.said:
            self._content_done(answer)
        self.send("response.output_item.done", response_id=answer.id, output_index=0, item=item.body())
        self.send(
            "conversation.item.done",
            item=item.body(),
            previous_item_id=self.talk.before(item) if item in self.talk.items else None,
        )
        reason = {"cancelled": self.why, "incomplete": "max_output_tokens"}.get(status)
        done = answer.body(self.talk.id, status, reason, "reply_failed" if status == "failed" else None)
        self.answer, self.why = None, "turn_detected"
        self.send("response.done", response=done)
        for each in self.transcripts:
            error = {"type": "server_error", "code": "transcription_unsupported", "message": "no text came of it"}
            kind = "conversation.item.input_audio_transcription.failed"
            self.send(kind, item_id=each.id, content_index=0, error=error)
        self.transcripts.clear()

    def _content_done(self, answer: Answer) -> None:
        where, item = self._where(answer), answer.item
        if answer.modality == "audio":
            self.send("response.output_audio.done", **where)
            self.send("response.output_audio_transcript.done", **where, transcript=item.text)
            part = {"type": "audio", "transcript": item.text}
        else:
            self.send("response.output_text.done", **where, text=item.text)
            part = {"type": "text", "text": item.text}
        self.send("response.content_part.done", **where, part=part)


def dialect(call: Call, hub: Hub, websocket: Any) -> Realtime:
    """For `/v1/realtime`."""
    return Realtime(call, hub, (websocket.query_params.get("model") or hub.title)[:100])
