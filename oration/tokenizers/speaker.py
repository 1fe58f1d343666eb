"""Who speaks, as the clip's label says: one symbol for the whole recording. It does not listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from oration.core import BadInput, Example, Spec, Stream


class Labelled(Protocol):
    """A clip that knows its speaker."""

    @property
    def speaker(self) -> str | None: ...


@dataclass(frozen=True, kw_only=True)
class SpeakerTable:
    """Names of speakers; a name's place in the table is its symbol."""

    names: tuple[str, ...]
    others: bool = False
    """Give everyone else (and clips without a label) one more symbol, instead of refusing them."""
    stream: str = "speaker"
    needs = ()

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise BadInput(f"a table of speakers needs names, each once, but got {self.names}")

    @classmethod
    def tiny(cls) -> SpeakerTable:
        return cls(names=("ann", "bob"))

    def specs(self) -> dict[str, Spec]:
        return {self.stream: Spec(len(self.names) + self.others)}

    def index(self, name: str | None) -> int:
        """The symbol of a speaker.

        Raises:
            BadInput: the table does not have that speaker.
        """
        if name in self.names:
            return self.names.index(name)
        if self.others:
            return len(self.names)
        raise BadInput(f"speaker {name!r} is not in the table; it has {', '.join(self.names)}, so name one of them")

    def label(self, clip: Labelled) -> Example:
        """The one-item stream of a clip."""
        return {self.stream: Stream(np.array([self.index(clip.speaker)]))}
