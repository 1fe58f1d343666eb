"""A logged session runs again bit for bit; what is no log is told."""

import asyncio
import contextlib

import numpy as np
import pytest
import websockets

from oration import cli
from oration.audio.vad import EnergyVad
from oration.core import BadInput
from oration.live.echo import Echo
from oration.live.turns import Turns
from oration.model import SpeechLM
from oration.serve import wire
from oration.serve.log import replay
from oration.serve.settings import Settings


async def session(server, script, record=True):
    """Run a client to its end."""
    async with websockets.connect(f"{server.ws}/v1/live") as ws:
        await ws.send(wire.document(wire.HELLO, {"version": 1, "rate": 16000, "seed": 5, "record": record}))
        welcome = wire.parse(await ws.recv()).body
        await script(ws)
        await ws.send(wire.document(wire.CONTROL, {"type": "close"}))
        async for _ in ws:
            pass
        return welcome


async def speak(ws):
    rng = np.random.default_rng(3)
    loud = np.repeat([0.0, 1.0, 0.0, 0.0, 1.0, 0.0], 8000)
    t = np.arange(len(loud))
    sound = (loud * (9000 * np.sin(t * 0.08) + rng.normal(0, 300, len(t)))).astype("<i2")
    for start in range(0, len(sound), 1600):
        await ws.send(wire.audio(start, sound[start : start + 1600].tobytes()))
        with contextlib.suppress(TimeoutError):
            said = wire.parse(await asyncio.wait_for(ws.recv(), 0.02))
            if said.kind == wire.SOUND:
                await ws.send(wire.played(said.at, 0))
        if start == 16000:
            await ws.send(wire.document(wire.CONTROL, {"type": "policy", "policy": {"endpoint": {"silence": 0.4}}}))
    await ws.send(wire.document(wire.CONTROL, {"type": "cancel"}))
    await ws.send(wire.document(wire.CONTROL, {"type": "respond"}))
    await asyncio.sleep(0.5)


def test_a_session_with_a_model_replays_bit_for_bit(serve, tmp_path, tiny_model):
    model = SpeechLM.load(tiny_model)

    def make():
        return Turns(model, vad=EnergyVad(), slots=2)

    server = serve(Settings(port=0, recordings=tmp_path), make)
    welcome = asyncio.run(session(server, speak))
    assert welcome["recorded"]
    folder = tmp_path / welcome["session"]
    once = replay(folder, make())
    assert once.same, once
    assert "bit for bit" in str(once)
    assert once.events > 4
    assert np.array_equal(np.fromfile(folder / "output.f32", "<f4"), once.output)
    with pytest.raises(BadInput, match="an engine turns"):
        replay(folder, Echo())


def test_the_command_line_replays_a_log(serve, tmp_path, capsys):
    server = serve(Settings(port=0, recordings=tmp_path))

    async def some(ws):
        await ws.send(wire.audio(0, np.arange(9000).astype("<i2").tobytes()))
        await asyncio.sleep(0.3)

    folder = tmp_path / asyncio.run(session(server, some))["session"]
    cli.main(["serve", "--echo", "--replay", str(folder)])
    assert "bit for bit" in capsys.readouterr().out
    sound = folder / "input.f32"
    sound.write_bytes(bytes(len(sound.read_bytes())))
    cli.main(["serve", "--echo", "--replay", str(folder)])
    assert "NOT" in capsys.readouterr().out


def test_nothing_is_recorded_unless_both_want_it(serve, tmp_path):
    allowed, forbidden = serve(Settings(port=0, recordings=tmp_path)), serve()

    async def nothing(ws):
        await ws.send(wire.audio(0, bytes(6400)))

    assert not asyncio.run(session(allowed, nothing, record=False))["recorded"]
    assert not asyncio.run(session(forbidden, nothing))["recorded"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"version": 1}\n{"op": "push"}'])
def test_what_is_no_log_is_told(tmp_path, text):
    (tmp_path / "log.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "input.f32").touch()
    with pytest.raises(BadInput):
        replay(tmp_path, Echo())
