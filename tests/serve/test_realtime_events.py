"""OpenAI's Realtime events, driven by the official client as it is; docs/realtime.md names these tests."""

import asyncio
import base64
import contextlib
import importlib.util
import json
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import openai
import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.realtime import realtime_client_event, realtime_server_event

from oration.audio.vad import EnergyVad
from oration.live.responder import Past
from oration.live.turns import Turns
from oration.serve import asks
from oration.serve.sound import Companded
from oration.serve.terms import Wrong, default, merged

RATE = 24_000


def types_of(union):
    return [get_args(each.model_fields["type"].annotation)[0] for each in get_args(get_args(union)[0])]


CLIENT = types_of(realtime_client_event.RealtimeClientEvent)
SERVER = types_of(realtime_server_event.RealtimeServerEvent)


@dataclass(eq=False)
class Saying:
    """Half a second of tone for each word."""

    left: int
    done: bool = False
    waves: deque = field(default_factory=deque)
    words: deque = field(default_factory=deque)
    understood: deque = field(default_factory=deque)

    def step(self, items):
        self.words.append(f"word{self.left} ")
        t = np.arange(RATE // 2) / RATE
        self.waves.append((0.1 * np.sin(2 * np.pi * 500 * t)).astype(np.float32))
        self.left -= 1
        self.done = self.left <= 0


class Hearing:
    def begin(self):
        self.samples = 0

    def push(self, samples):
        self.samples += len(samples)

    def end(self):
        return self.samples


class Parrot:
    """Says `count` words to whatever it hears, and keeps what it was told was heard of them."""

    rate, delay, reads, count = RATE, 0.0, True, 4

    def __init__(self):
        self.remembered = []

    def listener(self):
        return Hearing()

    def past(self, options):
        return Past(deque())

    def reply(self, heard, text, past, options, seed):
        return Saying(self.count)

    def remember(self, past, heard, making, seconds):
        self.remembered.append(seconds)

    def understood(self, heard):
        return "what you said"


class Brief(Parrot):
    count = 1


class Long(Parrot):
    count = 40


class Hesitant(Saying):
    """As long in the making as a fifth of its sound lasts."""

    def step(self, items):
        time.sleep(0.1)
        super().step(items)


class Slow(Long):
    def reply(self, heard, text, past, options, seed):
        return Hesitant(self.count)


def engine(parrot=None):
    return Turns(vad=EnergyVad(), responder=parrot or Parrot(), slots=4)


@pytest.fixture
def parrot(serve):
    return serve(make=engine)


def pcm(seconds, loud=0.3):
    t = np.arange(round(seconds * RATE)) / RATE
    tone = loud * np.sin(2 * np.pi * 200 * t) * (1 + 0.5 * np.sin(2 * np.pi * 5 * t)) / 1.5
    return base64.b64encode((tone * 32767).astype("<i2").tobytes()).decode()


SILENCE = pcm(1.2, 0.0)


class Side:
    """A connection of the official client, with everything it was sent."""

    def __init__(self, connection):
        self.connection, self.seen = connection, []

    async def until(self, kind, count=1):
        while True:
            event = await asyncio.wait_for(self.connection.recv(), 20)
            self.seen.append(event)
            # The client builds what it does not know without checking: so it is checked here.
            type(event).model_validate(event.model_dump(exclude_unset=True))
            if event.type == kind:
                count -= 1
                if not count:
                    return event

    async def ask(self, text="hello"):
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.connection.conversation.item.create(item=item)
        await self.until("conversation.item.done")
        await self.connection.response.create()

    @property
    def kinds(self):
        return [event.type for event in self.seen]


def drive(server, script, **extra):
    """Run `script(side)` with an unmodified client."""

    async def run():
        client = openai.AsyncOpenAI(api_key="unused-but-wanted", websocket_base_url=f"{server.ws}/v1")
        async with client, client.realtime.connect(model="pocket", **extra) as connection:
            side = Side(connection)
            await side.until("conversation.created")
            await script(side)
            return side

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_every_client_event_has_an_answer():
    assert sorted(asks.ASKS) == sorted(CLIENT)


def test_session_begins_and_changes(parrot):
    async def script(side):
        assert side.kinds == ["session.created", "conversation.created"]
        turn = {"type": "server_vad", "threshold": 0.6, "silence_duration_ms": 300, "interrupt_response": False}
        audio = {"input": {"turn_detection": turn}, "output": {"voice": "marin"}}
        await side.connection.session.update(session={"type": "realtime", "instructions": "be brief", "audio": audio})
        session = (await side.until("session.updated")).session
        assert session.audio.input.turn_detection.silence_duration_ms == 300
        assert session.audio.input.turn_detection.prefix_padding_ms == 300
        (call,) = parrot.hub.worker.calls.values()
        assert call.session.policy.endpoint.silence == 0.3
        assert call.session.policy.endpoint.threshold == 0.6
        assert not call.session.policy.speaking.allowed
        eager = {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}
        await side.connection.session.update(session={"type": "realtime", "audio": eager})
        await side.until("session.updated")
        assert call.session.policy.endpoint.silence == 0.25

    drive(parrot, script)


def test_speech_is_answered(parrot):
    async def script(side):
        buffer = side.connection.input_audio_buffer
        await side.connection.session.update(
            session={"type": "realtime", "audio": {"input": {"transcription": {"model": "any"}}}}
        )
        await side.until("session.updated")
        await buffer.append(audio=SILENCE)
        await buffer.append(audio=pcm(1.0))
        await buffer.append(audio=SILENCE)
        done = await side.until("response.done")
        assert done.response.status == "completed"
        assert done.response.output[0].content[0].transcript == "word4 word3 word2 word1 "
        started = next(e for e in side.seen if e.type == "input_audio_buffer.speech_started")
        stopped = next(e for e in side.seen if e.type == "input_audio_buffer.speech_stopped")
        assert started.audio_start_ms == pytest.approx(1200, abs=150)
        assert stopped.audio_end_ms == pytest.approx(2200, abs=250)
        sound = b"".join(base64.b64decode(e.delta) for e in side.seen if e.type == "response.output_audio.delta")
        assert len(sound) == 2 * 2 * RATE
        order = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "response.created",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]
        places = [side.kinds.index(kind) for kind in order]
        assert places == sorted(places)
        assert "response.output_audio_transcript.delta" in side.kinds
        text = next(e for e in side.seen if e.type == "conversation.item.input_audio_transcription.completed")
        assert text.transcript == "what you said"
        assert "conversation.item.input_audio_transcription.delta" in side.kinds

    drive(parrot, script)


