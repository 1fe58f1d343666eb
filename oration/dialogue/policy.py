"""Policies of turn-taking as data: when the user has finished, when speech interrupts, when to keep silent.

A policy may be swapped while a session runs, and is recorded in its log. All times are in seconds of the session's own
input clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from oration.core import BadInput


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """When the user's turn begins and ends, while the model listens."""

    threshold: float = 0.5
    """Probability of speech from which a frame counts as speech."""
    release: float = 0.35
    """Probability below which it no longer does, once there was speech."""
    speech: float = 0.1
    """Least speech that begins a turn."""
    silence: float = 0.5
    """Silence that ends a turn."""
    prefix: float = 0.3
    """What is kept before the onset, so that no first consonant is cut off."""
    longest: float = 30.0
    """A turn that is longer is ended."""
    create: bool = True
    """Whether the end of a turn begins a reply; otherwise only `respond` does."""


@dataclass(frozen=True, kw_only=True)
class Interrupt:
    """When the user's speech stops the model's, while it thinks or speaks."""

    allowed: bool = True
    threshold: float = 0.85
    """Probability of speech from which a frame counts: higher than for a turn, as doors and dogs do not interrupt."""
    speech: float = 0.09
    """Least speech that stops the reply's sound."""
    gap: float = 0.1
    """A pause of this length starts the count of speech anew."""
    confirm: float = 0.35
    """Least speech that makes it an interruption for good; less is a false one."""
    resume: float = 0.5
    """Silence after which a false interruption is over and the reply goes on from where it was heard."""


@dataclass(frozen=True, kw_only=True)
class Backchannel:
    """Short speech of the user while the model speaks ("mm-hmm") that does not stop it."""

    allowed: bool = False
    """Whether to wait for `longest` before speech counts as an interruption."""
    longest: float = 0.6
    """Speech up to this length is a backchannel."""


@dataclass(frozen=True, kw_only=True)
class Addressed:
    """Interactive period recognition: which speech is meant for the model at all (survey v3 section 4.3)."""

    level: float = -55.0
    """dBFS: speech that is quieter on average is not meant for the model."""
    speech: float = 0.2
    """Least speech in a turn for it to be answered."""
    query: float = 0.0
    """Least score, 0 to 1, of a learned scorer of queries, where the model gives one; 0 answers all."""


@dataclass(frozen=True, kw_only=True)
class Silence:
    """What happens when nobody says anything."""

    after: float | None = None
    """Seconds of silence, after a reply was heard, until the model speaks up by itself; None: never."""
    times: int = 1
    """How often in a row."""


@dataclass(frozen=True, kw_only=True)
class Echo:
    """How the model's own voice, coming back through the microphone, is told from the user's."""

    guard: bool = True
    delay: float = 0.5
    """Longest way from the loudspeaker into the microphone that is looked for, s."""
    alike: float = 0.55
    """Correlation of the input's spectrum with what was played from which a frame can be echo alone."""
    louder: float = 6.0
    """dB by which the input must exceed the echo that is expected, for a frame to be the user's."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All of them. `thinking`, `speaking`: what interrupts in which state."""

    endpoint: Endpoint = field(default_factory=Endpoint)
    thinking: Interrupt = field(default_factory=lambda: Interrupt(threshold=0.6, speech=0.16))
    speaking: Interrupt = field(default_factory=Interrupt)
    backchannel: Backchannel = field(default_factory=Backchannel)
    addressed: Addressed = field(default_factory=Addressed)
    silence: Silence = field(default_factory=Silence)
    echo: Echo = field(default_factory=Echo)

    def __post_init__(self) -> None:
        for part in fields(self):
            rule = getattr(self, part.name)
            for f in fields(rule):
                value = getattr(rule, f.name)
                number = isinstance(value, int | float) and not isinstance(value, bool)
                if number and f.name != "level" and not 0 <= value < 3600:
                    raise BadInput(f"policy {part.name}.{f.name}={value}; expected a number from 0 to 3600")
        if self.endpoint.silence <= 0:
            raise BadInput("policy endpoint.silence=0 would end a turn at once; give some seconds, such as 0.5")

    def changed(self, changes: dict[str, Any]) -> Policy:
        """A copy with `{"endpoint": {"silence": 0.8}}`, as a client sends it.

        Raises:
            BadInput: an unknown name, or a value of another kind.
        """
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, values in changes.items():
            if name not in parts or not isinstance(values, dict):
                raise BadInput(f"policy {name!r}={values!r}; expected an object for one of {', '.join(parts)}")
            known = {f.name: getattr(parts[name], f.name) for f in fields(parts[name])}
            for key, value in values.items():
                if key not in known:
                    raise BadInput(f"policy {name!r} has no {key!r}; it has {', '.join(known)}")
                known[key] = _like(known[key], value, f"{name}.{key}")
            parts[name] = type(parts[name])(**known)
        return Policy(**parts)


def _like(old: Any, new: Any, name: str) -> Any:
    """A value of the old one's kind."""
    if name == "silence.after":
        fits = new is None or (isinstance(new, int | float) and not isinstance(new, bool))
    elif isinstance(old, bool):
        fits = isinstance(new, bool)
    elif isinstance(old, int):
        fits = isinstance(new, int) and not isinstance(new, bool)
    else:
        fits = isinstance(new, int | float) and not isinstance(new, bool)
    if not fits:
        raise BadInput(f"policy {name}={new!r}; expected a value such as {old!r}")
    return new
