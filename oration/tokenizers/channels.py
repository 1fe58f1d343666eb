"""Both sides of a dialogue through one tokenizer: the streams of the agent, and those of the other party as `user.*`.

What dGSLM, Moshi, NTPP or SyncLLM read. They are trained on calls recorded in two channels; a recording of one speaker
becomes such a call by a cut in a pause, which teaches nothing about overlap but everything about layouts.

    recording  | so what do you think      I think it works |
    user.*     | so what do you think   .                   |   before the cut, then silence
    *          |                        .  I think it works |   silence, then what follows
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
from torch import nn

from oration.core import TICKS, BadInput, Example, Spec, Stream, Tokenizer, Waveform
from oration.core.decoder import Decoder
from oration.tokenizers.grouped import smallest
from oration.tokenizers.mel_rvq import MelRvq

FRAME = 0.01
"""Seconds over which loudness is measured."""
QUIET = 30.0
"""dB below the loud parts of a recording that count as a pause."""
TURN = 0.3
"""Seconds over which two sides are compared, so that a cough takes no turn."""


class Config(Protocol):
    """The configuration of a tokenizer that listens."""

    needs: Any

    def specs(self) -> dict[str, Spec]: ...


@dataclass(frozen=True, kw_only=True)
class Channels:
    """The streams of tokenizer `of` once per party: the agent's first, then the user's, all equally long."""

    of: Config = field(default_factory=MelRvq)
    prefixes: tuple[str, str] = ("", "user.")
    """The agent's and the user's."""
    cut: Literal["pause", "middle", "noise"] = "pause"
    """Where a recording of one channel changes from user to agent: in its longest pause around the middle, or there.
    `noise`: nowhere; the user's channel is the recording with noise, 0 to 20 dB below it, and the agent's the clean one
    (SpeechX, Wang et al. 2023, arXiv:2308.06873)."""
    floor: bool = False
    """Give the stream `floor` besides: who speaks (0 the agent, 1 the user), each item from its onset on. It tells
    `streams.WhoSays` whose words those of a recording are."""
    needs = ("wave",)

    def __post_init__(self) -> None:
        if len(set(self.prefixes)) != 2:
            raise BadInput(f"Channels names two parties, but got the prefixes {self.prefixes}; give two that differ")
        if "wave" not in self.of.needs:
            raise BadInput(
                f"Channels listens to two parties, but {type(self.of).__name__} needs {self.of.needs} and no "
                "recording; give it a tokenizer of the wave"
            )
        if self.floor and self.cut == "noise":
            raise BadInput("Channels(cut='noise') has one speaker throughout, so there is no floor; leave floor=False")

    def tiny(self) -> Channels:
        """The same parties through a tiny tokenizer."""
        return replace(self, of=smallest(self.of))

    def specs(self) -> dict[str, Spec]:
        both = {prefix + name: spec for prefix in self.prefixes for name, spec in self.of.specs().items()}
        return both | ({"floor": Spec(2)} if self.floor else {})

    def vocoder(self) -> Decoder:
        """For `Recipe.vocoder`: the agent's channel.

        Raises:
            BadInput: the tokenizer is no codec.
        """
        if not hasattr(self.of, "vocoder"):
            raise BadInput(f"{type(self.of).__name__} is no codec, so it gives no sound; give the recipe a vocoder")
        inner: Decoder = self.of.vocoder()
        first = self.prefixes[0]
        return Decoder(of=first + inner.of, needs=tuple(first + name for name in inner.needs), rate=inner.rate)

    def build(self) -> ChannelsModel:
        return ChannelsModel(self)


class ChannelsModel(nn.Module):
    """One tokenizer for both channels; training stages name it `inner` (`units.inner`, `units.inner.encoder`)."""

    needs = ("wave",)

    def __init__(self, numbers: Channels) -> None:
        super().__init__()
        self.numbers = numbers
        self.inner: Any = numbers.of.build() if hasattr(numbers.of, "build") else numbers.of

    @property
    def rate(self) -> int:
        """Hz of the sound that the tokenizer works at, or gives."""
        return int(getattr(self.inner, "rate", 16_000))

    def specs(self) -> dict[str, Spec]:
        return self.numbers.specs()

    def split(self, wave: Waveform) -> tuple[Waveform, Waveform]:
        """A recording of one channel -> (agent, user), each as long as it and silent while the other speaks."""
        if self.numbers.cut == "noise":
            return wave, noisy(wave)
        at = self.cut(wave)
        user, agent = np.zeros_like(wave.samples), np.zeros_like(wave.samples)
        user[:at], agent[at:] = wave.samples[:at], wave.samples[at:]
        return Waveform(agent, wave.rate), Waveform(user, wave.rate)

    def cut(self, wave: Waveform) -> int:
        """The sample at which a recording of one channel changes from user to agent."""
        return len(wave) // 2 if self.numbers.cut == "middle" else pause(wave)

    def agent(self, wave: Waveform) -> Waveform:
        """The agent's side of a recording of one channel: what a vocoder of the agent's streams has to make."""
        return self.split(wave)[0]

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings of one channel, each cut in two turns -> the streams of both parties."""
        examples = self.join([self.split(wave) for wave in waves])
        if self.numbers.floor:
            for example, wave in zip(examples, waves, strict=True):
                change = self.cut(wave) * TICKS // wave.rate
                example["floor"] = Stream(np.array([1, 0]), np.array([0, change], np.int64))
        return examples

    def join(self, calls: Sequence[tuple[Waveform, Waveform]]) -> list[Example]:
        """Recordings of two channels, (agent, user) -> the streams of both parties.

        Raises:
            BadInput: the channels of a call are not equally long.
        """
        for agent, user in calls:
            if (len(agent), agent.rate) != (len(user), user.rate):
                raise BadInput(
                    f"the two channels of a call are equally long, but the agent's is {agent!r} and the user's {user!r}"
                    "; fill the shorter one up with silence"
                )
        tokenizer: Tokenizer = self.inner
        sides = [tokenizer.encode([call[side] for call in calls]) for side in range(2)]
        examples = [
            {
                p + name: stream
                for p, one in zip(self.numbers.prefixes, both, strict=True)
                for name, stream in one.items()
            }
            for both in zip(*sides, strict=True)
        ]
        if self.numbers.floor:
            for example, call in zip(examples, calls, strict=True):
                example["floor"] = floor(*call)
        return examples

    def hear(self, waves: Sequence[Waveform]) -> list[Example]:
        """What the user alone says, before a reply: the agent is silent throughout, or knows no noise."""
        if self.numbers.cut == "noise":
            return self.join([(wave, wave) for wave in waves])
        return self.join([(Waveform(np.zeros_like(wave.samples), wave.rate), wave) for wave in waves])

    def decode(self, examples: Sequence[Example], *, levels: int | None = None) -> list[Waveform]:
        """The agent's streams -> sound, by the codec inside; with `levels`, by so many of its levels."""
        first, names = self.numbers.prefixes[0], set(self.numbers.of.specs())
        agents = [{n: example[first + n] for n in names if first + n in example} for example in examples]
        waves: list[Waveform] = (
            self.inner.decode(agents) if levels is None else self.inner.decode(agents, levels=levels)
        )
        return waves

    def live(self) -> LiveChannels:
        """The form that takes pieces; where to cut is known at the end only, so it gives nothing before."""
        return LiveChannels(self)


