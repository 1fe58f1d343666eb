"""What the event loop holds of a server: the worker, the gate, all connections, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from oration.live.engine import Engine
from oration.serve.call import Call, Dialect, Out
from oration.serve.connection import Connection
from oration.serve.metrics import Metrics
from oration.serve.pipe import KEY, Pipe
from oration.serve.security import Gate, Refused, bearer
from oration.serve.settings import Settings
from oration.serve.worker import Batch, Worker

logger = logging.getLogger("oration.serve")
Speaks = Callable[[Call, "Hub", WebSocket], Dialect]


class Hub:
    """One server's state, from start to end."""

    def __init__(self, settings: Settings, make: Callable[[], Engine], title: str) -> None:
        """`make` builds the engine; `title`: what the model is called."""
        self.settings, self.title, self.clock = settings, title, time.monotonic
        self.metrics, self.gate = Metrics(), Gate(settings)
        self.connections: set[Connection] = set()
        self.draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._drained: list[Callable[[], None]] = []
        self._in = self._out = self._bytes_in = self._bytes_out = 0
        self.worker = Worker(make, settings, self.metrics, self._deliver, self.clock)

    # The life of the server

    def start(self) -> None:
        """On the running loop."""
        self._loop = asyncio.get_running_loop()
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """End what is left."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.finish((1012, "the server stops"))
        await asyncio.to_thread(self.worker.stop)

    def drain(self, done: Callable[[], None]) -> None:
        """No new sessions; those that run may end by themselves, within the limit. `done` is called afterwards."""
        self._drained.append(done)
        if not self.draining:
            self.draining = True
            self.worker.do(self._tell_draining)
            asyncio.get_running_loop().call_later(self.settings.limits.drain, self._end_all)
        self._look()

    def _tell_draining(self, now: float) -> None:
        for call in list(self.worker.calls.values()):
            call.dialect.fail("draining", f"the server stops in {self.settings.limits.drain:g} s or sooner; please end")

    def _end_all(self) -> None:
        for connection in list(self.connections):
            connection.finish((1012, "draining"))
        self._look()

    def _look(self) -> None:
        if self.draining and not self.connections:
            done, self._drained = self._drained, []
            for each in done:
                each()

    @property
    def status(self) -> str:
        if self.worker.broken is not None:
            return "failed"
        return "draining" if self.draining else "ok"

    # Connections

    async def serve(self, websocket: WebSocket, protocol: str, speaks: Speaks, largest: int, sub: str | None) -> None:
        """A WebSocket from its request to its end."""
        address = websocket.client.host if websocket.client else "?"
        try:
            pipe, name, late = self._admit(websocket, address)
        except Refused as refused:
            self.metrics.refused[refused.code] += 1
            body = {"error": {"type": "refused", "code": refused.code, "message": str(refused)}}
            await websocket.send_denial_response(JSONResponse(body, refused.status))
            return
        connection = Connection(self, pipe, address, name, protocol, largest)
        call = Call(self.worker, connection, name)
        call.needs_token = late
        call.dialect = speaks(call, self, websocket)
        self.connections.add(connection)
        self.metrics.sessions[protocol] += 1
        self.metrics.opened[protocol] += 1
        close: tuple[int, str] | None = None
        try:
            await websocket.accept(subprotocol=sub if sub in websocket.scope["subprotocols"] else None)
            connection.begin(call)
            self.worker.do(partial(self.worker.enter, call))
            close = await connection.over
        finally:
            self._leave(connection, close)
        if close is not None and pipe.open:
            with contextlib.suppress(Exception):
                await websocket.close(*close)

    def _admit(self, websocket: WebSocket, address: str) -> tuple[Pipe, str, bool]:
        """-> the connection, whose token it is, and whether a token must still come with the first message."""
        headers = websocket.headers
        self.gate.origin(headers)
        if self.draining:
            raise Refused(503, "draining", "this server is about to stop and takes no new sessions")
        if self.worker.broken is not None:
            raise Refused(503, "worker_failed", self.worker.broken)
        pipe = websocket.scope.get("extensions", {}).get(KEY)
        if pipe is None:
            raise Refused(501, "no_pipe", "this application runs under `oration serve` alone")
        token = bearer(headers, websocket.scope["subprotocols"]) or websocket.query_params.get("token")
        late = not token and self.gate.closed and websocket.url.path == "/v1/live"
        name = "" if late else self.gate.name(token)
        self.gate.enter(address, name)
        return pipe, name, late

    def _leave(self, connection: Connection, close: tuple[int, str] | None) -> None:
        self.connections.discard(connection)
        self.gate.leave(connection.address, connection.name)
        self.metrics.sessions[connection.protocol] -= 1
        code = close[0] if close else int(connection.pipe.conn.close_code or 1006)
        self.metrics.closed[str(code)] += 1
        connection.queue.clear()
        call = connection.call
        keep = connection.protocol == "live" and code not in (1000, 4002, 4003) and not self.draining
        self.worker.do(lambda now: self.worker.lose(call, connection, keep, now))
        self._look()

    async def _sweep(self) -> None:
        """Once a second: those who say nothing, those who stay too long, and a worker that hangs."""
        limits = self.settings.limits
        while True:
            await asyncio.sleep(min(1.0, limits.idle / 4, limits.hello / 4))
            now = self.clock()
            self.worker.watch(now)
            for connection in list(self.connections):
                quiet = now - connection.last
                if not connection.talked and quiet > limits.hello and connection.protocol == "live":
                    connection.finish((4000, "no hello came"))
                elif quiet > limits.idle:
                    connection.finish((4002, "idle"))
                elif now - connection.begun > limits.absolute:
                    connection.finish((4003, "the longest time for a session is over"))
                elif connection.slow_since is not None and now - connection.slow_since > limits.slow:
                    connection.finish((4008, "slow_reader"))

    # Between the loop and the worker

    def _deliver(self, batch: Batch) -> None:
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop ends at this very moment
                self._loop.call_soon_threadsafe(self._hand, batch)

    def _hand(self, batch: Batch) -> None:
        for connection, outs in batch:
            connection.deliver(outs)

    def move(self, connection: Connection, call: Call) -> None:
        """From now on a connection's messages are for another call. Called by the worker."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(setattr, connection, "call", call)

    def give_up(self, connection: Connection, gone: list[Out], tell: bool) -> None:
        """These were not sent to a slow reader, and will not be."""
        call = connection.call

        def task(now: float) -> None:
            for out in gone:
                call.give_up(out.start, out.stop, "slow reader", now)
            if tell and not call.over:
                call.dialect.fail("slow_reader", "you read too slowly, so the oldest sound was discarded; read faster")

        self.worker.do(task)

    def count_in(self, size: int) -> None:
        self._in += 1
        self._bytes_in += size

    def count_out(self, size: int) -> None:
        self._out += 1
        self._bytes_out += size

    def text(self) -> bytes:
        """The metrics."""
        self.metrics.messages.update({"in": self._in, "out": self._out})
        self.metrics.bytes.update({"in": self._bytes_in, "out": self._bytes_out})
        self._in = self._out = self._bytes_in = self._bytes_out = 0
        return self.metrics.text()

    def info(self) -> dict[str, Any]:
        """What there is to talk to."""
        engine = self.worker.engine
        return {
            "model": self.title,
            "engine": engine.name,
            "rate": engine.rate,
            "frame": engine.frame,
            "delay": engine.delay,
            "text": bool(getattr(getattr(engine, "responder", None), "reads", False)),
            "tokens": self.gate.closed,
            "recordings": self.settings.recordings is not None,
            "sessions": len(self.connections),
            "limit": self.settings.limits.sessions,
        }
