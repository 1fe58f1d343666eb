"""Dialogues in two channels, put together from recordings of single speakers: what a full-duplex model learns from.

Real conversations in two channels are rare and mostly not free. This makes them of what is: a user says something,
the agent answers soon after, is interrupted now and then and stops, keeps quiet while the user only pauses, while
others talk in the background, and while a dog barks; and the user's microphone hears the agent's own voice, too.

    user   | what time is it      (dog)   -    wait, I meant | ...
    agent  |                  it is ten and a ha            |
             turn             reply  noise     barge-in: the reply stops `stops` seconds later
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from oration.audio.resample import resample
from oration.core import BadInput, Waveform
from oration.data.manifest import Clip

Kind = Literal["turn", "reply", "pause", "barge-in", "feedback", "bystander", "noise"]
FRAME = 0.01
"""Seconds over which loudness is measured."""
QUIET = 35.0
"""dB below the loud parts of a recording, which end what is said in it."""
FADE = 0.015
"""Seconds in which a voice that stops dies away."""
LOUD = -23.0
"""dB of full scale (root mean square) of the agent's voice."""

Range = tuple[float, float]
"""From, to: drawn evenly."""


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How dialogues go: chances, and ranges of seconds and of dB.

    Between turns of people lie 0.24 s on average (Stivers et al. 2009, doi:10.1073/pnas.0903616106); an agent that is
    to answer within 0.2 s has to be taught less.
    """

    idle: Range = (0.4, 2.5)
    """Seconds before the user says something."""
    long: float = 0.15
    """Chance that it is a long silence instead, so that silence alone is no reason to speak up."""
    silent: Range = (3.0, 12.0)
    pace: Range = (0.88, 1.14)
    """How fast the user's recordings are played, pitch and all, so that few speakers are more."""
    gap: Range = (0.1, 0.18)
    """Seconds from the end of the user's turn to the reply."""
    paused: float = 0.3
    """Chance that a turn has a pause in it, after which the same user goes on."""
    pause: Range = (0.2, 0.7)
    barge_in: float = 0.3
    """Chance that a reply is interrupted."""
    stops: Range = (0.1, 0.16)
    """Seconds from the start of an interruption to the end of the reply."""
    feedback: float = 0.15
    """Chance that the user gives feedback during a reply, which goes on; only where the cast has feedback."""
    bystander: float = 0.15
    """Chance, before each turn, of somebody who speaks to somebody else."""
    far: Range = (-24.0, -14.0)
    """dB of a bystander, relative to the user."""
    noise: float = 0.35
    """Chance of a noise before each turn, and as much of one during a reply."""
    noisy: Range = (-15.0, 5.0)
    """dB of a noise, relative to the user."""
    background: float = 0.3
    """Chance that a dialogue has a noise throughout."""
    below: Range = (-40.0, -20.0)
    """dB of that, relative to the user."""
    echo: float = 0.4
    """Chance that the user's microphone hears the agent."""
    echoed: Range = (-40.0, -18.0)
    """dB of what it hears, relative to the agent."""
    later: Range = (0.01, 0.2)
    """Seconds by which the echo is late."""
    level: Range = (-34.0, -18.0)
    """dB of full scale (root mean square) of the user."""


@dataclass(frozen=True)
class Mark:
    """What happens from `start` to `stop`, in seconds."""

    kind: Kind
    start: float
    stop: float
    clip: str = ""
    """The id of what was played."""


@dataclass(frozen=True, eq=False)
class Dialogue:
    """Both channels, equally long, and what was done in them."""

    agent: Waveform
    user: Waveform
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cast:
    """Who and what there is to be heard."""

    agent: Sequence[Clip]
    """Replies, by one voice."""
    users: Sequence[Clip]
    noises: Sequence[Clip] = ()
    feedback: Sequence[Clip] = ()
    """Short utterances that ask for nothing, such as "mm-hm"."""
    rooms: Sequence[Clip] = ()
    """Impulse responses, for bystanders and echoes."""
    rate: int = 16_000
    """Hz."""
    _known: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in ("agent", "users"):
            if not getattr(self, name):
                raise BadInput(f"a dialogue needs two parties, but there are no clips for {name}; give at least one")

    def sound(self, clip: Clip, spoken: bool) -> np.ndarray:
        """float32[T] at a root mean square of 1 where it is loud; without what is quiet at the ends, if `spoken`."""
        if clip.id not in self._known:
            self._known[clip.id] = levelled(clip.wave(rate=self.rate).samples, self.rate, spoken)
        return self._known[clip.id]


