"""Counts as numbers that a flow or a regression can say: their logarithms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oration.core import BadInput, Example, Spec, Stream


@dataclass(frozen=True)
class Logarithm:
    """Durations `X` (id d: d + 1 frames) -> `X.log`, the logarithm of the frames, as vectors of width 1.

    Voicebox's model of durations (Le et al. 2023, arXiv:2306.15687) says these. `undo` rounds to whole frames.

    >>> durations, specs = {"d": Stream(np.array([0, 9]))}, {"d": Spec(32)}
    >>> said = Logarithm("d")(durations, specs, np.random.default_rng(0))["d.log"]
    >>> [f"{value:.1f}" for value in said.values.ravel()], Logarithm("d").undo({"d.log": said}, specs)["d"].ids.tolist()
    (['0.0', '2.3'], [0, 9])
    """

    stream: str

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream,)

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        spec = given[self.stream]
        if spec.dim:
            raise BadInput(f"Logarithm is of counts, but {self.stream!r} has vectors; name a discrete stream")
        return {f"{self.stream}.log": Spec(1, spec.rate, 1)}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        stream = example[self.stream]
        values = np.log(stream.ids + 1).astype(np.float32)[:, None]
        return {**example, f"{self.stream}.log": Stream.dense(values, stream.onsets)}

    def undo(self, example: Example, specs: Mapping[str, Spec]) -> Example:
        """The nearest counts that the stream can hold."""
        said = example.get(f"{self.stream}.log")
        if said is None or said.values is None:
            return example
        frames = np.exp(np.clip(said.values[:, 0], 0.0, np.log(specs[self.stream].size)))
        return {**example, self.stream: Stream(np.rint(frames).astype(np.int64) - 1, said.onsets)}
