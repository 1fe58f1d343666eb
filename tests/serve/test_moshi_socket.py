"""Moshi's binary protocol: handshake, Opus both ways, unknown types ignored."""

import asyncio

import numpy as np
import pytest
import websockets

from oration.serve.moshi import CONTROL, ERROR, HANDSHAKE, SOUND
from oration.serve.sound import Opus


def test_sound_goes_there_and_back(echo):
    async def run():
        async with websockets.connect(f"{echo.ws}/api/chat") as ws:
            assert (await asyncio.wait_for(ws.recv(), 20))[0] == HANDSHAKE
            opus, heard = Opus(24_000), []
            tone = (0.3 * np.sin(2 * np.pi * 400 * np.arange(48_000) / 24_000)).astype(np.float32)
            for start in range(0, len(tone), 480):
                await ws.send(bytes((SOUND,)) + opus.encode(tone[start : start + 480]))
            for odd in (b"", b"\x63abc", bytes((CONTROL, 0)), b"\x08image", "text"):
                await ws.send(odd)
            while sum(map(len, heard)) < 40_000:
                said = await asyncio.wait_for(ws.recv(), 20)
                assert said[0] == SOUND
                heard.append(opus.decode(said[1:]))
            spectrum = np.abs(np.fft.rfft(np.concatenate(heard)[12_000:36_000]))
            assert np.argmax(spectrum) == pytest.approx(400, abs=2)

    asyncio.run(run())


def test_broken_pages_are_told_and_the_session_goes_on(echo):
    async def run():
        async with websockets.connect(f"{echo.ws}/api/chat") as ws:
            await ws.recv()
            await ws.send(bytes((SOUND,)) + b"no ogg at all" * 20)
            assert (await asyncio.wait_for(ws.recv(), 20))[0] == ERROR
            opus = Opus(24_000)
            for _ in range(10):
                await ws.send(bytes((SOUND,)) + opus.encode(np.zeros(1920, np.float32)))
            assert (await asyncio.wait_for(ws.recv(), 20))[0] == SOUND

    asyncio.run(run())


def test_a_voice_is_a_plain_name(echo):
    async def run():
        async with websockets.connect(f"{echo.ws}/api/chat?voice=../../secret") as ws:
            assert b"bad_voice" in await asyncio.wait_for(ws.recv(), 20)

    asyncio.run(run())
