"""The thread in which the engine runs, and every session with it: the event loop never waits for a model.

The loop puts messages into inboxes and is handed messages to send, in one batch a turn of the worker. An engine that
fails is started anew, in the same thread; one that hangs is given up, and another thread goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from oration.core import BadInput
from oration.live.engine import Engine
from oration.serve.call import Call, Out
from oration.serve.metrics import Metrics
from oration.serve.settings import Settings

logger = logging.getLogger("oration.serve")
TICK = 1.0
"""Seconds between two stats of a session."""
SAMPLED = 7
"""Lateness is looked up for one in so many frames: it costs as much as sending one."""
TRIES = 3
"""Failures of the engine within a minute after which the server says that it is broken."""

Batch = list[tuple[Any, list[Out]]]


class Worker:
    """One engine, its thread, and all calls on it."""

    def __init__(
        self,
        make: Callable[[], Engine],
        settings: Settings,
        metrics: Metrics,
        deliver: Callable[[Batch], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`make` builds the engine, now and after each failure; `deliver` is called with what is to be sent, from the
        worker's thread."""
        self.make, self.settings, self.metrics, self.deliver, self.clock = make, settings, metrics, deliver, clock
        self.engine = make()
        self.calls: dict[str, Call] = {}
        self.broken: str | None = None
        """Why there is no engine any more."""
        self._dirty: deque[Call] = deque()
        self._tasks: deque[Callable[[float], None]] = deque()
        self._wake = threading.Event()
        self._failures: deque[float] = deque(maxlen=TRIES)
        self._generation = 0
        self._stop = False
        self._busy_since: float | None = None
        self._tick_at = 0.0
        self._round: deque[Call] = deque()
        self._busy = 0.0
        self._sampled = 0
        self._thread = self._start()

    # From the event loop

    def post(self, call: Call, message: bytes | str, arrived: float) -> None:
        """A message for a call."""
        call.inbox.append((message, arrived))
        if not call.queued:
            call.queued = True
            self._dirty.append(call)
            if not self._wake.is_set():
                self._wake.set()

    def do(self, task: Callable[[float], None]) -> None:
        """Run `task(now)` on the worker's thread."""
        self._tasks.append(task)
        self._wake.set()

    def stop(self) -> None:
        """End the thread; calls are closed first."""
        self.do(self._close_all)
        self._stop = True
        self._wake.set()
        self._thread.join(5)

    def watch(self, now: float) -> None:
        """Called now and then: an engine that hangs is given up."""
        since = self._busy_since
        if since is not None and now - since > self.settings.limits.stuck:
            self._generation += 1
            self._busy_since = None
            self._thread = self._start(f"a step took more than {self.settings.limits.stuck:g} s")

    # The thread

    def _start(self, failed: str | None = None) -> threading.Thread:
        arguments = (self._generation, failed)
        thread = threading.Thread(target=self._run, args=arguments, name="oration-engine", daemon=True)
        thread.start()
        return thread

    def _run(self, generation: int, failed: str | None) -> None:
        if failed is not None:
            self._restart(failed)
        busy = False
        while generation == self._generation:
            if not busy:
                if self._wake.wait(0.25) and not self._tasks and self.settings.gather:
                    time.sleep(self.settings.gather)
                self._wake.clear()
            try:
                busy = self._turn(generation)
            except BaseException as failure:  # whatever it is, the sessions are told
                if generation != self._generation:
                    return
                logger.exception("the engine failed")
                self._restart(f"{type(failure).__name__}: {failure}")
                busy = False
            if self._stop and not self._tasks:
                return

    def _turn(self, generation: int) -> bool:
        """Everything that is there now, once."""
        start = self.clock()
        while self._tasks:
            self._tasks.popleft()(start)
        for _ in range(len(self._dirty)):
            self._read(self._dirty.popleft(), start)
        step = self.clock()
        self._busy_since = step
        worked = self.broken is None and self.engine.step(step)
        if generation != self._generation:
            return False
        self._busy_since = None
        made = self.clock()
        if worked:
            self.metrics.stages["step"].add(made - step)
        sample = self._sampled
        for call in list(self.calls.values()):
            if call.collect(made):
                sample += 1
                if not sample % SAMPLED:
                    self._late(call, made)
        self._sampled = sample
        if made >= self._tick_at:
            self._tick(made)
        self._some(made)
        batch = self._batch(list(self.calls.values()))
        end = self.clock()
        if batch:
            self.metrics.stages["emit"].add(end - made)
            self.deliver(batch)
        self._busy += end - start
        return worked

    def _read(self, call: Call, now: float) -> None:
        """All messages of one client. Whatever they do, it concers nobody else."""
        call.queued = False
        inbox = call.inbox
        if call.moved is not None:
            while inbox:
                self.post(call.moved, *inbox.popleft())
            return
        if inbox:
            self.metrics.stages["queue"].add(now - inbox[0][1])
        while inbox and call.moved is None:
            message, arrived = inbox.popleft()
            if call.over:
                continue
            try:
                call.dialect.take(message, arrived, now)
            except BadInput as wrong:
                call.dialect.fail("bad_message", str(wrong))
            except Exception as failure:
                logger.exception("a session failed")
                call.dialect.fail("failed", f"this session failed on our side ({type(failure).__name__})", 1011)
                self.end(call, now)
        if inbox:
            self._read(call, now)

    def _late(self, call: Call, now: float) -> None:
        """How late the newest output is, by the ledger; a sample of the frames, as it costs some microseconds."""
        ledger = call.ledger
        if (when := ledger.receipts.when(ledger.taken)) is not None:
            late = now - when
            self.metrics.lateness.add(late)
            call.late = max(call.late, late)

    def _tick(self, now: float) -> None:
        """About once a second every session has its stats told; those who did not come back are given up."""
        if self._tick_at:
            self.metrics.occupancy = min(1.0, self._busy / (now - self._tick_at + TICK))
        self._busy, self._tick_at = 0.0, now + TICK
        self._round = deque(self.calls.values())

    def _some(self, now: float) -> None:
        """Some of them at a time: the stats of hundreds at once would hold up everybody's sound."""
        for _ in range(min(len(self._round), max(4, len(self.calls) // 64))):
            call = self._round.popleft()
            if call.over:
                continue
            call.dialect.tick(now)
            call.late = 0.0
            if call.gone_at is not None and now - call.gone_at > self.settings.limits.resume:
                self.end(call, now)

    def _batch(self, calls: Sequence[Call]) -> Batch:
        batch: Batch = []
        for call in calls:
            if call.outs:
                outs, call.outs = call.outs, []
                if call.connection is not None:
                    batch.append((call.connection, outs))
        return batch

    # Tasks

    def enter(self, call: Call, now: float) -> None:
        """A connection stands: its call begins."""
        self.calls[call.id] = call
        if self.broken is not None:
            call.dialect.fail("worker_failed", self.broken, 1011)
            return
        call.dialect.start(now)

    def lose(self, call: Call, connection: Any, keep: bool, now: float) -> None:
        """A connection is gone; the call waits for another one, if it may."""
        while call.moved is not None:
            call = call.moved
        if call.connection is not connection:
            return
        self._read(call, now)
        call.connection, call.gone_at = None, now
        if not keep or call.session is None:
            self.end(call, now)

    def end(self, call: Call, now: float) -> None:
        """A call is over: its slot is free, its ledger complete."""
        if self.calls.pop(call.id, None) is None:
            return
        try:
            call.close(now)
        finally:
            call.over = True
            counts = call.counts()
            self.metrics.dropped.update(counts["dropped"])
            self.metrics.discarded.update(counts["discarded"])
            self.flush(call)

    def make_room(self, now: float) -> bool:
        """End the session that has waited longest for a lost client -> whether there was one."""
        lost = [call for call in self.calls.values() if call.gone_at is not None and call.session is not None]
        if not lost:
            return False
        self.end(min(lost, key=lambda call: call.gone_at or 0.0), now)
        return True

    def flush(self, call: Call) -> None:
        """Hand over what a call has to say, now."""
        if batch := self._batch([call]):
            self.deliver(batch)

    def _close_all(self, now: float) -> None:
        for call in list(self.calls.values()):
            self.end(call, now)

    def _restart(self, why: str) -> None:
        """Another engine for the same calls; or, if it fails again and again, none."""
        now = self.clock()
        self.metrics.restarts += 1
        self._failures.append(now)
        if len(self._failures) == TRIES and now - self._failures[0] < 60:
            self.broken = f"the engine failed {TRIES} times within a minute, at last by {why}; see the server's log"
        try:
            if self.broken is None:
                self.engine = self.make()
        except Exception as failure:
            logger.exception("the engine does not start again")
            self.broken = f"the engine does not start again ({type(failure).__name__}: {failure})"
        for call in list(self.calls.values()):
            self._again(call, why, now)
        self.deliver(self._batch(list(self.calls.values())))

    def _again(self, call: Call, why: str, now: float) -> None:
        try:
            if self.broken is not None:
                raise BadInput(self.broken)
            call.restart(now)
            said = "the engine failed and was started anew; the session goes on, without what it remembered"
            call.dialect.fail("worker_restarted", f"{said} ({why})")
        except Exception as refused:
            said = f"the engine failed ({why}), and this session could not go on: {refused}"
            call.dialect.fail("worker_failed", said, 1011)
            self.calls.pop(call.id, None)
            call.over = True
            self.flush(call)
