"""Time in slices: the user's is heard, then the model's own is said while the next is heard. SyncLLM, OmniFlatten.

The delay is a slice, for what is heard counts when it is complete. Positions and events are as fine as an item.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oration.core import BadInput
from oration.dialogue.policy import Policy
from oration.layouts import Chunk, Weave
from oration.live.braid import Braid
from oration.live.channel import MEND, DuplexSession
from oration.live.duplex import Duplex
from oration.live.plan import Plan, Source, source
from oration.live.silence import unit_of_silence
from oration.model import SpeechLM
from oration.nn.linear import Weights
from oration.reply import USER
from oration.streams import DedupInChunks


class Slices(Duplex):
    """One language model over a Weave by Chunk of both parties."""

    name = "slices"

    def __init__(
        self, model: SpeechLM, *, slots: int = 8, policy: Policy | None = None, weights: Weights = "fp32"
    ) -> None:
        super().__init__(model, slots=slots, policy=policy, weights=weights)
        self.delay = self.frame / self.rate * (1 + (self.late > 0)) + self.mouth.late / self.rate

    def _plan(self) -> Plan:
        task, specs = self.links[0].task, {**self.model.specs, **self.links[0].lm.specs(self.model.specs)}
        (weave,) = task.layout.blocks if len(task.layout.blocks) == 1 else (None,)
        if not isinstance(weave, Weave) or not isinstance(weave.by, Chunk):
            raise BadInput(
                f"task {task.name!r} of {self.links[0].lm.name!r} is no Weave by Chunk, so there are no slices of "
                "equal time in it; let the recipe's own engine drive it"
            )
        self.weave, self.chunk, self.specs = weave, weave.by.seconds, specs
        self.merged = {f"{o.stream}.chunked": o for o in task.operations if isinstance(o, DedupInChunks)}
        heard = {arm: found for arm in weave.arms if (found := self._source(arm)) is not None}
        vocoder: Any = self.model.recipe.vocoder
        needs = tuple(name for name in vocoder.needs if name != "speaker")
        self.own = next((arm for arm in weave.arms if self._base(arm) in needs), "")
        if len(needs) != 1 or not self.own or not heard:
            raise BadInput(
                f"task {task.name!r} of {self.links[0].lm.name!r} weaves {weave.arms}, of which the vocoder speaks "
                f"{needs} and a tokenizer hears {[*heard]}; slices need one stream of either kind"
            )
        text = next((arm for arm in weave.arms if arm in self.model.readers()), None)
        return Plan(self.links[0], (), heard, needs, False, text, (), (), True)

    def _base(self, arm: str) -> str:
        return self.merged[arm].stream if arm in self.merged else arm

    def _source(self, arm: str) -> Source | None:
        return source(self.model, self.links[0], self._base(arm)) if arm.startswith(USER) else None

    def _make(self) -> Any:
        """The contexts."""
        spec = self.specs[self._base(self.own)]
        assert spec.rate is not None
        self.hop, chunk = self.mouth.hop, self.chunk
        frames = round(float(spec.rate) * chunk)
        if abs(frames - float(spec.rate) * chunk) > 1e-6:
            raise BadInput(
                f"a slice of {chunk:g} s holds {float(spec.rate) * chunk:g} items of {self.own!r}, expected a whole "
                "number; give the Chunk another length"
            )
        self.frame, self.frames = self.hop * frames, frames
        silence = {self.own: unit_of_silence(self.model, self._base(self.own))}
        keep = round(MEND / chunk)
        return Braid(self.lm, self.weave, self.specs, [*self.plan.heard], self.slots, silence, frames, keep)

    def _step(self, ready: list[DuplexSession], now: float) -> None:
        for session in ready:
            session.mend()
        for _ in range(self.frames):
            self._listen(ready, [session.hear(now) for session in ready])
        thinking = [s for s in ready if all(len(s.heard_items[arm]) >= self.frames for arm in self.plan.heard)]
        if thinking:
            given = [{arm: self._slice(session, arm) for arm in self.plan.heard} for session in thinking]
            self.duet.step([session.slot for session in thinking], given)
            self._write(thinking)
        sounds = self._sounds(thinking)
        for session in ready:
            for number in range(self.frames):
                sound = sounds[session.slot][number] if session.slot in sounds else None
                session.answer(sound, now, item=self.duet.done(session.slot) - self.frames + 1 + number)

    def _slice(self, session: DuplexSession, arm: str) -> list[int]:
        """What was heard in a slice, runs merged where the layout has them so."""
        items = [int(session.heard_items[arm].popleft()) for _ in range(self.frames)]
        if arm not in self.merged:
            return items
        return [item for i, item in enumerate(items) if not i or items[i - 1] != item]

    def _write(self, sessions: list[DuplexSession]) -> None:
        """Tell the words of a slice."""
        for session in sessions:
            for symbol in self.duet.last(session.slot).get(self.plan.text, ()) if self.plan.text else ():
                session.write(symbol)

    def _sounds(self, sessions: list[DuplexSession]) -> dict[int, list[np.ndarray]]:
        """Slot -> the sound of its newest slice, item by item."""
        at, found = [session.slot for session in sessions], dict[int, list[np.ndarray]]()
        if not at:
            return found
        units = {}
        for session in sessions:
            items = self.duet.last(session.slot)[self.own]
            units[session.slot] = self.duet.spread(items, session.unit) if self.own in self.merged else items
            session.unit = units[session.slot][-1]
        for number in range(self.frames):
            of = {self.plan.spoken[0]: np.array([units[slot][number] for slot in at], np.int64)}
            for slot, sound in zip(at, self.mouth.say(at, of), strict=True):
                found.setdefault(slot, []).append(sound)
        return found
