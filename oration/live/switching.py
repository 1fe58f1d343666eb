"""The model says itself, step by step, whether it listens or speaks: SALMONN-omni, Mini-Omni2's states.

A stream of its own holds the choice, or a second model makes the sound, silence too, of what a first one thinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from oration.core import BadInput
from oration.dialogue.policy import Policy
from oration.live.channel import MEND, DuplexSession
from oration.live.duplex import Duplex
from oration.live.engine import Options
from oration.live.follower import Followed, Follower
from oration.live.mouth import Mouth, mouth
from oration.live.plan import Plan, inner, plan
from oration.live.silence import silences, unit_of_silence
from oration.model import SpeechLM
from oration.nn.linear import Weights


@dataclass(frozen=True, kw_only=True)
class Switch:
    """The stream in which a model says who has the floor."""

    stream: str
    listen: int
    """The symbol of listening, during which it is silent."""
    speak: int
    """The symbol of speaking."""


class Switching(Duplex):
    """A dual channel whose sound is let through while the model says that it speaks."""

    name = "switching"

    def __init__(
        self,
        model: SpeechLM,
        *,
        slots: int = 8,
        policy: Policy | None = None,
        weights: Weights = "fp32",
        switch: Switch | None = None,
    ) -> None:
        """`switch`: None: the stream `floor.frames`, where there is one; without any, sound is never held back.

        Raises:
            BadInput: a stream that the model does not draw, or symbols that it does not have.
        """
        self.follower: Follower | None = None
        super().__init__(model, slots=slots, policy=policy, weights=weights)
        cells = {cell.stream: cell for cell in self.plan.mine}
        if switch is None and "floor.frames" in cells:
            switch = Switch(stream="floor.frames", listen=1, speak=0)
        if switch is not None:
            if switch.stream not in cells:
                raise BadInput(
                    f"Switch(stream={switch.stream!r}): the model draws {[*cells]}; name the one that says who speaks"
                )
            size = cells[switch.stream].size
            if switch.listen == switch.speak or not (0 <= switch.listen < size and 0 <= switch.speak < size):
                raise BadInput(
                    f"Switch(listen={switch.listen}, speak={switch.speak}): expected two different symbols below {size}"
                )
        self.switch = switch
        self._speaking = np.zeros(slots, bool)

    def _plan(self) -> Plan:
        return plan(self.model, self.links[0], self.lm, silent=len(self.links) > 1)

    def _mouth(self) -> Mouth:
        if len(self.links) == 1:
            return super()._mouth()
        link, model = self.links[1], self.model
        stream = link.task.predict[0]
        silence = unit_of_silence(model, stream)
        rate = model.specs[self.plan.cells[0].stream].rate
        keep = round(MEND * float(rate or 0))
        self.follower = Follower(model, link, self._language(link), self.slots, silence, keep)
        self.per = self.follower.count
        vocoder: Any = model.recipe.vocoder
        voiced = model.synthesis.voiced({}, None)
        always = {name: found for name, found in voiced.items() if name in vocoder.needs}
        return mouth(self._laid(inner(model, "vocoder")), (stream,), self.slots, model.specs, always)

    def _make(self) -> Any:
        if self.follower is None:
            return super()._make()
        rewinds = round(MEND * self.rate / self.hop)
        return Followed(self.lm, self.plan, self.slots, silences(self.model, self.plan), rewinds, self.follower)

    def _session(self, slot: int, options: Options, seed: int) -> DuplexSession:
        self._speaking[slot] = False
        return super()._session(slot, options, seed)

    def _speak(self, sessions: Sequence[DuplexSession]) -> dict[int, np.ndarray]:
        made = super()._speak(sessions)
        if self.switch is None or not made:
            return made
        done = np.array([self.duet.done(slot) for slot in made])
        state = self.duet.items([*made], done, (self.switch.stream,))[self.switch.stream]
        for slot, symbol in zip(made, state, strict=True):
            if symbol in (self.switch.listen, self.switch.speak):
                self._speaking[slot] = symbol == self.switch.speak
        return {slot: sound if self._speaking[slot] else np.zeros_like(sound) for slot, sound in made.items()}

    def _say(self, sessions: Sequence[DuplexSession], of: np.ndarray) -> dict[int, np.ndarray]:
        if self.follower is None:
            return super()._say(sessions, of)
        at, duet = [session.slot for session in sessions], self.duet
        given = [duet.opening[s] if item < duet.done(s) else duet.vectors[s] for s, item in zip(at, of, strict=True)]
        quiet = [bool(duet.quiet[s, item % duet.ring]) for s, item in zip(at, of, strict=True)]
        said = self.follower.step(at, torch.stack(given), quiet)
        sounds = [self.mouth.say(at, {self.follower.stream: said[:, i]}) for i in range(self.per)]
        return dict(zip(at, np.concatenate(sounds, 1), strict=True))
