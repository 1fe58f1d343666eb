"""The cascade as a session: words are recognised, answered in words, spoken. What every other engine is compared with.

A recipe that holds all three (`cascade`) is driven as it is. Otherwise each stage is a value: any recogniser of
`oration.evaluate.asr`, anything that answers words, anything that speaks them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from oration.audio.resample import resample
from oration.audio.vad import Vad
from oration.core import Waveform
from oration.data.synthesize import speak
from oration.dialogue.policy import Policy
from oration.evaluate.asr import PocketSphinx, Recogniser
from oration.live.engine import Options
from oration.live.responder import Making, Past, Replies
from oration.live.turns import Turns
from oration.model import SpeechLM
from oration.reply import chain

PIECE = 6
"""Words that are spoken at a time: so little is computed ahead of an interruption."""

Exchange = tuple[str, str]
"""What the user said, and what they heard in answer."""


class Thinker(Protocol):
    """Answers words with words."""

    def answer(self, words: str, past: Sequence[Exchange], seed: int) -> str: ...


class Voice(Protocol):
    """Says words."""

    @property
    def rate(self) -> int: ...

    def say(self, words: str, seed: int) -> Waveform: ...


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Says what it heard: the smallest thinker there is."""

    before: str = "You said"
    nothing: str = "I did not hear any words"

    def answer(self, words: str, past: Sequence[Exchange], seed: int) -> str:
        return f"{self.before} {words}" if words else self.nothing


class ModelThinker:
    """A recipe's task that reads text and predicts text."""

    def __init__(self, model: SpeechLM, task: str | None = None) -> None:
        self.model, self.task = model, task

    def answer(self, words: str, past: Sequence[Exchange], seed: int) -> str:
        return self.model.reply(text=words, task=self.task, seed=seed).text or ""


@dataclass(frozen=True, kw_only=True)
class Flite:
    """CMU flite, where its command is installed (Black and Lenzo 2001)."""

    voice: str = "slt"
    rate: int = 16_000

    def say(self, words: str, seed: int) -> Waveform:
        """
        Raises:
            OrationError: flite is not installed.
        """
        return resample(speak(words, self.voice)[0], self.rate)


class ModelVoice:
    """A recipe that reads text aloud."""

    def __init__(self, model: SpeechLM, task: str | None = None, voice: str | None = None) -> None:
        self.model, self.task, self.voice, self.rate = model, task, voice, model.rate

    def say(self, words: str, seed: int) -> Waveform:
        """At most two words a second."""
        seconds = 0.5 + 0.5 * len(words.split())
        return self.model.reply(text=words, task=self.task, seconds=seconds, seed=seed, voice=self.voice).continuation


class Spoken:
    """A reply under way: its words, a few at a time, to sound."""

    def __init__(self, voice: Voice, words: str, longest: int, seed: int) -> None:
        """`longest`: samples, at most."""
        self.voice, self.seed, self.left = voice, seed, longest
        said = words.split()
        self._pieces = deque(said[at : at + PIECE] for at in range(0, len(said), PIECE))
        self.done = not said
        self.waves: deque[np.ndarray] = deque()
        self.words: deque[str] = deque()
        self.understood: deque[str] = deque()
        self.ends: list[tuple[str, int]] = []
        """Each word, and the sample at which it is over."""
        self._made = 0

    def step(self, items: int) -> None:
        """The next few words, however many items are asked for."""
        if not self._pieces:
            self.done = True
            return
        piece = self._pieces.popleft()
        wave = self.voice.say(" ".join(piece), self.seed).samples[: self.left]
        shares = np.cumsum([len(word) + 1 for word in piece])
        self.ends += [
            (word, self._made + round(len(wave) * float(share / shares[-1])))
            for word, share in zip(piece, shares, strict=True)
        ]
        self._made, self.left = self._made + len(wave), self.left - len(wave)
        self.waves.append(wave)
        self.words.append(" ".join(piece) + " ")
        self.done = not self._pieces or self.left <= 0

    def heard(self, samples: int) -> str:
        """The words that are over by then."""
        return " ".join(word for word, end in self.ends if end <= samples)


class Listened:
    """The user's turn, kept until it is over."""

    def __init__(self, recogniser: Recogniser, rate: int) -> None:
        self.recogniser, self.rate = recogniser, rate
        self._held: list[np.ndarray] = []

    def begin(self) -> None:
        self._held = []

    def push(self, samples: np.ndarray) -> None:
        self._held.append(samples)

    def end(self) -> str:
        held, self._held = self._held, []
        whole = np.concatenate([np.zeros(0, np.float32), *held])
        return self.recogniser.transcribe([Waveform(whole, self.rate)])[0] if len(whole) else ""


class Stages:
    """Recogniser, thinker, voice, for `Turns`."""

    delay = 0.0
    reads = True

    def __init__(self, recogniser: Recogniser, thinker: Thinker, voice: Voice) -> None:
        self.recogniser, self.thinker, self.voice, self.rate = recogniser, thinker, voice, voice.rate

    def listener(self) -> Listened:
        return Listened(self.recogniser, self.rate)

    def past(self, options: Options) -> Past:
        return Past(deque(maxlen=options.history))

    def reply(self, heard: str, text: str | None, past: Past, options: Options, seed: int) -> Spoken:
        """One answer; `text` goes before what was heard."""
        exchanges = [cast(Exchange, (turn["user"], turn["model"])) for turn in past.turns]
        answer = self.thinker.answer(text or heard, exchanges, seed)
        return Spoken(self.voice, answer, round(options.longest * self.rate), seed)

    def remember(self, past: Past, heard: str, making: Making, seconds: float) -> None:
        assert isinstance(making, Spoken)
        past.seconds.append(seconds)
        past.turns.append({"user": heard, "model": making.heard(round(seconds * self.rate))})

    def understood(self, heard: str) -> str | None:
        return heard or None

    def query(self, heard: str) -> float | None:
        """A turn without words asks for nothing."""
        return float(bool(heard))


class Cascade(Turns):
    """Turn by turn, in three stages."""

    name = "cascade"

    def __init__(
        self,
        model: SpeechLM | None = None,
        *,
        slots: int = 8,
        policy: Policy | None = None,
        recogniser: Recogniser | None = None,
        thinker: Thinker | None = None,
        voice: Voice | None = None,
        vad: Vad | None = None,
    ) -> None:
        """
        Args:
            model: a recipe with all three stages; without, and where it has not, the stages that follow.
            recogniser: default: pocketsphinx.
            thinker: default: says what it heard.
            voice: default: flite.
        """
        own = model is not None and recogniser is None and thinker is None and voice is None
        if own and model is not None and len(chain(model.recipe.lms)) > 2:
            super().__init__(responder=Replies(model), slots=slots, policy=policy, vad=vad)
            return
        stages = Stages(recogniser or PocketSphinx(), thinker or Repeat(), voice or Flite())
        super().__init__(responder=stages, slots=slots, policy=policy, vad=vad)
