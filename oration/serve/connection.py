"""One connection on the event loop: bytes in, bytes out, both bounded. What they mean, the worker knows."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from oration.serve.call import Call, Out
from oration.serve.pipe import Pipe
from oration.serve.security import Pace

if TYPE_CHECKING:
    from oration.serve.hub import Hub

INBOX = 500
"""Messages that may wait for the worker before the client is read no more."""
MESSAGES = 4000
"""Messages without sound that may wait for a slow reader."""


class Connection:
    """Carries messages between a WebSocket and a call. All of it runs on the loop."""

    def __init__(self, hub: Hub, pipe: Pipe, address: str, name: str, protocol: str, largest: int) -> None:
        self.hub, self.pipe, self.address, self.name, self.protocol = hub, pipe, address, name, protocol
        self.largest = largest
        self.call: Call
        self.queue: deque[Out] = deque()
        self.waiting = 0
        """Output samples in the queue."""
        self.slow_since: float | None = None
        self.told_slow = False
        limits, now = hub.settings.limits, hub.clock()
        self.pace = Pace(limits.bytes_per_second, limits.events_per_second, limits.burst, now)
        self.begun = self.last = now
        self.talked = False
        self.over: asyncio.Future[tuple[int, str] | None] = asyncio.get_running_loop().create_future()

    def begin(self, call: Call) -> None:
        """Messages flow from here on."""
        self.call = call
        call.connection = self
        self.pipe.take_over(self.receive, self.drained, self.lost, self.largest)

    def receive(self, message: bytes | str) -> None:
        """One message of the client's."""
        now = self.hub.clock()
        self.last, self.talked = now, True
        size = len(message)
        self.hub.count_in(size)
        self.hub.metrics.stages["receive"].add(now - self.pipe.read_at)
        self.hub.worker.post(self.call, message, now)
        wait = self.pace.take(size, now)
        if wait or len(self.call.inbox) > INBOX:
            self.pipe.hold()
            asyncio.get_running_loop().call_later(max(wait, 0.02), self._go_on)

    def _go_on(self) -> None:
        if len(self.call.inbox) > INBOX:
            asyncio.get_running_loop().call_later(0.05, self._go_on)
        else:
            self.pipe.go_on()

    def deliver(self, outs: list[Out]) -> None:
        """Messages from the worker: sent at once if the client reads, else kept as long as there is room."""
        for out in outs:
            self.queue.append(out)
            self.waiting += out.stop - out.start
        self._pump()
        if self.queue:
            self._bound()

    def drained(self) -> None:
        """The client has read what the system held."""
        self._pump()

    def lost(self) -> None:
        """The client is gone, or says so."""
        self.finish(None)

    def finish(self, close: tuple[int, str] | None) -> None:
        """The end; with a close code and reason if the client is to be told."""
        if not self.over.done():
            self.over.set_result(close)

    def _pump(self) -> None:
        pipe, queue, hub = self.pipe, self.queue, self.hub
        while queue and pipe.writable.is_set():
            out = queue.popleft()
            self.waiting -= out.stop - out.start
            if out.data:
                hub.count_out(len(out.data))
                pipe.write(out.data)
                if out.made:
                    hub.metrics.stages["send"].add(hub.clock() - out.made)
            if out.close is not None:
                self.finish(out.close)
        if not queue:
            self.slow_since = None
            self.told_slow = False

    def _bound(self) -> None:
        """Of what a slow reader lets lie, the oldest sound goes."""
        limits = self.hub.settings.limits
        room = round(limits.queue * self.hub.worker.engine.rate)
        now = self.hub.clock()
        if self.waiting > room or len(self.queue) > MESSAGES:
            self.slow_since = self.slow_since or now
            kept: deque[Out] = deque()
            gone: list[Out] = []
            over = self.waiting - room
            for out in self.queue:
                if over > 0 and out.stop > out.start:
                    gone.append(out)
                    over -= out.stop - out.start
                else:
                    kept.append(out)
            self.queue = kept
            self.waiting -= sum(out.stop - out.start for out in gone)
            self.hub.give_up(self, gone, not self.told_slow)
            self.told_slow = True
            if len(self.queue) > MESSAGES:
                self.finish((4008, "slow_reader"))
        if self.slow_since is not None and now - self.slow_since > limits.slow:
            self.finish((4008, "slow_reader"))
