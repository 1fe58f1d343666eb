"""Repeats merged inside slices of equal time, so that each slice can be spread out again: SyncLLM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from oration.core import TICKS, BadInput, Example, Spec, Stream, ticks
from oration.streams.timed import needed


@dataclass(frozen=True, kw_only=True)
class DedupInChunks:
    """`units` -> `units.chunked`: repeats are merged, but every chunk begins anew.

    Veluri et al. 2024 (SyncLLM), arXiv:2409.15594: chunks of 160 ms. How long a unit was is lost, so `undo` shares a
    chunk's frames out evenly among its units.

    >>> merge, specs = DedupInChunks(seconds=0.4), {"units": Spec(9, 10)}
    >>> example = merge({"units": Stream(np.array([7, 7, 7, 7, 7, 7, 4, 4]))}, specs, np.random.default_rng(0))
    >>> example["units.chunked"].ids, merge.undo(example, specs)["units"].ids
    (array([7, 7, 4]), array([7, 7, 7, 7, 7, 7, 4, 4]))
    """

    stream: str = "units"
    seconds: float = 0.16

    def __post_init__(self) -> None:
        if ticks(self.seconds) < 1:
            raise BadInput(f"DedupInChunks(seconds={self.seconds}): a chunk's length is above 0, such as 0.16")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream,)

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        spec = given[self.stream]
        if spec.rate is None or spec.dim:
            raise BadInput(
                f"DedupInChunks merges the frames of a regular, discrete stream, but {self.stream!r} has rate "
                f"{spec.rate} and vectors of width {spec.dim}; give it a unit stream with a rate"
            )
        if Fraction(spec.rate) * ticks(self.seconds) < TICKS:
            raise BadInput(
                f"DedupInChunks(seconds={self.seconds}) is shorter than a frame of {self.stream!r} "
                f"({1 / float(spec.rate):g} s); make it longer"
            )
        return {f"{self.stream}.chunked": Spec(spec.size)}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        units = example[self.stream].ids
        onsets = specs[self.stream].onsets(len(units))
        chunk = onsets // ticks(self.seconds)
        first = np.ones(len(units), bool)
        first[1:] = (units[1:] != units[:-1]) | (chunk[1:] != chunk[:-1])
        return {**example, f"{self.stream}.chunked": Stream(units[first], onsets[first])}

    def undo(self, example: Example, specs: Mapping[str, Spec]) -> Example:
        """The frames again. An empty chunk goes on with the unit before it.

        Raises:
            BadInput: no onsets, which say what belongs to which chunk.
        """
        name = f"{self.stream}.chunked"
        onsets = needed(name, example, {name: Spec(specs[self.stream].size)}, "DedupInChunks.undo")
        long, ids = ticks(self.seconds), example[name].ids
        if not len(ids):
            return {**example, self.stream: Stream(ids)}
        chunk = onsets // long
        spec = specs[self.stream]
        last = (int(chunk[-1]) + 1) * long
        frames = spec.onsets(int(Fraction(spec.rate or 0) * last / TICKS) + 2)
        of = frames[frames < last] // long
        edges = np.searchsorted(of, np.arange(of[-1] + 2))  # the frames of each chunk
        items = np.searchsorted(chunk, np.arange(of[-1] + 2))  # its items
        within = np.arange(len(of)) - edges[of]
        held, frames_of = np.diff(items)[of], np.diff(edges)[of]
        at = items[of] + np.where(held > 0, within * held // frames_of, -1)
        return {**example, self.stream: Stream(ids[np.clip(at, 0, len(ids) - 1)])}
