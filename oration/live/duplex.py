"""Full duplex: a model that hears and says something in every frame. Moshi, NTPP, Parrot, dGSLM, LSLM, Mini-Omni2.

A frame of each session that has one goes through three calls: the tokenizer, the language model, the vocoder. Sessions
that have none rest, as if nothing had been. One frame of sound leaves for each that came; the first ones are silent,
as many as the layout's delays ask for.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oration.codecs import CodecModel
from oration.codecs.sessions import fast
from oration.core import BadInput, Example, OrationError, Stream, Waveform
from oration.dialogue.policy import Policy
from oration.generate import Limits, Voice
from oration.live.channel import MEND, DuplexSession
from oration.live.duet import Duet
from oration.live.ear import Ear, ear, lag
from oration.live.engine import Full, Options
from oration.live.mouth import Mouth, mouth
from oration.live.plan import Plan, inner, plan
from oration.live.silence import silences
from oration.lms import LanguageModel
from oration.model import SpeechLM
from oration.nn.linear import Weights
from oration.reply import Link, chain


class Duplex:
    """One language model over the Stack of both parties, for `slots` sessions."""

    name = "duplex"

    def __init__(
        self, model: SpeechLM, *, slots: int = 8, policy: Policy | None = None, weights: Weights = "fp32"
    ) -> None:
        """`weights`: precision of the codec and, where the model was not loaded in one, of the language model.

        Raises:
            BadInput: the recipe cannot be driven frame by frame.
        """
        self.model, self.slots, self.policy = model, slots, policy or Policy()
        self.links = chain(model.recipe.lms)
        self.weights = weights
        self._quick: dict[int, Any] = {}
        self.lm = self._language(self.links[0])
        self.plan = self._plan()
        self.ears: dict[str, Ear] = {
            part: ear(self._laid(inner(model, part)), slots) for part in {s.part for s in self.plan.heard.values()}
        }
        self.per = 1
        """Items that the mouth says in a step."""
        self.mouth = self._mouth()
        self.rate, self.hop = self.mouth.rate, self.mouth.hop * self.per
        self.frame = self.hop
        self._verify()
        self.late = max(each.late for each in self.ears.values())
        self._lags = {part: lag(self.rate, e.rate, self.hop, e.hop) for part, e in self.ears.items()}
        held = max(self._lags[part] / e.rate for part, e in self.ears.items())
        self.duet: Any = self._make()
        self.wait = self.late + self.plan.wait
        self.delay = (self.wait + 1) * self.frame / self.rate + self.mouth.late / self.rate + held
        self.sessions: dict[int, DuplexSession] = {}
        self.stages: dict[str, float] = defaultdict(float)
        """Seconds of work by stage."""
        self.steps = 0
        self._free = [*range(slots)]

    def warm(self) -> None:
        """Go through some frames of silence with all slots, so that the first session does not wait for what is made
        when it is first used. Call it before any session is open."""
        sessions = [self.open(Options(), 0) for _ in range(self.slots)]
        for _ in range(self.wait + 2):
            for session in sessions:
                session.push(Waveform(np.zeros(self.frame, np.float32), self.rate), 0.0)
            self.step(0.0)
        for session in sessions:
            session.close(0.0)
        self.stages.clear()
        self.steps = 0

    def _plan(self) -> Plan:
        return plan(self.model, self.links[0], self.lm)

    def _make(self) -> Any:
        """The contexts."""
        silence = silences(self.model, self.plan)
        return Duet(self.lm, self.plan, self.slots, silence, round(MEND * self.rate / self.hop))

    def _mouth(self) -> Mouth:
        vocoder: Any = self.model.recipe.vocoder
        voiced = self.model.synthesis.voiced({}, None)
        always = {name: stream for name, stream in voiced.items() if name in vocoder.needs}
        part = self._laid(inner(self.model, "vocoder"))
        return mouth(part, self.plan.spoken, self.slots, self.model.specs, always)

    def _language(self, link: Link) -> LanguageModel:
        part: LanguageModel = self.model.part(link.lm.name)
        if self.model._weights is not None or part.first.device.type != "cpu":
            return part
        return part.fast(self.weights)

    def _laid(self, part: Any) -> Any:
        """A codec for few frames at a time; made once."""
        if not isinstance(part, CodecModel) or not part.encoder.aligned:
            return part
        if id(part) not in self._quick:
            self._quick[id(part)] = fast(part, self.weights)
        return self._quick[id(part)]

    def _verify(self) -> None:
        for part, each in self.ears.items():
            if self.hop * each.rate != each.hop * self.rate:
                raise BadInput(
                    f"{part!r} hears items of {each.hop / each.rate:g} s, but the vocoder says items of "
                    f"{self.hop / self.rate:g} s; a dialogue needs both on one clock"
                )

    def open(self, options: Options, seed: int) -> DuplexSession:
        """A session with draws of its own.

        Raises:
            Full: all slots are taken.
            BadInput: a sampler that cannot go on for ever.
        """
        if not self._free:
            raise Full(f"all {self.slots} sessions of {self.model.recipe.name!r} are taken; try again when one ends")
        slot = self._free[0]
        session = self._session(slot, options, seed)
        session.restart(None)
        self._free.pop(0)
        self.sessions[slot] = session
        return session

    def _session(self, slot: int, options: Options, seed: int) -> DuplexSession:
        return DuplexSession(self, slot, options, seed)

    def leave(self, slot: int) -> None:
        """A session is over."""
        del self.sessions[slot]
        self._free = sorted([*self._free, slot])

    def step(self, now: float) -> bool:
        """One frame of every session that has one."""
        ready = [s for _, s in sorted(self.sessions.items()) if s.ledger.waiting >= self.frame]
        if not ready:
            return False
        try:
            with torch.no_grad():
                self._step(ready, now)
        except OrationError as wrong:
            for session in ready:
                session.fail(str(wrong), now)
        self.steps += 1
        return True

    def _step(self, ready: list[DuplexSession], now: float) -> None:
        clock = time.perf_counter()
        for session in ready:
            session.mend()
        clock = self._lap("mend", clock)
        frames = [session.hear(now) for session in ready]
        awake = [i for i, session in enumerate(ready) if session.awake()]
        thinking = self._listen([ready[i] for i in awake], [frames[i] for i in awake])
        clock = self._lap("tokenize", clock)
        if thinking:
            at = [session.slot for session in thinking]
            heard = {name: np.stack([s.heard_items[name].popleft() for s in thinking]) for name in self.plan.heard}
            self.duet.step(at, heard)
        clock = self._lap("lm", clock)
        made = self._speak(thinking)
        clock = self._lap("decode", clock)
        for session in ready:
            session.answer(made.get(session.slot), now, item=self.duet.done(session.slot))
        self._lap("tell", clock)

    def _lap(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.stages[stage] += now - since
        return now

    def _listen(self, sessions: list[DuplexSession], frames: list[np.ndarray]) -> list[DuplexSession]:
        """The items of a frame -> the sessions that have one of every heard stream."""
        if not sessions:
            return []
        at = [session.slot for session in sessions]
        for part, each in self.ears.items():
            sounds = [s.sounds[part].push(frame, each.hop) for s, frame in zip(sessions, frames, strict=True)]
            items = each.hear(at, np.stack(sounds))
            for stream, source in self.plan.heard.items():
                if source.part == part:
                    for row, session in enumerate(sessions):
                        if session.age >= each.late:
                            session.note(stream, items[source.stream][row], source.edges)
        for session in sessions:
            session.age += 1
        return [session for session in sessions if session.age > self.late]

    def _speak(self, sessions: Sequence[DuplexSession]) -> dict[int, np.ndarray]:
        """Slot -> the sound of its newest item, of those that have one."""
        skipped = [s for s in sessions if self.plan.wait == 0 and self.plan.ahead and self.duet.done(s.slot) == 1]
        if skipped:  # drawn before anything was heard: it was due before the first frame came
            self._say(skipped, np.zeros(len(skipped), np.int64))
        able = [s for s in sessions if self.duet.done(s.slot) >= 0 and not self.duet.over[s.slot]]
        return self._say(able, np.array([self.duet.done(s.slot) for s in able])) if able else {}

    def _say(self, sessions: Sequence[DuplexSession], of: np.ndarray) -> dict[int, np.ndarray]:
        at = [session.slot for session in sessions]
        if self.plan.edged:
            (name,) = self.plan.spoken
            edges = self.duet.items(at, of, (f"{name}.edges",))[f"{name}.edges"]
            for session, edge in zip(sessions, edges, strict=True):
                session.unit = int(edge) - 1 if edge else session.unit
            items = {name: np.array([session.unit for session in sessions], np.int64)}
        else:
            items = self.duet.items(at, of, self.plan.spoken)
        return dict(zip(at, self.mouth.say(at, items), strict=True))

    def prefix(self, words: str, seed: int) -> Tensor:
        """A text as the columns before the Stack, long[K, P].

        Raises:
            BadInput: no tokenizer reads it, or it is too long.
        """
        link, specs = self.plan.link, {**self.model.specs, **self.plan.link.lm.specs(self.model.specs)}
        example: Example = self.model.written(words)
        for stream in self.plan.heard:
            spec = specs[stream]
            example[stream] = Stream.dense(np.zeros((0, spec.dim))) if spec.dim else Stream(np.zeros(0, np.int64))
        limits = Limits(steps=1, seconds=None, least={})
        return torch.from_numpy(Voice(link.task, example, specs, self.lm.vocabs, limits, seed, 0).grid().tokens)
