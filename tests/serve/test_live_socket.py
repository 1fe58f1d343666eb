"""`/v1/live` over a real socket: bit for bit, resumed where it was cut, refusing what is wrong by name."""

import asyncio
import contextlib
import json
import random
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oration.live.echo import Echo
from oration.serve import wire
from oration.serve.settings import Limits, Settings

FRAME = 1920


def noise(frames, seed=0):
    return np.random.default_rng(seed).integers(-20000, 20000, frames * FRAME).astype("<i2")


def dial(server, **options):
    return websockets.connect(f"{server.ws}/v1/live", subprotocols=["oration.1"], max_size=None, **options)


async def hello(ws, **fields):
    await ws.send(wire.document(wire.HELLO, {"version": 1, "rate": 24000, **fields}))
    said = wire.parse(await asyncio.wait_for(ws.recv(), 20))
    return said.body if said.kind == wire.WELCOME else said


async def until(ws, kind, code=None):
    """The next message of a kind."""
    while True:
        said = wire.parse(await asyncio.wait_for(ws.recv(), 20))
        if said.kind == kind and (code is None or said.body["code"] == code):
            return said


class Ear:
    """What a client holds: samples by position, each once."""

    def __init__(self):
        self.got, self.events, self.sound = 0, 0, []

    def add(self, said):
        if said.kind == wire.SOUND:
            assert said.at == self.got, "lost or twice"
            self.sound.append(np.frombuffer(said.sound, "<i2"))
            self.got += len(said.sound) // 2
        elif said.kind in (wire.EVENT, wire.FLUSH):
            if said.kind == wire.EVENT:
                assert said.body["n"] == self.events
            self.events += 1

    @property
    def wave(self):
        return np.concatenate([np.zeros(0, "<i2"), *self.sound])


async def talk(server, sound, **fields):
    """Send all, hear all."""
    ear = Ear()
    async with dial(server) as ws:
        welcome = await hello(ws, **fields)
        for start in range(0, len(sound), FRAME):
            await ws.send(wire.audio(start, sound[start : start + FRAME].tobytes()))
        while ear.got < len(sound):
            ear.add(wire.parse(await asyncio.wait_for(ws.recv(), 20)))
        await ws.send(wire.played(ear.got, 0))
        await ws.send(wire.document(wire.CONTROL, {"type": "close"}))
        async for rest in ws:
            ear.add(wire.parse(rest))
    return welcome, ear.wave


def test_what_is_said_comes_back_bit_for_bit(echo):
    sound = noise(20)
    welcome, heard = asyncio.run(talk(echo, sound))
    assert np.array_equal(heard, sound)
    assert (welcome["rate"], welcome["frame"], welcome["engine"], welcome["resumed"]) == (24000, 1920, "echo", False)