def levelled(samples: np.ndarray, rate: int, spoken: bool) -> np.ndarray:
    """float32[T] at a root mean square of 1 where it is loud; without what is quiet at the ends, if `spoken`."""
    first, last = ends(samples, rate) if spoken else (0, len(samples))
    part = samples[first:last]
    return np.asarray(part / max(_loudness(part, rate), 1e-5), np.float32)


def ends(samples: np.ndarray, rate: int) -> tuple[int, int]:
    """The first sample of what is `QUIET` dB below the loud parts or louder, and one past the last."""
    size = max(1, round(FRAME * rate))
    count = len(samples) // size
    if not count:
        return 0, len(samples)
    power = np.square(samples[: count * size].astype(np.float64)).reshape(count, size).mean(1)
    loud = np.flatnonzero(power > np.quantile(power, 0.95) * 10 ** (-QUIET / 10))
    return (int(loud[0]) * size, min(len(samples), int(loud[-1] + 1) * size)) if len(loud) else (0, len(samples))


def compose(cast: Cast, manners: Manners, rng: np.random.Generator, seconds: float) -> Dialogue:
    """A dialogue of `seconds`, or a little less than that and silence."""
    return _Scene(cast, manners, rng, seconds).play()


class _Scene:
    """One dialogue in the making."""

    def __init__(self, cast: Cast, manners: Manners, rng: np.random.Generator, seconds: float) -> None:
        self.cast, self.manners, self.rng, self.rate = cast, manners, rng, cast.rate
        self.agent, self.user = np.zeros((2, round(seconds * cast.rate)), np.float32)
        self.marks: list[Mark] = []
        self.level = self.drawn(manners.level)

    def drawn(self, span: Range) -> float:
        return float(self.rng.uniform(*span))

    def rest(self) -> float:
        """Seconds in which nobody says anything."""
        return self.drawn(self.manners.silent if self.happens(self.manners.long) else self.manners.idle)

    def said(self, clip: Clip) -> np.ndarray:
        """What the user says, at a pace of its own."""
        sound, pace = self.cast.sound(clip, True), self.drawn(self.manners.pace)
        played = resample(Waveform(sound, round(self.rate * pace)), self.rate)
        return played.samples

    def happens(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    def one(self, clips: Sequence[Clip]) -> Clip:
        return clips[int(self.rng.integers(len(clips)))]

    def play(self) -> Dialogue:
        at, clip = self.rest(), self.one(self.cast.users)
        while True:
            at = self.aside(at)
            stop = self.turn(at, clip)
            if stop is None:
                break
            at, clip = self.reply(stop)
        self.always()
        agent, user = (Waveform(np.clip(x, -1, 1), self.rate) for x in (self.agent, self.user))
        return Dialogue(agent, user, tuple(sorted(self.marks, key=lambda mark: mark.start)))

    def lay(self, kind: Kind, samples: np.ndarray, at: float, decibels: float, clip: str) -> float | None:
        """Put sound into a channel, if it fits -> when it is over, seconds."""
        channel = self.agent if kind == "reply" else self.user
        first = round(at * self.rate)
        if first + len(samples) > len(channel):
            return None
        channel[first : first + len(samples)] += samples * np.float32(10 ** (decibels / 20))
        stop = (first + len(samples)) / self.rate
        self.marks.append(Mark(kind, first / self.rate, stop, clip))
        return stop

    def aside(self, at: float) -> float:
        """What asks for no answer -> when the user may speak."""
        if self.happens(self.manners.bystander):
            clip = self.one(self.cast.users)
            far = self.roomy(self.said(clip))
            at = self.lay("bystander", far, at, self.level + self.drawn(self.manners.far), clip.id) or at
            at += self.rest()
        if self.cast.noises and self.happens(self.manners.noise):
            at = self.noise(at) or at
            at += self.rest()
        return at

    def noise(self, at: float) -> float | None:
        """A second or so of a noise, from somewhere in its recording."""
        clip = self.one(self.cast.noises)
        sound = self.cast.sound(clip, False)
        size = min(len(sound), round(self.drawn((0.3, 1.6)) * self.rate))
        first = int(self.rng.integers(len(sound) - size + 1))
        part = self.faded(sound[first : first + size])
        return self.lay("noise", part, at, self.level + self.drawn(self.manners.noisy), clip.id)

    def turn(self, at: float, clip: Clip, kind: Kind = "turn") -> float | None:
        """The user says something, perhaps with a pause in it -> when that is over, or None if it does not fit."""
        stop = self.lay(kind, self.said(clip), at, self.level, clip.id)
        if stop is None or not self.happens(self.manners.paused):
            return stop
        same = [c for c in self.cast.users if (c.corpus, c.speaker) == (clip.corpus, clip.speaker)]
        more = self.one(same if clip.speaker is not None else [clip])
        begin = stop + self.drawn(self.manners.pause)
        after = self.lay("turn", self.said(more), begin, self.level, more.id)
        if after is None:
            return stop
        self.marks.append(Mark("pause", stop, begin))
        return after

    def reply(self, at: float) -> tuple[float, Clip]:
        """The agent answers and may be interrupted -> when the next turn begins, and what is said in it."""
        clip, following = self.one(self.cast.agent), self.one(self.cast.users)
        sound, start = self.cast.sound(clip, True), at + self.drawn(self.manners.gap)
        lasts, after = len(sound) / self.rate, self.rest()
        if lasts > 1.0 and self.happens(self.manners.barge_in):
            begin = start + self.drawn((0.3, lasts - 0.4))
            until = round((begin + self.drawn(self.manners.stops) - start) * self.rate)
            stop = self.turn(begin, following, "barge-in")
            if stop is not None:
                self.lay("reply", self.faded(sound[:until]), start, LOUD, clip.id)
                return self.answered(stop), self.one(self.cast.users)
        if self.lay("reply", sound, start, LOUD, clip.id) is None:
            return len(self.user) / self.rate, following
        for chance, clips in ((self.manners.feedback, self.cast.feedback), (self.manners.noise, self.cast.noises)):
            if clips and lasts > 0.8 and self.happens(chance):
                self.beside(start + self.drawn((0.2, lasts - 0.5)), clips is self.cast.feedback)
        return start + lasts + after, following

    def answered(self, at: float) -> float:
        """A reply to what interrupted the one before -> when the next turn begins."""
        clip = self.one(self.cast.agent)
        stop = self.lay("reply", self.cast.sound(clip, True), at + self.drawn(self.manners.gap), LOUD, clip.id)
        return (len(self.user) / self.rate if stop is None else stop) + self.rest()

    def beside(self, at: float, feedback: bool) -> None:
        """Feedback or a noise while the agent speaks."""
        if feedback:
            clip = self.one(self.cast.feedback)
            self.lay("feedback", self.said(clip), at, self.level, clip.id)
        else:
            self.noise(at)

    def always(self) -> None:
        """The noise of the room, and the agent's echo."""
        size = len(self.user)
        if self.cast.noises and self.happens(self.manners.background):
            sound = self.cast.sound(self.one(self.cast.noises), False)
            whole = np.resize(sound, size) * np.float32(10 ** ((self.level + self.drawn(self.manners.below)) / 20))
            self.user += whole
        if self.happens(self.manners.echo):
            late = round(self.drawn(self.manners.later) * self.rate)
            heard = self.roomy(self.agent)[: size - late] * np.float32(10 ** (self.drawn(self.manners.echoed) / 20))
            self.user[late : late + len(heard)] += heard

    def roomy(self, samples: np.ndarray) -> np.ndarray:
        """The sound as it arrives from elsewhere in a room, as long and as loud as it was."""
        if not self.cast.rooms or not len(samples):
            return samples
        response = self.cast.sound(self.one(self.cast.rooms), False)
        response = response[int(np.abs(response).argmax()) :][: self.rate // 2]
        size = 1 << (len(samples) + len(response)).bit_length()
        far = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
        power = float(np.sqrt(np.mean(np.square(samples)) / max(np.mean(np.square(far)), 1e-12)))
        return (far * power).astype(np.float32)

    def faded(self, samples: np.ndarray) -> np.ndarray:
        """Sound that dies away at its end."""
        size = min(len(samples), round(FADE * self.rate))
        faded = samples.copy()
        faded[len(samples) - size :] *= np.linspace(1, 0, size, dtype=np.float32)
        return faded


def _loudness(samples: np.ndarray, rate: int) -> float:
    """Root mean square of the louder half of frames."""
    size = max(1, round(FRAME * rate))
    count = len(samples) // size
    if not count:
        return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    power = np.square(samples[: count * size].astype(np.float64)).reshape(count, size).mean(1)
    return float(np.sqrt(power[power >= np.median(power)].mean()))
