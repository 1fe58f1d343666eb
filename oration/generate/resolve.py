"""Cascades are not code: the order of parts follows from what each needs and gives, as in `make`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from oration.core import BadInput


class Giver(Protocol):
    """What `resolve` asks of a part; `Step` makes one of anything."""

    @property
    def needs(self) -> tuple[str, ...]: ...

    @property
    def gives(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Step:
    """A part with the streams it needs and gives."""

    needs: tuple[str, ...]
    gives: tuple[str, ...]
    part: Any = None


G = TypeVar("G", bound=Giver)


def resolve(parts: Sequence[G], have: set[str] | frozenset[str], want: str) -> list[G]:
    """The parts that make `want` out of `have`, in the order to run them. Of two givers, the first that can be run.

    >>> units = Step(("wave",), ("units",), "tokenizer")
    >>> vocoder = Step(("reply.units",), ("reply.wave",), "vocoder")
    >>> lm = Step(("units",), ("reply.units",), "lm")
    >>> [step.part for step in resolve([vocoder, lm, units], {"wave"}, "reply.wave")]
    ['tokenizer', 'lm', 'vocoder']

    Raises:
        BadInput: nothing gives a stream that is needed.
    """

    def make(stream: str, reason: str, done: list[G], pending: tuple[G, ...]) -> list[G]:
        if stream in have or any(stream in part.gives for part in done):
            return done
        wrong: BadInput | None = None
        for part in (part for part in parts if stream in part.gives and part not in pending):
            order = done
            try:
                for need in part.needs:
                    order = make(need, stream, order, (*pending, part))
            except BadInput as missing:
                wrong = wrong or missing
            else:
                return [*order, part]
        known = sorted(have.union(*(part.gives for part in parts)))
        raise wrong or BadInput(f"nothing gives {stream!r}, needed by {reason!r}; known streams: {known}")

    return make(want, "what was asked for", [], ())
