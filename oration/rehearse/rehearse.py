"""The loop: a scripted user and an engine, frame by frame, on a simulated clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from oration.audio.io import read
from oration.core import BadInput, Waveform
from oration.data.converse import levelled
from oration.data.manifest import Clip
from oration.dialogue.events import Audio, Event
from oration.dialogue.ledger import Counts
from oration.dialogue.policy import Policy
from oration.live.engine import Engine, Options, Session
from oration.rehearse.judge import Verdict, judge
from oration.rehearse.script import Script
from oration.rehearse.user import Did, User

LONGEST = 600.0
"""Seconds after which a rehearsal is given up."""
AFTER = 1.0
"""Seconds for which it goes on when the script is over."""
BUSY = 400
"""Steps of an engine within one frame, after which it is left to the next."""


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What happened."""

    script: Script
    verdict: Verdict
    heard: Waveform
    """What the loudspeaker played."""
    said: Waveform
    """What the microphone heard, echo and noise included."""
    did: tuple[Did, ...]
    events: tuple[Event, ...] = field(repr=False)
    """Without the sound."""
    counts: Counts
    work: float
    """Seconds of computing."""
    slowest: float
    """Seconds of computing in the slowest frame."""

    @property
    def seconds(self) -> float:
        """How long the dialogue lasts."""
        return self.heard.seconds


def rehearse(
    engine: Engine,
    script: Script,
    voices: Mapping[str, Sequence[np.ndarray]],
    *,
    seed: int = 0,
    policy: Policy | None = None,
    network: float = 0.02,
    progress: Callable[[float], None] = lambda seconds: None,
) -> Rehearsal:
    """Play a script against an engine -> what happened, and what is to be said of it.

    Args:
        voices: as of `User`, at the engine's rate.
        policy: of turn-taking; None: the engine's.
        network: seconds that sound takes each way.
        progress: called with the seconds that were played.
    """
    session = engine.open(Options(policy=policy), seed)
    user = User(script, dict(voices), engine.rate, seed=seed, network=network)
    events: list[Event] = []
    work, slowest, over = 0.0, 0.0, 0
    while over < AFTER * engine.rate and user.now < LONGEST * engine.rate:
        took, found = _frame(engine, session, user)
        events += [event for event in found if not isinstance(event, Audio)]
        work, slowest = work + took, max(slowest, took)
        over += engine.frame if user.done else 0
        progress(user.now / engine.rate)
    session.close(user.now / engine.rate)
    session.ledger.balance()
    heard, said = user.both()
    return Rehearsal(
        script,
        judge(user.did, heard, engine.rate, stale=user.speaker.stale),
        Waveform(heard, engine.rate),
        Waveform(said, engine.rate),
        tuple(user.did),
        tuple(events),
        session.ledger.counts,
        work,
        slowest,
    )


def _frame(engine: Engine, session: Session, user: User) -> tuple[float, list[Event]]:
    """One frame both ways -> seconds of computing, and what the engine sent."""
    wave = Waveform(np.clip(user.speak(engine.frame), -1, 1), engine.rate)
    now = user.now / engine.rate
    began = time.perf_counter()
    session.push(wave, now)
    for _ in range(BUSY):
        if not engine.step(now):
            break
    took = time.perf_counter() - began
    found = session.take()
    user.listen(found)
    session.ledger.send(session.ledger.emitted, now)
    session.played(user.speaker.position, now)
    return took, found


def voices_of(clips: Sequence[Clip], rate: int, *, spoken: bool, longest: float) -> list[np.ndarray]:
    """Recordings as a script plays them: at `rate` Hz and a root mean square of 1; longer ones are cut.

    Raises:
        BadInput: no recording.
    """
    if not clips:
        raise BadInput("a rehearsal needs recordings to play, but there are none; name a manifest or a folder")
    waves = [read(clip.path, rate=rate, start=clip.start, stop=clip.stop) for clip in clips]
    return [levelled(wave.cut(0.0, longest).samples, rate, spoken) for wave in waves]


def bursts(rate: int, seed: int = 0) -> list[np.ndarray]:
    """Noises for want of recordings: knocks, hiss and hum, float32[T] at a root mean square of 1."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(8):
        time_ = np.arange(round(rng.uniform(0.2, 1.2) * rate)) / rate
        noise = rng.standard_normal(len(time_))
        hum = np.sin(2 * np.pi * rng.uniform(80, 300) * time_) * rng.uniform(0, 2)
        made.append(levelled(((noise + hum) * np.exp(-time_ * rng.uniform(0, 15))).astype(np.float32), rate, False))
    return made