class LiveChannels:
    """One recording of one channel in pieces -> both parties' streams, at the end."""

    def __init__(self, model: ChannelsModel) -> None:
        self.model, self.pieces = model, list[Waveform]()

    def push(self, wave: Waveform) -> list[Example]:
        """A piece; all of a recording have one rate."""
        if self.pieces and self.pieces[0].rate != wave.rate:
            before = self.pieces[0].rate
            raise BadInput(f"a live piece has {wave.rate} Hz, expected {before} Hz as those before; flush first")
        self.pieces.append(wave)
        return []

    def flush(self) -> list[Example]:
        """All of it. Afterwards it is ready for another recording."""
        pieces, self.pieces = self.pieces, []
        if not pieces:
            return []
        return self.model.encode([Waveform(np.concatenate([p.samples for p in pieces]), pieces[0].rate)])


def noisy(wave: Waveform) -> Waveform:
    """The recording with white noise, 0 to 20 dB below it; which noise follows from the recording alone."""
    rng = np.random.default_rng(zlib.crc32(wave.samples.tobytes()))
    level = float(np.sqrt(np.square(wave.samples, dtype=np.float64).mean())) if len(wave) else 0.0
    noise = rng.standard_normal(len(wave)) * level * 10 ** (-rng.uniform(0, 20) / 20)
    return Waveform(np.clip(wave.samples + noise, -1, 1).astype(np.float32), wave.rate)


def floor(agent: Waveform, user: Waveform) -> Stream:
    """Who speaks (0 the agent, 1 the user), each item from its onset on: who is louder over `TURN`, until the other is.

    The first item is the user, at 0.
    """
    size, span = max(1, round(FRAME * agent.rate)), round(TURN / FRAME)
    count = len(agent) // size
    power = np.zeros((2, count))
    for side, wave in enumerate((agent, user) if count else ()):
        frames = wave.samples[: count * size].astype(np.float64).reshape(count, size)
        power[side] = np.convolve(np.square(frames).mean(1), np.full(span, 1 / span), "same")[:count]
    loud = power.max(0) > np.quantile(power.max(0), 0.95) * 10 ** (-QUIET / 10) if count else np.zeros(0, bool)
    who = (power[1] > power[0]).astype(np.int64)[loud]
    at = np.flatnonzero(loud)
    changes = np.flatnonzero(np.diff(np.concatenate([[1], who])))
    ids = np.concatenate([[1], who[changes]])
    return Stream(ids, np.concatenate([[0], at[changes] * size * TICKS // agent.rate]).astype(np.int64))


def pause(wave: Waveform) -> int:
    """The sample in the middle of the longest pause whose middle lies in the middle half; the quietest place if none.

    A pause is `QUIET` dB below the loud parts (the 95th percentile of frames of 10 ms). Equal pauses: the first.
    """
    size = max(1, round(FRAME * wave.rate))
    count = len(wave) // size
    if count < 4:
        return len(wave) // 2
    power = wave.samples[: count * size].astype(np.float64).reshape(count, size)
    power = np.square(power).mean(1)
    quiet = power <= np.quantile(power, 0.95) * 10 ** (-QUIET / 10)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    middles = (starts + stops) // 2
    central = (middles >= count // 4) & (middles < count - count // 4)
    if central.any():
        at = middles[central][np.argmax((stops - starts)[central])]
    else:
        at = count // 4 + np.argmin(power[count // 4 : count - count // 4])
    return int(at) * size
