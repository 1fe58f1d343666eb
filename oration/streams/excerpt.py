"""A random piece of a recording, the same of all its streams: for models that are trained on crops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from oration.core import BadInput, Example, Spec, ticks
from oration.streams.timed import begun, longest


@dataclass(frozen=True)
class Excerpt:
    """`seconds` of regular streams from a random frame that all of them have; what is shorter stays whole.

    Put it before what merges or spreads them. AudioLM's three models are trained on 30, 10 and 3 s (Borsos et al. 2022,
    arXiv:2209.03143, section IV-B). In a reply it does nothing.

    >>> from oration.core import Stream
    >>> specs = {"units": Spec(9, 25), "codec.0": Spec(99, 50)}
    >>> example = {"units": Stream(np.arange(5)), "codec.0": Stream(np.arange(10))}
    >>> piece = Excerpt(("units", "codec.0"), 0.08)(example, specs, np.random.default_rng(1))
    >>> piece["units"].ids, piece["codec.0"].ids
    (array([1, 2]), array([2, 3, 4, 5]))
    """

    streams: tuple[str, ...]
    seconds: float
    learning: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.streams or isinstance(self.streams, str) or ticks(self.seconds) < 1:
            raise BadInput(
                f"Excerpt({self.streams!r}, {self.seconds}): name streams in a tuple, and give seconds above 0"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        return self.streams

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        for name in self.streams:
            if given[name].rate is None:
                raise BadInput(f"Excerpt cuts regular streams, but {name!r} has no rate; cut before it is merged")
        return {}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        spare = longest(self.streams, example, specs) - ticks(self.seconds)
        slowest = min((specs[name] for name in self.streams), key=lambda spec: Fraction(spec.rate or 0))
        frames = begun(max(0, spare) + 1, slowest)
        start = int(slowest.onsets(frames)[int(rng.integers(frames))])
        found = dict(example)
        for name in self.streams:
            first = begun(start, specs[name])
            found[name] = example[name].cut(first, first + specs[name].length(self.seconds))
        return found
