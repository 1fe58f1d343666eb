"""What makes a reply of a turn: a model's own task here, a cascade elsewhere. Knows no policy and no ledger."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from oration.core import BadInput, Example, Stream
from oration.generate import score
from oration.live.answer import Answer, finished
from oration.live.engine import Options
from oration.live.listener import Listener
from oration.model import SpeechLM
from oration.reply import chain, prepared


@dataclass(eq=False)
class Past:
    """What a dialogue holds so far: turns, each cut to what was heard of it."""

    turns: deque[dict[str, Any]]
    """Of a model that answers: language model -> its whole turn. Of one that goes on: the streams, in order."""
    seconds: list[float] = field(default_factory=list)
    """How long each reply was heard."""


class Making(Protocol):
    """A reply under way."""

    done: bool
    waves: deque[np.ndarray]
    words: deque[str]
    understood: deque[str]
    """The user's words, where they are found on the way to the reply."""

    def step(self, items: int) -> None:
        """Some more of it."""
        ...


class Hearing(Protocol):
    """The user's turn under way."""

    def begin(self) -> None: ...

    def push(self, samples: np.ndarray) -> None: ...

    def end(self) -> Any:
        """What was understood, for `Responder.reply`."""
        ...


class Responder(Protocol):
    """Turn in, reply out, and the memory of both."""

    rate: int
    """Hz, both ways."""
    delay: float
    """Seconds that the reply's sound waits for, beside computing."""
    reads: bool
    """Whether it takes text."""

    def listener(self) -> Hearing: ...

    def past(self, options: Options) -> Past: ...

    def reply(self, heard: Any, text: str | None, past: Past, options: Options, seed: int) -> Making:
        """
        Raises:
            BadInput: there is nothing to reply to.
        """
        ...

    def remember(self, past: Past, heard: Any, making: Making, seconds: float) -> None:
        """The user's turn and so many seconds of the reply belong to the past now."""
        ...

    def understood(self, heard: Any) -> str | None:
        """The user's words, where it makes words of them."""
        ...

    def query(self, heard: Any) -> float | None:
        """How much a turn sounds like one that asks for a reply, 0 to 1; None: it cannot tell."""
        ...


class Replies:
    """A recipe's own task. One that answers reads the turns before; one that goes on reads all that was heard."""

    def __init__(self, model: SpeechLM, task: str | None = None) -> None:
        self.model, self.links, self.rate = model, chain(model.recipe.lms, task), model.rate
        self.answers = self.links[0].answers
        given = {name.removeprefix("user.") for link in self.links for name in link.given}
        self.reads = bool(given & set(model.readers()))
        self.delay = self._delay()

    def listener(self) -> Listener:
        return Listener(self.model, self.links)

    def past(self, options: Options) -> Past:
        return Past(deque(maxlen=2 * options.history))

    def reply(self, heard: Example, text: str | None, past: Past, options: Options, seed: int) -> Answer:
        """
        Raises:
            BadInput: a stream is missing that a model reads, or the turn alone is too long for it.
        """
        heard = dict(heard)
        if text is not None:
            heard |= self.model.written(text)
        self.model.derive([heard])
        turns, seconds = list(past.turns), options.longest
        while True:
            try:
                answer = self._begin(self._joined(turns, heard), turns, seconds, options, seed)
                answer.step(1)
                return answer
            except BadInput:  # what does not fit the model's context is the oldest turn's, then the reply's
                if turns:
                    turns = turns[1:]
                elif seconds > 2.0:
                    seconds /= 2
                else:
                    raise

    def remember(self, past: Past, heard: Example, making: Making, seconds: float) -> None:
        assert isinstance(making, Answer)
        past.seconds.append(seconds)
        if not self.answers:
            past.turns.append(dict(heard))
            if seconds > 0:
                past.turns.append(self._cut(self._spoken(making), seconds))
            return
        making.stop()
        turn = finished(making)
        if len(turn) == len(self.links):  # else it was cut off before it had any sound
            whole = making.speaker.made / self.model.rate
            past.turns.append({name: self._cut(example, seconds, whole) for name, example in turn.items()})

    def understood(self, heard: Example) -> str | None:
        return None

    def query(self, heard: Example) -> float | None:
        """Of a model that goes on: the mean probability (geometric) that it gives to a unit of the turn. What is speech
        in the language it learnt it finds likelier than noise, music and other languages."""
        link = self.links[0]
        if self.answers or link.lm.generator is not None:
            return None
        example, specs = prepared(link, heard, self.model.specs, 0), {**self.model.specs}
        if not all(len(example.get(name, ())) for name in link.task.layout.streams):
            return None
        whole = score(self.model.part(link.lm.name), link.task, [example], {**specs, **link.lm.specs(specs)})[0].total
        return math.exp(whole.nats / max(1, whole.count))

    def _begin(
        self, heard: Example, turns: Sequence[dict[str, Any]], seconds: float, options: Options, seed: int
    ) -> Answer:
        before = {}
        if self.answers and turns:
            before = {link.lm.name: [turn[link.lm.name] for turn in turns] for link in self.links}
        return Answer(
            self.model,
            self.links,
            heard,
            before=before,
            seconds=seconds,
            sampler=options.sampler,
            seed=seed,
            voice=options.voice,
        )

    def _joined(self, turns: Sequence[dict[str, Any]], heard: Example) -> Example:
        """Of a model that goes on: all that was heard, one after another."""
        if self.answers or not turns:
            return heard
        whole = dict(heard)
        for name in heard:
            if all(name in turn for turn in turns):
                whole[name] = Stream.joined([*(turn[name] for turn in turns), heard[name]])
        return whole

    def _spoken(self, making: Answer) -> Example:
        """The streams of sound that were said, item for frame."""
        said, speaker = making.speaker.example(), making.speaker
        for name in [name for name in said if name.endswith(".runs")]:
            base = name.removesuffix(".runs")
            if base not in said:
                runs = said[name].ids[: len(speaker.frames)]
                said[base] = Stream(np.repeat(runs, speaker.frames[: len(runs)]))
        return said

    def _cut(self, example: Example, seconds: float, whole: float | None = None) -> Example:
        """Streams up to what was heard of them: to the item where they have a rate; words in proportion to the sound
        where they have no times of their own, and never half a word."""
        specs, cut = {**self.model.specs, **self.links[-1].lm.specs(self.model.specs)}, {}
        for name, stream in example.items():
            rate = specs[name].rate if name in specs else None
            if name.startswith("user."):
                cut[name] = stream
            elif rate is not None:
                cut[name] = stream.cut(0, int(seconds * rate + 1e-6))
            elif name in self.model.readers() and whole:
                cut[name] = self._words(name, stream, min(1.0, seconds / whole))
            elif whole and name in self.links[-1].task.predict:
                cut[name] = stream.cut(0, int(len(stream) * min(1.0, seconds / whole)))
            else:
                cut[name] = stream
        return cut

    def _words(self, name: str, stream: Stream, share: float) -> Stream:
        if share >= 1.0:
            return stream
        reader, count = self.model.readers()[name], int(len(stream) * share)
        whole = str(reader.decode(stream.ids))
        while count and not whole[len(str(reader.decode(stream.ids[:count]))) :].startswith(" "):
            count -= 1
        return stream.cut(0, count)

    def _delay(self) -> float:
        """What the vocoder looks ahead, in seconds."""
        part = self.model.part("vocoder") if self.model.recipe.vocoder is not None else None
        reach = getattr(part, "reach", None)
        late = getattr(part, "late", 0.0)
        return float(reach[1] * part.hop / part.rate) if reach and part is not None else float(late or 0.0)
