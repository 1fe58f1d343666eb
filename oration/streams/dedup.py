"""Merge repeats and keep how long they were, so that nothing is lost.

GSLM drops the lengths (Lakhotia et al. 2021, arXiv:2102.01192, section 3.2); pGSLM keeps them as a stream of their own
(Kharitonov et al. 2022, arXiv:2109.03264, section 3). A recipe that wants GSLM simply does not place the durations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oration.core import BadInput, Example, Spec, Stream


@dataclass(frozen=True, kw_only=True)
class Dedup:
    """`units` -> `units.runs` (one item per run, at its onset) and `units.durations` (id d: the run has d + 1 frames).

    >>> units, specs = Stream(np.array([7, 7, 7, 4, 4])), {"units": Spec(9, 50)}
    >>> merged = Dedup(longest=2)({"units": units}, specs, np.random.default_rng(0))
    >>> merged["units.runs"].ids, merged["units.durations"].ids
    (array([7, 7, 4]), array([1, 0, 1]))

    `undo` is `Expand`, where the durations are known.
    """

    stream: str = "units"
    longest: int = 32
    """Frames; a longer run becomes several items of the same unit."""
    clip: bool = False
    """Whether a longer run stays one item instead and counts as `longest` frames (pGSLM)."""

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise BadInput(f"Dedup(longest={self.longest}): a run has at least one frame; give 1 or more")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream,)

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        spec = given[self.stream]
        if spec.rate is None or spec.dim:
            raise BadInput(
                f"Dedup merges the frames of a regular, discrete stream, but {self.stream!r} has rate {spec.rate} and "
                f"vectors of width {spec.dim}; give it a unit stream with a rate"
            )
        return {f"{self.stream}.runs": Spec(spec.size), f"{self.stream}.durations": Spec(self.longest)}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        units = example[self.stream]
        first, length = runs(units.ids, len(units) + 1 if self.clip else self.longest)
        onsets = specs[self.stream].onsets(len(units))[first]
        return {
            **example,
            f"{self.stream}.runs": Stream(units.ids[first], onsets),
            f"{self.stream}.durations": Stream(np.minimum(length, self.longest) - 1, onsets),
        }

    def undo(self, example: Example, specs: Mapping[str, Spec]) -> Example:
        """The frames again, as many runs as have a duration; an example without both stays as it is."""
        if not {f"{self.stream}.runs", f"{self.stream}.durations"} <= set(example):
            return example
        merged, durations = (example[f"{self.stream}.{what}"].ids for what in ("runs", "durations"))
        count = min(len(merged), len(durations))
        return {**example, self.stream: Stream(np.repeat(merged[:count], durations[:count] + 1))}


@dataclass(frozen=True, kw_only=True)
class Expand:
    """The inverse of `Dedup`: `units.runs` and `units.durations` -> `units`.

    >>> merged = {"units.runs": Stream(np.array([7, 4])), "units.durations": Stream(np.array([2, 0]))}
    >>> Expand()(merged, {}, np.random.default_rng(0))["units"].ids
    array([7, 7, 7, 4])
    """

    stream: str = "units"
    rate: float = 50.0
    """Frames per second of the stream it gives back; runs do not know it."""

    @property
    def needs(self) -> tuple[str, ...]:
        return f"{self.stream}.runs", f"{self.stream}.durations"

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        return {self.stream: Spec(given[f"{self.stream}.runs"].size, self.rate)}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        merged, durations = (example[name] for name in self.needs)
        if len(merged) != len(durations):
            raise BadInput(
                f"{self.stream!r} cannot be expanded from {len(merged)} runs and {len(durations)} durations; "
                "every run needs one duration, so cut both to the shorter"
            )
        return {**example, self.stream: Stream(np.repeat(merged.ids, durations.ids + 1))}


def runs(ids: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each run of equal ids begins and its length, both int64[R]; none longer than `longest` frames."""
    edges = np.flatnonzero(np.diff(ids)) + 1
    first = np.concatenate([[0], edges])[: len(edges) + (len(ids) > 0)].astype(np.int64)
    length = np.diff(np.append(first, len(ids)))
    pieces = -(-length // longest)
    within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return (
        np.repeat(first, pieces) + within * longest,
        np.minimum(longest, np.repeat(length, pieces) - within * longest),
    )