def test_without_detection_the_client_commits_and_asks(parrot):
    async def script(side):
        session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await side.connection.session.update(session=session)
        await side.until("session.updated")
        buffer = side.connection.input_audio_buffer
        await buffer.commit()
        assert (await side.until("error")).error.code == "input_audio_buffer_commit_empty"
        await buffer.append(audio=pcm(0.5))
        await buffer.clear()
        await side.until("input_audio_buffer.cleared")
        await buffer.append(audio=pcm(0.5))
        await buffer.append(audio=SILENCE)
        await buffer.commit()
        committed = await side.until("input_audio_buffer.committed")
        await side.connection.conversation.item.retrieve(item_id=committed.item_id)
        assert (await side.until("conversation.item.retrieved")).item.role == "user"
        await side.connection.response.create()
        assert (await side.until("response.done")).response.status == "completed"
        assert "input_audio_buffer.speech_started" not in side.kinds

    drive(parrot, script)


def test_text_is_answered_in_text_or_sound(parrot):
    async def script(side):
        await side.ask()
        assert (await side.until("response.done")).response.status == "completed"
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "again"}]}
        await side.connection.conversation.item.create(item=item, previous_item_id="root")
        assert (await side.until("conversation.item.created")).previous_item_id is None
        await side.connection.response.create(response={"output_modalities": ["text"], "metadata": {"a": "b"}})
        done = await side.until("response.done")
        assert done.response.metadata == {"a": "b"}
        assert done.response.output[0].content[0].text == "word4 word3 word2 word1 "
        for kind in ("response.output_text.delta", "response.output_text.done"):
            assert kind in side.kinds

    drive(parrot, script)


def test_cancel(serve):
    server = serve(make=lambda: engine(Long()))

    async def script(side):
        await side.connection.response.cancel()
        assert (await side.until("error")).error.code == "response_cancel_not_active"
        await side.ask()
        await side.until("response.output_audio.delta")
        await side.connection.response.create()
        assert (await side.until("error")).error.code == "conversation_already_has_active_response"
        await side.connection.response.cancel()
        done = await side.until("response.done")
        assert done.response.status == "cancelled"
        assert done.response.status_details.reason == "client_cancelled"
        before = len(side.seen)
        await side.connection.response.cancel()
        await side.until("error")
        assert "response.output_audio.delta" not in side.kinds[before:]

    drive(server, script)


