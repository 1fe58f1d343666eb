"""What a scripted user does, step by step, as data. Knows no engine.

A step waits for what the user hears, not for a clock: an interruption comes so long after a reply began to sound,
however late that was. What is said is drawn from recordings with a seed, so another seed has other words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from oration.core import BadInput

Voice = Literal["speech", "feedback", "noise", "bystander"]
"""What sounds: the user, the user's short feedback, a noise, or somebody else further away."""

Deed = Literal["turn", "pause", "barge-in", "feedback", "noise", "bystander", "silence"]
"""What a step is to a judge."""


@dataclass(frozen=True, kw_only=True)
class Say:
    """The user says something and expects an answer, or goes on after a pause."""

    ends: bool = True
    """Whether the turn ends here."""
    level: float = -26.0
    """dB of full scale (root mean square)."""


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Silence in the middle of a turn: nobody is to answer here."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Silence of the user, in which nothing is asked."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Listen:
    """Wait until a reply has sounded and has been silent for `quiet` seconds, or none has begun within `longest`."""

    longest: float = 4.0
    quiet: float = 1.2


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Something that asks for no answer: while all is quiet, or `over` seconds after a reply began to sound."""

    voice: Voice
    over: float | None = None
    level: float = -26.0


@dataclass(frozen=True, kw_only=True)
class Interrupt:
    """The user speaks over a reply, `over` seconds after it began to sound; it is to stop, and to answer afterwards."""

    over: float = 0.8
    level: float = -26.0


Step = Say | Pause | Wait | Listen | Sound | Interrupt


@dataclass(frozen=True, kw_only=True)
class Script:
    """One rehearsal."""

    name: str
    about: str
    steps: tuple[Step, ...]
    echo: float | None = None
    """dB at which the microphone hears the loudspeaker; None: headphones."""
    later: float = 0.08
    """Seconds by which that is late."""
    background: float | None = None
    """dB of full scale of a noise throughout."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise BadInput(f"the script {self.name!r} has no steps; give at least one")
        for step in self.steps:
            for name in ("seconds", "over", "longest", "quiet"):
                value = getattr(step, name, None)
                if value is not None and not 0 <= value <= 600:
                    raise BadInput(f"{type(step).__name__} has {name}={value}, expected seconds from 0 to 600")


def _times(count: int, *steps: Step) -> tuple[Step, ...]:
    return steps * count


TURN = (Say(), Listen(), Wait(seconds=0.8))

SCRIPTS: Mapping[str, Script] = {
    script.name: script
    for script in (
        Script(name="turns", about="six questions, each after the answer to the one before", steps=_times(6, *TURN)),
        Script(
            name="pauses",
            about="turns with pauses of 0.3 to 1.5 s in them, which are no end",
            steps=tuple(
                step
                for seconds in (0.3, 0.5, 0.7, 1.0, 1.5)
                for step in (Say(ends=False), Pause(seconds=seconds), *TURN)
            ),
        ),
        Script(
            name="interruptions",
            about="every answer is spoken over after 0.4 to 1.2 s",
            steps=tuple(
                step
                for over in (0.4, 0.6, 0.8, 1.0, 1.2)
                for step in (Say(), Interrupt(over=over), Listen(), Wait(seconds=0.8))
            ),
        ),
        Script(
            name="feedback",
            about='short feedback ("mm-hm") during every answer, which is to go on',
            steps=_times(5, Say(), Sound(voice="feedback", over=0.5), Listen(), Wait(seconds=0.8)),
        ),
        Script(
            name="noises",
            about="noises while nobody speaks, and during every answer",
            steps=_times(
                5, Sound(voice="noise"), Wait(seconds=1.0), Say(), Sound(voice="noise", over=0.5), Listen(),
                Wait(seconds=0.8),
            ),
        ),
        Script(
            name="bystanders",
            about="others speak further away, to somebody else",
            steps=_times(4, Sound(voice="bystander", level=-44.0), Wait(seconds=1.5), *TURN),
        ),
        Script(
            name="echo",
            about="the microphone hears the loudspeaker at -12 dB",
            steps=_times(5, *TURN),
            echo=-12.0,
        ),
        Script(name="silence", about="nobody says anything for twenty seconds", steps=(Wait(seconds=20.0),)),
        Script(
            name="noise",
            about="turns in a noisy room, 20 dB below the user",
            steps=_times(4, *TURN),
            background=-46.0,
        ),
        Script(
            name="mixed",
            about="a bit of everything",
            steps=(
                *TURN, Say(ends=False), Pause(seconds=0.4), *TURN, Say(), Interrupt(over=0.6), Listen(),
                Wait(seconds=0.8), Sound(voice="noise"), Wait(seconds=1.0), Say(), Sound(voice="noise", over=0.5),
                Listen(), Sound(voice="bystander", level=-44.0), Wait(seconds=1.5), *TURN,
            ),
            echo=-30.0,
        ),
    )
}  # fmt: skip
"""The scripts that come with the toolkit, by name."""
