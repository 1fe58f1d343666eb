"""One WebSocket without detours: messages go straight from the parser to whoever wants them, and out without a task.

uvicorn hands every message to a coroutine through a queue and stops reading the socket meanwhile, which at 80 ms frames
costs more than all else together. Once a handler has accepted, it may take over: parsing, limits of size, pings and
the closing handshake stay uvicorn's and websockets'.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

KEY = "oration.pipe"
SEND_BUFFER = 1 << 17
"""Bytes the kernel may hide from us of what a slow reader has not read."""


class Pipe(WebSocketsSansIOProtocol):
    """A connection that its handler can take over."""

    read_at = 0.0
    """Seconds on the monotonic clock when the last bytes came."""
    sink: Callable[[bytes | str], None] | None = None
    drained: Callable[[], None] | None = None
    lost: Callable[[], None] | None = None

    def handle_connect(self, event: Any) -> None:
        """A request to upgrade: its handler finds this connection in the scope."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            cast(dict[str, Any], self.scope)["extensions"][KEY] = self

    def take_over(
        self,
        sink: Callable[[bytes | str], None],
        drained: Callable[[], None],
        lost: Callable[[], None],
        largest: int,
    ) -> None:
        """From now on messages of at most `largest` bytes go to `sink`; `drained` is called when there is room to
        write again, `lost` when the connection is."""
        self.sink, self.drained, self.lost = sink, drained, lost
        self.conn.max_message_size = largest
        raw = self.transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        while not self.queue.empty():
            early = self.queue.get_nowait()
            if early["type"] == "websocket.receive":
                self._pass(early.get("bytes") or early.get("text") or b"")
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.read_at = time.monotonic()
        super().data_received(data)

    def send_receive_event_to_app(self) -> None:
        """A message is complete."""
        if self.sink is None:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self._pass(bytes(data))
            return
        try:
            self._pass(bytes(data).decode())
        except UnicodeDecodeError:
            self.conn.fail(1007)
            self.handle_parser_exception()

    def _pass(self, message: bytes | str) -> None:
        if self.sink is not None:
            self.sink(message)

    def hold(self) -> None:
        """Read no more for now: the client is too fast."""
        self.transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    @property
    def open(self) -> bool:
        return not (self.close_sent or self.disconnected or self.transport.is_closing())

    def write(self, data: bytes | str) -> bool:
        """Send one message -> whether there is room for another at once."""
        if not self.open:
            return False
        kind, payload = (0x81, data.encode()) if isinstance(data, str) else (0x82, data)
        n = len(payload)
        if n < 126:
            head = bytes((kind, n))
        elif n < 65536:
            head = struct.pack("!BBH", kind, 126, n)
        else:
            head = struct.pack("!BBQ", kind, 127, n)
        self.transport.write(head + payload)
        return self.writable.is_set()

    async def send(self, message: Any) -> None:
        """What an application sends through its own interface; a refusal completes the handshake, too."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def resume_writing(self) -> None:
        """There is room to write again."""
        super().resume_writing()
        if self.drained is not None:
            self.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        if self.lost is not None:
            self.lost()

    def handle_close(self, event: Any) -> None:
        """The client closes."""
        super().handle_close(event)
        if self.lost is not None:
            self.lost()
