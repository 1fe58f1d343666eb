"""Units as events on a clock that goes on: which unit begins, and how long it lasts. The targets of dGSLM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oration.core import BadInput, Example, Spec, Stream
from oration.streams.dedup import runs


@dataclass(frozen=True, kw_only=True)
class Edges:
    """`units` -> `units.edges`, the unit plus 1 where it begins, 0 while it lasts; and `units.lasts`, its frames there.

    Nguyen et al. 2022 (dGSLM), arXiv:2203.16502, section 3.3: the model predicts units where they change, and their
    durations. Frames stay frames, so that two channels stay together. `undo` needs the edges alone.

    >>> specs, units = {"units": Spec(9, 50)}, Stream(np.array([7, 7, 7, 4]))
    >>> both = Edges()({"units": units}, specs, np.random.default_rng(0))
    >>> both["units.edges"].ids, both["units.lasts"].ids
    (array([8, 0, 0, 5]), array([3, 0, 0, 1]))
    """

    stream: str = "units"
    longest: int = 64
    """Frames; a unit that lasts longer counts as this."""

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise BadInput(f"Edges(longest={self.longest}): a unit lasts at least one frame; give 1 or more")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream,)

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        spec = given[self.stream]
        if spec.rate is None or spec.dim:
            raise BadInput(
                f"Edges are those of a regular, discrete stream, but {self.stream!r} has rate {spec.rate} and vectors "
                f"of width {spec.dim}; give it a unit stream with a rate"
            )
        return {
            f"{self.stream}.edges": Spec(spec.size + 1, spec.rate),
            f"{self.stream}.lasts": Spec(self.longest + 1, spec.rate),
        }

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        units = example[self.stream].ids
        first, length = runs(units, len(units) + 1)
        edges, lasts = np.zeros_like(units), np.zeros_like(units)
        edges[first], lasts[first] = units[first] + 1, np.minimum(length, self.longest)
        return {**example, f"{self.stream}.edges": Stream(edges), f"{self.stream}.lasts": Stream(lasts)}

    def undo(self, example: Example, specs: Mapping[str, Spec]) -> Example:
        """The frames again. What comes before the first edge is taken to be its unit already (0 without any edge)."""
        if f"{self.stream}.edges" not in example:
            return example
        edges = example[f"{self.stream}.edges"].ids
        begins = np.flatnonzero(edges)
        if not len(begins):
            return {**example, self.stream: Stream(np.zeros_like(edges))}
        last = np.searchsorted(begins, np.arange(len(edges)), "right") - 1
        return {**example, self.stream: Stream(edges[begins[np.maximum(last, 0)]] - 1)}
