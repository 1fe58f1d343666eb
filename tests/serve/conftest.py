"""A server on a port of its own, in a thread; and a client of our protocol that checks what it is sent."""

import asyncio
import socket
import threading
import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("websockets")

from oration.live.echo import Echo
from oration.serve.app import create, server
from oration.serve.settings import Settings


class Running:
    """A server that serves."""

    def __init__(self, settings, make=Echo, title="echo"):
        self.app = create(settings, make, title)
        self.hub = self.app.state.hub
        self.server = server(self.app, settings)
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        until = time.monotonic() + 30
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.01)
        assert self.server.started

    def _run(self):
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self.server.serve(sockets=[self.socket]))

    def stop(self):
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()

    @property
    def ws(self):
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http(self):
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def serve():
    """serve(settings, make): a server, stopped after the test."""
    made = []

    def start(settings=None, make=Echo):
        made.append(Running(settings or Settings(port=0), make))
        return made[-1]

    yield start
    for each in made:
        each.stop()


@pytest.fixture(scope="module")
def echo():
    """A server with defaults, for all tests of a file."""
    running = Running(Settings(port=0))
    yield running
    running.stop()