def test_truncate_cuts_what_was_heard(serve):
    parrot = Parrot()
    server = serve(make=lambda: engine(parrot))

    async def script(side):
        await side.ask()
        item = (await side.until("response.done")).response.output[0].id
        truncate = side.connection.conversation.item.truncate
        for bad, code in ((2002, "audio_end_beyond"), (-1, "invalid_value")):
            await truncate(item_id=item, content_index=0, audio_end_ms=bad)
            assert (await side.until("error")).error.code == code
        await truncate(item_id="nobody", content_index=0, audio_end_ms=0)
        assert (await side.until("error")).error.code == "item_not_found"
        await truncate(item_id=item, content_index=0, audio_end_ms=700)
        assert (await side.until("conversation.item.truncated")).audio_end_ms == 700
        await side.connection.conversation.item.retrieve(item_id=item)
        kept = (await side.until("conversation.item.retrieved")).item
        assert kept.content[0].transcript == "word4 word3 "
        await side.ask("more")
        await side.until("response.done")
        assert parrot.remembered == [pytest.approx(0.7)]
        (call,) = server.hub.worker.calls.values()
        assert call.ledger.counts.discarded["truncated"] == round(1.3 * RATE)
        call.ledger.balance()

    drive(server, script)


def test_truncate_at_nothing_before_it_was_heard(serve):
    parrot = Long()
    server = serve(make=lambda: engine(parrot))

    async def script(side):
        await side.ask()
        await side.until("response.output_audio.delta")
        item = next(e for e in side.seen if e.type == "response.output_item.added").item.id
        await side.connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=0)
        await side.until("conversation.item.truncated")
        await side.ask("more")
        await side.until("response.created")
        assert parrot.remembered == [0]

    drive(server, script)


def test_items_are_deleted(parrot):
    async def script(side):
        await side.ask()
        item = (await side.until("response.done")).response.output[0].id
        await side.connection.conversation.item.delete(item_id=item)
        assert (await side.until("conversation.item.deleted")).item_id == item
        await side.connection.conversation.item.delete(item_id=item)
        assert (await side.until("error")).error.code == "item_not_found"

    drive(parrot, script)


def test_interruption_by_voice(serve):
    server = serve(make=lambda: engine(Slow()))

    async def script(side):
        await side.ask()
        await side.until("response.output_audio.delta")
        await asyncio.sleep(1.2)
        for _ in range(6):
            await side.connection.input_audio_buffer.append(audio=pcm(0.2, 0.9))
        done = await side.until("response.done")
        assert done.response.status == "cancelled"
        assert done.response.status_details.reason == "turn_detected"
        await side.connection.input_audio_buffer.append(audio=SILENCE)
        await side.until("response.created")

    drive(server, script)


def test_idle_time_out(serve):
    server = serve(make=lambda: engine(Brief()))

    async def script(side):
        turn = {"type": "server_vad", "idle_timeout_ms": 1000}
        await side.connection.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": turn}}})
        await side.until("session.updated")
        await side.ask()
        await side.until("response.done")
        for _ in range(9):
            await side.connection.input_audio_buffer.append(audio=pcm(0.5, 0.0))
            await asyncio.sleep(0.3)
        said = await side.until("input_audio_buffer.timeout_triggered")
        assert said.audio_end_ms - said.audio_start_ms == pytest.approx(1000, abs=50)
        await side.until("response.created")

    drive(server, script)


def test_formats_of_the_telephone(parrot):
    async def script(side, kind):
        form = {"type": kind}
        await side.connection.session.update(
            session={"type": "realtime", "audio": {"input": {"format": form}, "output": {"format": form}}}
        )
        await side.until("session.updated")
        law = Companded(kind == "audio/pcma")
        t = np.arange(8000) / 8000
        tone = base64.b64encode(law.encode((0.3 * np.sin(2 * np.pi * 200 * t)).astype(np.float32))).decode()
        quiet = base64.b64encode(law.encode(np.zeros(8000, np.float32))).decode()
        for sound in (quiet, tone, quiet, quiet):
            await side.connection.input_audio_buffer.append(audio=sound)
        await side.until("response.done")
        sound = b"".join(base64.b64decode(e.delta) for e in side.seen if e.type == "response.output_audio.delta")
        assert len(sound) == 16_000
        heard = law.decode(sound)
        assert np.argmax(np.abs(np.fft.rfft(heard[4000:12_000]))) == pytest.approx(500, abs=2)

    for kind in ("audio/pcmu", "audio/pcma"):
        drive(parrot, lambda side, kind=kind: script(side, kind))


