"""What each kind of part promises. Protocols only: a part inherits nothing and registers nowhere.

A part without weights is a frozen dataclass. A part with weights is a pair in one file: a frozen dataclass of the
paper's numbers, whose `build()` gives an `nn.Module` that keeps the promise. Every part says which streams it `needs`
and which it gives (`specs`); `wave` stands for the recording itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from oration.core.spec import Spec
from oration.core.stream import Example
from oration.core.waveform import Waveform

X = TypeVar("X", contravariant=True)
Y = TypeVar("Y")


class Live(Protocol[X, Y]):
    """The streaming form of a part: any cutting of the input, then `flush`, gives what the offline call gives."""

    def push(self, x: X) -> list[Y]: ...

    def flush(self) -> list[Y]: ...


@runtime_checkable
class Tokenizer(Protocol):
    """Recording -> streams."""

    needs: tuple[str, ...]

    def specs(self) -> dict[str, Spec]: ...

    def encode(self, waves: Sequence[Waveform]) -> list[Example]: ...


@runtime_checkable
class Operation(Protocol):
    """Streams -> streams, without weights. Whatever drops, randomises or aligns is one; chance comes from `rng`."""

    @property
    def needs(self) -> tuple[str, ...]: ...

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        """The streams it adds (or replaces), from the specs of those it reads."""
        ...

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example: ...


@runtime_checkable
class Vocoder(Protocol):
    """Streams -> recording."""

    needs: tuple[str, ...]
    rate: int

    def decode(self, examples: Sequence[Example]) -> list[Waveform]: ...


class Buildable(Protocol):
    """The configuration half of a part with weights."""

    def build(self, *args: Any) -> Any: ...


@dataclass(frozen=True)
class Event:
    """Something that leaves a live session."""

    kind: Literal["audio", "text", "state"]
    value: Any
    stream: str = "wave"
