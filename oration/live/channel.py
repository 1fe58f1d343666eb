"""A session of an engine that hears and says something in every frame."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from oration.core import BadInput
from oration.dialogue.events import Floor, Said, Speech
from oration.live.activity import Activity, Words, holder
from oration.live.ear import AtEar
from oration.live.engine import Options
from oration.live.seat import Seat

if TYPE_CHECKING:
    from oration.live.duplex import Duplex

MEND = 10.0
"""Seconds back to which the context can be told that nobody heard what was said."""
HUSH = 3.0
"""Seconds after a cancel for which a model that does not stop by itself is kept silent."""
STILL = 3
"""Frames of silence after which a model counts as having stopped."""


class DuplexSession(Seat):
    """One conversation on two channels.

    Sound that is loud enough is a reply, with an epoch of its own; so is the silence after it, which nobody is told of.
    """

    def __init__(self, engine: Duplex, slot: int, options: Options, seed: int) -> None:
        super().__init__(engine.rate, engine.hop, options.policy or engine.policy)
        self.engine, self.slot, self.options, self.seed = engine, slot, options, seed
        self.sounds = {part: AtEar(engine.rate, each.rate, engine._lags[part]) for part, each in engine.ears.items()}
        self.heard_items: dict[str, deque[Any]] = {name: deque() for name in engine.plan.heard}
        self.age = 0
        """Frames that were listened to."""
        self.unit = 0
        self.user, self.own = Activity(self.rate, self.frame), Activity(self.rate, self.frame)
        self.epoch = 1
        reader = engine.plan.text and engine.plan.text.removesuffix(".frames")
        readers = engine.model.readers()
        self.words = Words(readers[reader].decode, engine.plan.unspoken) if reader in readers else None
        self.ledger.on_lost = self._on_lost
        self._units: dict[str, int] = {}
        self._lead: int | None = None  # item - output frame, once there are items
        self._holder = "nobody"
        self._hush = self._still = 0
        self._lost: deque[tuple[int, int]] = deque(maxlen=256)
        self._doubt: tuple[int, int] | None = None  # sent of a cancelled reply, not known to be heard
        self._stale: int | None = None  # the output position from which the context may be wrong
        self._text: deque[str] = deque(maxlen=16)
        self._reading = not engine.plan.reads
        self._due = False

    # The client's side

    def text(self, words: str) -> None:
        if not self.engine.plan.reads:
            super().text(words)
        elif words.strip():
            self._text.append(words)

    def cancel(self, now: float) -> None:
        """Nothing more of the reply leaves, and the model is kept silent until it is by itself, `HUSH` s at most."""
        if not self.replying or self.closed:
            return
        turn = self.ledger.turn(self.epoch)
        start = max(self.ledger.confirmed, turn.start if turn is not None else self.ledger.emitted)
        self._doubt = (start, self.ledger.emitted) if start < self.ledger.emitted else None
        # Sound is behind its items: what is said and not sounding yet will not be heard either.
        self._lost.append((self.ledger.emitted, self.ledger.emitted + self.engine.mouth.late))
        self._stale = start if self._stale is None else min(start, self._stale)
        self.end("cancelled", now)
        self.own.stop()
        self.epoch += 1
        self._hush, self._still = round(HUSH * self.rate / self.frame), 0
        self.engine.duet.hush(self.slot)
        self._floor()

    def played(self, upto: int, now: float) -> None:
        super().played(upto, now)
        if self._doubt is not None and upto > self._doubt[0]:
            start, stop = self._doubt
            self._stale = start if self._stale is None else min(start, self._stale)
            self._doubt = (upto, stop) if upto < stop else None

    def close(self, now: float) -> None:
        if not self.closed:
            self.engine.leave(self.slot)
        super().close(now)

    # The engine's side

    def hear(self, now: float) -> np.ndarray:
        """The next frame, consumed."""
        samples = self.read(self.frame, now)
        assert samples is not None
        self._due = True
        change = self.user.push(samples)
        if change is not None:
            back = 0 if change else self.user.silent * self.frame
            at = max(0, self.heard - back - (self.frame if change else 0))
            self.ledger.speaks(change, at, now)
            self.tell(Speech(heard=self.heard, epoch=self.epoch, on=change, at=at))
        return samples

    def awake(self) -> bool:
        """Whether the model is at work; one that reads aloud rests until there is something to read."""
        if not self.engine.plan.reads:
            return True
        if self._reading and self.engine.duet.over[self.slot]:
            self._reading = False
        while not self._reading and self._text:
            try:
                self.restart(self.engine.prefix(self._text.popleft(), self.seed))
                self._reading = True
            except BadInput as wrong:
                self.trouble("text", str(wrong))
        return self._reading

    def restart(self, prefix: Tensor | None) -> None:
        """A context, an ear and a mouth that know nothing yet, but for a text to be read."""
        engine = self.engine
        engine.duet.begin(self.slot, self.seed, self.options.sampler, prefix)
        for each in engine.ears.values():
            each.reset(self.slot)
        engine.mouth.reset(self.slot)
        self.sounds = {part: AtEar(self.rate, each.rate, engine._lags[part]) for part, each in engine.ears.items()}
        self.age, self._lead, self._stale, self._doubt = 0, None, None, None
        for items in self.heard_items.values():
            items.clear()

    def note(self, stream: str, item: Any, edges: bool) -> None:
        """An item of a heard stream."""
        if edges:
            before, self._units[stream] = self._units.get(stream), int(item)
            item = 0 if before == int(item) else int(item) + 1
        self.heard_items[stream].append(item)

    def answer(self, sound: np.ndarray | None, now: float, *, item: int) -> None:
        """A frame of the model's own, which is this item's sound; None: it has none yet, which is silence."""
        if sound is not None:
            self._lead = item - self.ledger.emitted // self.frame
        samples = np.zeros(self.frame, np.float32) if sound is None else np.ascontiguousarray(sound)
        if self._hush:
            samples = self._hushed(samples)
        change = self.own.push(samples)
        if change is False:
            self.end("done", now)
            self.epoch += 1
        elif change:
            self.begin(now)
        self._floor()
        if sound is not None:
            self._say(item)
        self.emit(samples, now)
        self._due = False
        if not self.replying and (turn := self.ledger.turn(self.epoch)) is not None:
            turn.quiet = True

    def _say(self, item: int) -> None:
        """The words of an item."""
        if (text := self.engine.plan.text) is not None and text.endswith(".frames"):
            symbols = self.engine.duet.items([self.slot], np.array([item]), (text,))
            self.write(int(symbols[text][0]))

    def write(self, symbol: int) -> None:
        """A symbol of the model's own text."""
        piece = "" if self.words is None or self._hush else self.words.push(symbol)
        if piece:
            self.tell(Said(heard=self.heard, epoch=self.epoch, text=piece))

    def _hushed(self, samples: np.ndarray) -> np.ndarray:
        """Silence instead, until what was drawn is silent by itself."""
        self._still = self._still + 1 if float(np.dot(samples, samples)) <= self.own.power * len(samples) else 0
        self._hush = 0 if self._still >= STILL else self._hush - 1
        if not self._hush:
            self.engine.duet.hushed[self.slot] = False
        return np.zeros_like(samples)

    def mend(self) -> None:
        """Have the context hold silence where nobody heard the model."""
        if self._stale is None or self._lead is None:
            return
        frame, late = self.frame, self.engine.mouth.late
        first = max(0, (self._stale - late) // frame)
        last = self.ledger.emitted // frame
        known = first + np.arange(max(0, last - first))
        centres = known * frame + late + frame // 2
        quiet = np.zeros(len(known), bool)
        for start, stop in (*self._lost, *([self._doubt] if self._doubt else [])):
            quiet |= (centres >= start) & (centres < stop)
        self._stale = None
        if not self.engine.duet.mend(self.slot, first + self._lead, [*quiet]):
            self.trouble("context", f"sound that was given up over {MEND:g} s ago stays in the model's memory as said")

    def fail(self, why: str, now: float) -> None:
        """The step went wrong: what it was to say is silence, and it begins anew."""
        self.trouble("failed", why)
        self.restart(None)
        if self.replying:
            self.end("failed", now)
            self.own.stop()
            self.epoch += 1
        if self._due:
            self.emit(np.zeros(self.frame, np.float32), now)

    def _on_lost(self, start: int, stop: int) -> None:
        self._lost.append((start, stop))
        self._stale = start if self._stale is None else min(start, self._stale)

    def _floor(self) -> None:
        found = holder(self.user.on, self.own.on)
        if found != self._holder:
            self._holder = found
            self.tell(Floor(heard=self.heard, epoch=self.epoch, holder=found))