def test_other_rates_and_opus(echo):
    async def at(rate, form):
        tone = (8000 * np.sin(2 * np.pi * 300 * np.arange(2 * rate) / rate)).astype("<i2")
        heard = []
        async with dial(echo) as ws:
            await hello(ws, rate=rate, format=form)
            from oration.serve.sound import format_of

            coder = format_of(form, rate)
            for start in range(0, len(tone), rate // 25):
                piece = coder.encode(tone[start : start + rate // 25].astype(np.float32) / 32768)
                await ws.send(wire.audio(start, piece))
            while sum(map(len, heard)) < 1.6 * rate:
                said = wire.parse(await asyncio.wait_for(ws.recv(), 20))
                if said.kind == wire.SOUND:
                    heard.append(coder.decode(said.sound))
        heard = np.concatenate(heard)
        spectrum = np.abs(np.fft.rfft(heard[rate // 2 : rate // 2 + rate]))
        assert np.argmax(spectrum) == pytest.approx(300, abs=2)

    for rate, form in ((48000, "pcm16"), (16000, "pcm16"), (24000, "opus")):
        asyncio.run(at(rate, form))


async def cut(server, sound, place, seed):
    """A connection that breaks after `place` sent messages or so, and goes on elsewhere."""
    ear, rng = Ear(), random.Random(seed)
    ws = await dial(server)
    welcome = await hello(ws)
    sent = 0
    for i in range(place):
        start = i * FRAME
        await ws.send(wire.audio(start, sound[start : start + FRAME].tobytes()))
        while rng.random() < 0.5:
            try:
                ear.add(wire.parse(await asyncio.wait_for(ws.recv(), 0.005)))
            except TimeoutError:
                break
    ws.transport.abort()
    resume = {"session": welcome["session"], "key": welcome["key"], "received": ear.got, "events": ear.events}
    async with dial(server) as ws:
        again = await hello(ws, resume=resume)
        assert again["resumed"], again
        sent = again["input"]
        assert sent <= place * FRAME
        for start in range(sent, len(sound), FRAME):
            await ws.send(wire.audio(start, sound[start : start + FRAME].tobytes()))
        while ear.got < len(sound):
            ear.add(wire.parse(await asyncio.wait_for(ws.recv(), 20)))
        await ws.send(wire.document(wire.CONTROL, {"type": "close"}))
        async for rest in ws:
            ear.add(wire.parse(rest))
    assert np.array_equal(ear.wave, sound)


def test_a_cut_connection_is_taken_up_without_loss(serve):
    server = serve()
    for place in (0, 1, 3, 7, 12):
        asyncio.run(cut(server, noise(12, place), place, place))
    assert server.hub.metrics.resumed == 5


async def bytewise(server, sound, at, frame=FRAME):
    """The client's bytes stop after so many, in the middle of whatever it was; then it resumes."""
    ear = Ear()
    ws = await dial(server)
    welcome = await hello(ws)
    stream = b""
    for start in range(0, len(sound), frame):
        body = wire.audio(start, sound[start : start + frame].tobytes())
        stream += b"\x82\xfe" + len(body).to_bytes(2, "big") + bytes(4) + body
    ws.transport.write(stream[:at])
    await asyncio.sleep(0.02)
    ws.transport.close() if at % 2 else ws.transport.abort()
    resume = {"session": welcome["session"], "key": welcome["key"], "received": 0, "events": 0}
    async with dial(server) as ws:
        again = await hello(ws, resume=resume)
        assert again["resumed"], again
        assert again["input"] % frame == 0
        for start in range(again["input"], len(sound), frame):
            await ws.send(wire.audio(start, sound[start : start + frame].tobytes()))
        while ear.got < len(sound):
            ear.add(wire.parse(await asyncio.wait_for(ws.recv(), 20)))
        await ws.send(wire.document(wire.CONTROL, {"type": "close"}))
        async for _ in ws:
            pass
    assert np.array_equal(ear.wave, sound)
    return len(stream)


def test_cut_at_some_bytes(serve):
    server, sound = serve(), noise(2)
    size = 2 * (8 + 9 + 2 * FRAME)
    for at in sorted({0, 1, 2, 7, 8, 9, 17, 18, size // 2 - 1, size // 2, size // 2 + 5, size - 1, size}):
        assert asyncio.run(bytewise(server, sound, at)) == size


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cut_at_every_byte(serve):
    frame = 160  # messages are short, so that there are a few hundred bytes and not thousands
    server = serve(Settings(port=0, limits=Limits(burst=1e6)), lambda: Echo(frame=frame))
    sound = noise(1)[: 2 * frame]

    async def several(places):
        await asyncio.gather(*(bytewise(server, sound, at, frame) for at in places))

    size = 2 * (8 + 9 + 2 * frame)
    for first in range(0, size + 1, 8):
        asyncio.run(several(range(first, min(first + 8, size + 1))))


def test_the_key_opens_its_session_only(serve):
    async def run(server):
        async with dial(server) as ws:
            mine = await hello(ws)
            for wrong in ({"key": "x"}, {"session": "s_0"}, {"received": -1}, {"received": "1"}):
                async with dial(server) as other:
                    said = await hello(other, resume={"received": 0, **mine, **wrong})
                    assert said.kind == wire.ERROR
                    assert said.body["fatal"]
            async with dial(server) as other:
                taken = await hello(other, resume={"session": mine["session"], "key": mine["key"], "received": 0})
                assert taken["resumed"]
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await until(ws, None)
                assert closed.value.rcvd.code == 4009

    asyncio.run(run(serve()))


BAD = {
    "before hello": (wire.audio(0, bytes(20)), "bad_message"),
    "text": ("hello", "bad_message"),
    "unknown kind": (b"\x7f123", "bad_message"),
    "empty": (b"", "bad_message"),
    "no object": (b"\x01[]", "bad_message"),
    "version": (wire.document(wire.HELLO, {"version": 9}), "bad_hello"),
    "rate": (wire.document(wire.HELLO, {"version": 1, "rate": 1}), "bad_hello"),
    "format": (wire.document(wire.HELLO, {"version": 1, "format": "mp3"}), "bad_hello"),
    "voice": (wire.document(wire.HELLO, {"version": 1, "voice": "../../etc/passwd"}), "bad_hello"),
    "seed": (wire.document(wire.HELLO, {"version": 1, "seed": "x"}), "bad_hello"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told_by_a_code(echo, what):
    message, code = BAD[what]

    async def run():
        async with dial(echo) as ws:
            await ws.send(message)
            said = await until(ws, wire.ERROR)
            assert said.body["code"] == code
            assert said.body["message"]
            if not said.body["fatal"]:
                assert (await hello(ws))["engine"] == "echo"

    asyncio.run(run())


def test_bad_messages_within_a_session_change_nothing(echo):
    sound = noise(4)

    async def run():
        ear = Ear()
        async with dial(echo) as ws:
            await hello(ws)
            for start in range(0, len(sound), FRAME):
                await ws.send(wire.audio(start, sound[start : start + FRAME].tobytes()))
                await ws.send(wire.audio(start + FRAME, b"odd"))
                await ws.send(wire.document(wire.CONTROL, {"type": "nothing"}))
                await ws.send(wire.document(wire.CONTROL, {"type": "policy", "policy": {"x": 1}}))
                await ws.send(wire.audio(2**63, bytes(4)))
                await ws.send(wire.played(2**60, 0))
            while ear.got < len(sound):
                ear.add(wire.parse(await asyncio.wait_for(ws.recv(), 20)))
        assert np.array_equal(ear.wave, sound)

    asyncio.run(run())


def test_ten_megabytes_close_that_connection_only(echo):
    async def run():
        async with dial(echo) as other, dial(echo) as ws:
            await hello(other)
            await hello(ws)
            with contextlib.suppress(websockets.ConnectionClosed):
                await ws.send(bytes(10_000_000))
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await until(ws, None)
            assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
            await other.send(wire.position(wire.PING, 77))
            assert (await until(other, wire.PONG)).at == 77

    asyncio.run(run())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=60) | st.text(max_size=20), max_size=12), st.booleans())
def test_fuzzed_frames_break_nothing(echo, messages, first):
    sound = noise(2)

    async def run():
        async with dial(echo) as ws, dial(echo) as well:
            if first:
                await hello(ws)
            try:
                for message in messages:
                    await ws.send(message)
            except websockets.ConnectionClosed:
                pass
            await hello(well)
            await well.send(wire.audio(0, sound.tobytes()))
            ear = Ear()
            while ear.got < len(sound):
                ear.add(wire.parse(await asyncio.wait_for(well.recv(), 20)))
            assert np.array_equal(ear.wave, sound)

    asyncio.run(run())
    assert echo.hub.worker.broken is None


def status(server, **headers):
    async def run():
        try:
            async with websockets.connect(f"{server.ws}/v1/live", additional_headers=headers):
                return 101
        except websockets.InvalidStatus as refused:
            return refused.response.status_code

    return asyncio.run(run())


def test_foreign_origins_and_hosts_are_refused(serve):
    server = serve(Settings(port=0, origins=("https://mine.example",)))
    assert status(server) == 101
    assert status(server, Origin=f"http://127.0.0.1:{server.port}") == 101
    assert status(server, Origin="https://mine.example") == 101
    assert status(server, Origin="https://evil.example") == 403
    assert status(server, Origin="null") == 403
    assert server.hub.metrics.refused["foreign_origin"] == 2


def test_tokens(serve, tmp_path, caplog, capfd):
    file = tmp_path / "tokens"
    file.write_text("# who\nme 0123456789abcdef0123\n", encoding="utf-8")
    server = serve(Settings(port=0, tokens=file))

    async def said(token=None, **headers):
        async with dial(server, additional_headers=headers) as ws:
            return await hello(ws, **({"token": token} if token else {}))

    assert asyncio.run(said()).body["code"] == "no_token"
    assert asyncio.run(said("wrong")).body["code"] == "bad_token"
    assert asyncio.run(said("0123456789abcdef0123"))["engine"] == "echo"
    assert asyncio.run(said(Authorization="Bearer 0123456789abcdef0123"))["engine"] == "echo"
    assert status(server, Authorization="Bearer wrong") == 401
    request = urllib.request.Request(f"{server.http}/v1/tokens", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 401
    request.add_header("Authorization", "Bearer 0123456789abcdef0123")
    once = json.loads(urllib.request.urlopen(request).read())["token"]
    assert asyncio.run(said(once))["engine"] == "echo"
    assert asyncio.run(said(once)).body["code"] == "bad_token"
    out = capfd.readouterr()
    for secret in ("0123456789abcdef0123", once):
        assert secret not in caplog.text + out.out + out.err


def test_too_many_sessions(serve):
    server = serve(Settings(port=0, limits=Limits(sessions=2, per_address=2)))

    async def run():
        async with dial(server) as a, dial(server) as b:
            await hello(a)
            await hello(b)
            with pytest.raises(websockets.InvalidStatus) as refused:
                await dial(server)
            assert refused.value.response.status_code == 503
            assert json.loads(refused.value.response.body)["error"]["code"] == "full"
        await asyncio.sleep(0.3)
        async with dial(server) as c:
            assert (await hello(c))["engine"] == "echo"

    asyncio.run(run())


def test_a_full_engine_is_told(serve):
    server = serve(make=lambda: Echo(slots=1))

    async def run():
        async with dial(server) as a, dial(server) as b:
            await hello(a)
            assert (await hello(b)).body["code"] == "full"

    asyncio.run(run())


def test_who_is_lost_makes_room(serve):
    server = serve(make=lambda: Echo(slots=1))

    async def run():
        lost = await dial(server)
        await hello(lost)
        lost.transport.abort()
        await asyncio.sleep(0.3)
        async with dial(server) as ws:
            assert (await hello(ws))["engine"] == "echo"

    asyncio.run(run())


def test_those_who_say_nothing_are_let_go(serve):
    server = serve(Settings(port=0, limits=Limits(hello=0.4, idle=0.8, absolute=1.6)))

    async def run():
        async with dial(server) as silent, dial(server) as idle, dial(server) as busy:
            await hello(idle)
            await hello(busy)

            async def code(ws, ping):
                try:
                    while True:
                        if ping:
                            await ws.send(wire.position(wire.PING, 1))
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(ws.recv(), 0.1)
                except websockets.ConnectionClosed as closed:
                    return closed.rcvd.code

            codes = await asyncio.wait_for(asyncio.gather(code(silent, False), code(idle, False), code(busy, True)), 25)
            assert codes == [4000, 4002, 4003]

    asyncio.run(run())


def test_a_slow_reader_loses_its_oldest_sound_then_its_place(serve):
    server = serve(Settings(port=0, limits=Limits(queue=0.5, slow=0.5, burst=1000.0, resume=0.3)))
    sound = noise(12)

    async def run():
        async with dial(server) as other:
            await hello(other)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            key = "dGhlIHNhbXBsZSBub25jZQ=="
            head = "GET /v1/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")

            def frame(body):
                return b"\x82\xff" + len(body).to_bytes(8, "big") + bytes(4) + body

            writer.write(frame(wire.document(wire.HELLO, {"version": 1, "rate": 24000})))
            writer.transport.pause_reading()
            piece = np.zeros(24000 * 2, "<i2").tobytes()
            for i in range(60):
                writer.write(frame(wire.audio(i * 48000, piece)))
                await asyncio.sleep(0.02)
            for _ in range(200):
                if server.hub.metrics.discarded["slow reader"]:
                    break
                await asyncio.sleep(0.1)
            assert server.hub.metrics.discarded["slow reader"] > 0
            assert server.hub.metrics.closed["4008"] == 1
            writer.close()
            await other.send(wire.audio(0, sound.tobytes()))
            ear = Ear()
            while ear.got < len(sound):
                ear.add(wire.parse(await asyncio.wait_for(other.recv(), 20)))
            assert np.array_equal(ear.wave, sound)

    asyncio.run(run())


class Fragile(Echo):
    """An engine that fails when it is told to."""

    fail = False

    def step(self, now):
        if type(self).fail:
            type(self).fail = False
            raise MemoryError("too much")
        return super().step(now)


def test_a_failing_engine_is_told_and_sessions_go_on(serve):
    server = serve(make=Fragile)
    sound = noise(6)

    async def run():
        async with dial(server) as a, dial(server) as b:
            for ws in (a, b):
                await hello(ws)
                await ws.send(wire.audio(0, sound[: 3 * FRAME].tobytes()))
                for _ in range(3):
                    await until(ws, wire.SOUND)
            Fragile.fail = True
            for ws in (a, b):
                said = await until(ws, wire.ERROR)
                assert said.body["code"] == "worker_restarted"
                assert not said.body["fatal"]
                await ws.send(wire.audio(3 * FRAME, sound[3 * FRAME :].tobytes()))
                said = await until(ws, wire.SOUND)
                assert said.at == 3 * FRAME
                assert said.epoch == 2
                assert bytes(said.sound) == sound[3 * FRAME : 4 * FRAME].tobytes()

    asyncio.run(run())
    assert server.hub.metrics.restarts == 1


class Dead(Echo):
    """An engine that fails always."""

    def step(self, now):
        raise RuntimeError("dead")


def test_an_engine_that_never_works_refuses_clearly(serve):
    server = serve(make=Dead)

    async def run():
        try:
            async with dial(server) as ws:
                while True:
                    said = wire.parse(await asyncio.wait_for(ws.recv(), 20))
                    if said.kind == wire.ERROR and said.body["fatal"]:
                        assert said.body["code"] == "worker_failed"
                        return
        except websockets.InvalidStatus:  # it failed before anybody came
            return

    asyncio.run(run())
    with pytest.raises(urllib.error.HTTPError) as health:
        urllib.request.urlopen(f"{server.http}/health")
    assert json.loads(health.value.read())["status"] == "failed"


def test_draining_lets_sessions_end(serve):
    server = serve()

    async def run():
        async with dial(server) as ws:
            await hello(ws)
            server.loop.call_soon_threadsafe(server.server.handle_exit, 15, None)
            assert (await until(ws, wire.ERROR)).body["code"] == "draining"
            with pytest.raises(urllib.error.HTTPError) as health:
                await asyncio.to_thread(urllib.request.urlopen, f"{server.http}/health")
            assert json.loads(health.value.read())["status"] == "draining"
            with pytest.raises(websockets.InvalidStatus):
                await dial(server)
            await ws.send(wire.audio(0, noise(1).tobytes()))
            await until(ws, wire.SOUND)
        server.server._captured_signals.clear()
        await asyncio.to_thread(server.thread.join, 20)
        assert not server.thread.is_alive()

    asyncio.run(run())


class Hanging(Echo):
    """An engine that takes for ever, once."""

    hang = True

    def step(self, now):
        if self._ready and type(self).hang:
            type(self).hang = False
            time.sleep(3)
        return super().step(now)


def test_an_engine_that_hangs_is_given_up(serve):
    server = serve(Settings(port=0, limits=Limits(stuck=0.5)), make=Hanging)

    async def run():
        async with dial(server) as ws:
            await hello(ws)
            await ws.send(wire.audio(0, noise(1).tobytes()))
            said = await until(ws, wire.ERROR)
            assert said.body["code"] == "worker_restarted"
            await ws.send(wire.audio(FRAME, noise(1, 1).tobytes()))
            assert bytes((await until(ws, wire.SOUND)).sound) == noise(1, 1).tobytes()

    asyncio.run(run())


def test_a_hundred_sessions_at_once(serve):
    server = serve(Settings(port=0, limits=Limits(sessions=128, per_address=128)))

    async def run():
        sounds = [noise(5, i) for i in range(100)]
        heard = await asyncio.gather(*(talk(server, sound) for sound in sounds))
        for sound, (_, got) in zip(sounds, heard, strict=True):
            assert np.array_equal(sound, got)

    asyncio.run(run())
    assert server.hub.metrics.discarded.total() == 0


def test_http(echo):
    info = json.loads(urllib.request.urlopen(f"{echo.http}/v1/info").read())
    assert (info["engine"], info["rate"], info["frame"]) == ("echo", 24000, 1920)
    page = urllib.request.urlopen(f"{echo.http}/")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    text = urllib.request.urlopen(f"{echo.http}/metrics").read().decode()
    for wanted in ("oration_stage_seconds_bucket", "oration_sessions", "oration_lateness_seconds"):
        assert wanted in text
