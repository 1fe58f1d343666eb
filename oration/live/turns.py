"""Turn by turn: a detector of speech ends the user's turn, then any recipe that can reply generates.

The baseline that every system with a half-duplex model uses. What the user says is encoded while they say it; a reply
is made some columns at a time and not far ahead of what was heard of it; it can be cancelled between any two columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oration.audio.vad import HOP, RATE, Ear, Vad, best_vad, listen
from oration.core import BadInput, OrationError
from oration.dialogue.policy import Policy
from oration.live.engine import Full, Options
from oration.live.responder import Replies, Responder
from oration.live.talker import Talker
from oration.model import SpeechLM

AT_ONCE = 8
"""Frames of input that one step takes of a session, at most."""


class Turns:
    """One model for several sessions: their speech is detected in one run, their replies are made in turn."""

    name = "turns"

    def __init__(
        self,
        model: SpeechLM | None = None,
        *,
        slots: int = 8,
        policy: Policy | None = None,
        task: str | None = None,
        vad: Vad | None = None,
        responder: Responder | None = None,
    ) -> None:
        """
        Args:
            task: which of the model's tasks replies; None: the first.
            vad: None: the best that is installed.
            responder: what makes replies; None: the model's own task.

        Raises:
            BadInput: neither a model nor a responder.
        """
        if responder is None:
            if model is None:
                raise BadInput("nothing makes the replies of this engine; give a model, or a responder")
            responder = Replies(model, task)
        self.rate, self.slots, self.policy = responder.rate, slots, policy or Policy()
        self.frame = round(HOP * self.rate / RATE)
        self.vad, self.responder = vad or best_vad(), responder
        self.sessions: list[Talker] = []
        rule = self.policy.endpoint
        self.delay = rule.silence + self.frame / self.rate + self.responder.delay

    def open(self, options: Options, seed: int) -> Talker:
        """A session.

        Raises:
            Full: all slots are taken.
        """
        self.sessions = [talker for talker in self.sessions if not talker.closed]
        if len(self.sessions) >= self.slots:
            raise Full(f"all {self.slots} sessions of this model are taken; try again when one has ended")
        policy = options.policy or self.policy
        talker = Talker(self.rate, self.frame, policy, options, seed, self.responder, Ear(self.vad, self.rate))
        self.sessions.append(talker)
        return talker

    def step(self, now: float) -> bool:
        """Some frames of input and some columns of a reply, for every session that has any."""
        self.sessions = [talker for talker in self.sessions if not talker.closed]
        worked = self._hear(self.sessions, now)
        for talker in self.sessions:
            try:
                worked |= talker.work(now)
            except OrationError as trouble:  # one session's trouble is not another's
                talker.failed(str(trouble), now)
        return worked

    def _hear(self, sessions: Sequence[Talker], now: float) -> bool:
        """One run of the detector for all frames that have come."""
        frames: dict[int, list[np.ndarray]] = {}
        for k, talker in enumerate(sessions):
            for _ in range(AT_ONCE):
                if (samples := talker.read(self.frame, now)) is None:
                    break
                frames.setdefault(k, []).append(samples)
                talker.listen(samples)
        ears = [sessions[k].ear for k in frames]
        for k, chances in zip(frames, listen(self.vad, ears), strict=True):
            for chance in chances:
                sessions[k].hear(float(chance), now)
        return bool(frames)