REFUSED = {
    "output_audio_buffer.clear": ({"type": "output_audio_buffer.clear"}, "webrtc_only"),
    "unknown event": ({"type": "session.destroy"}, "unknown_event"),
    "no type": ({"kind": "x"}, "missing_type"),
    "transcription": ({"type": "session.update", "session": {"type": "transcription"}}, "session_type_unsupported"),
    "no session": ({"type": "session.update"}, "invalid_type"),
    "tools": ({"type": "session.update", "session": {"tools": [{"type": "function"}]}}, "tools_unsupported"),
    "rate": (
        {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}},
        "invalid_value",
    ),
    "threshold": (
        {"type": "session.update", "session": {"audio": {"input": {"turn_detection": {"threshold": 7}}}}},
        "invalid_value",
    ),
    "voice": ({"type": "session.update", "session": {"audio": {"output": {"voice": "../x"}}}}, "voice_unknown"),
    "not base64": ({"type": "input_audio_buffer.append", "audio": "%%%"}, "invalid_audio"),
    "half a sample": ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "invalid_value"),
    "no audio": ({"type": "input_audio_buffer.append"}, "invalid_type"),
    "function output": (
        {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "a", "output": "b"}},
        "tools_unsupported",
    ),
    "system": (
        {"type": "conversation.item.create", "item": {"type": "message", "role": "system", "content": []}},
        "role_unsupported",
    ),
    "sound in an item": (
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": ""}]},
        },
        "content_unsupported",
    ),
    "out of band": ({"type": "response.create", "response": {"conversation": "none"}}, "out_of_band_unsupported"),
    "nothing said": ({"type": "response.create"}, "nothing_to_respond_to"),
    "nobody's item": ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_not_found"),
}


def test_what_is_refused_is_refused_by_name(parrot):
    async def run():
        async with websockets.connect(f"{parrot.ws}/v1/realtime?model=x") as ws:
            for what, (event, code) in REFUSED.items():
                await ws.send(json.dumps({**event, "event_id": what}))
                while (said := json.loads(await asyncio.wait_for(ws.recv(), 20)))["type"] != "error":
                    assert said["type"] in ("session.created", "conversation.created"), what
                assert said["error"]["code"] == code, what
                assert said["error"]["event_id"] == what
                assert said["error"]["message"]
            for broken in (b"\0", "{", "[]", "[" * 10_000):
                await ws.send(broken)
                assert json.loads(await asyncio.wait_for(ws.recv(), 20))["type"] == "error"
            await ws.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
            assert json.loads(await asyncio.wait_for(ws.recv(), 20))["type"] == "session.updated"

    asyncio.run(run())


def test_a_model_that_owns_its_turns_is_not_asked(echo):
    async def script(side):
        await side.connection.response.create()
        assert (await side.until("error")).error.code == "model_owns_turns"
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
        await side.connection.conversation.item.create(item=item)
        assert (await side.until("error")).error.code == "text_unsupported"
        await side.connection.input_audio_buffer.append(audio=pcm(0.5))
        await side.until("response.output_audio.delta", 3)

    drive(echo, script)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["item_id", "item", "audio", "session", "response", "content_index", "audio_end_ms", "previous_item_id"]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(CLIENT), st.dictionaries(st.sampled_from(FIELDS), JSON)), max_size=10))
def test_fuzzed_events_leave_the_session_alive(echo, events):
    async def run():
        async with websockets.connect(f"{echo.ws}/v1/realtime") as ws:
            for kind, fields in events:
                await ws.send(json.dumps({"type": kind, **fields}))
            await ws.send(json.dumps({"type": "no.such.event", "event_id": "last"}))
            while True:
                said = json.loads(await asyncio.wait_for(ws.recv(), 20))
                assert said["type"] in SERVER
                if said["type"] == "error" and said["error"]["event_id"] == "last":
                    return

    asyncio.run(run())


@given(JSON)
def test_any_session_is_taken_or_refused(changes):
    with contextlib.suppress(Wrong):
        assert merged(default("x"), changes, False)["type"] == "realtime"


class Wordless(Parrot):
    def understood(self, heard):
        return None


def test_a_transcription_that_never_comes_has_failed(serve):
    server = serve(make=lambda: engine(Wordless()))

    async def script(side):
        session = {"type": "realtime", "audio": {"input": {"transcription": {"model": "any"}}}}
        await side.connection.session.update(session=session)
        for sound in (pcm(1.0), SILENCE):
            await side.connection.input_audio_buffer.append(audio=sound)
        failed = await side.until("conversation.item.input_audio_transcription.failed")
        assert failed.error.code == "transcription_unsupported"

    drive(server, script)


def test_the_page_of_events_is_up_to_date():
    path = Path(__file__).parents[2] / "docs" / "realtime.py"
    spec = importlib.util.spec_from_file_location("docs_realtime", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert path.with_suffix(".md").read_text(encoding="utf-8") == script.page(), "run: python docs/realtime.py"
    for said, test in [*script.CLIENT.values(), *script.SERVER.values()]:
        assert test in globals() if test else said.startswith("never")
