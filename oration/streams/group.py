"""Several items in one step, or several vectors in one: fewer steps a second for the same speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import numpy as np

from oration.core import BadInput, Example, Spec, Stream


@dataclass(frozen=True)
class Group:
    """Items 0, n, 2n, ... of a stream -> `group.0`, items 1, n + 1, ... -> `group.1`, and so on, n = `size`.

    SLAM-Omni puts three units in a step: Chen et al. 2024, arXiv:2412.15649, section 3.2. The last step is filled up
    by its last item again, or by `fill`.

    >>> group, specs = Group("units", 3), {"units": Spec(9, 50)}
    >>> example = group({"units": Stream(np.array([1, 2, 3, 4]))}, specs, np.random.default_rng(0))
    >>> [example[name].ids.tolist() for name in group.gives], group.specs(specs)["group.0"].rate
    ([[1, 4], [2, 4], [3, 4]], Fraction(50, 3))
    """

    stream: str
    size: int
    into: str = "group"
    _: KW_ONLY
    fill: int | None = None
    """A symbol for the rest of the last step; the stream's size makes it one symbol more, which `undo` removes."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise BadInput(f"Group(size={self.size}): a step holds at least one item; give 1 or more")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream,)

    @property
    def gives(self) -> tuple[str, ...]:
        """The names of the streams it makes."""
        return tuple(f"{self.into}.{place}" for place in range(self.size))

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        spec = given[self.stream]
        if self.fill is not None and (spec.dim or not 0 <= self.fill <= spec.size):
            raise BadInput(
                f"Group(fill={self.fill}): {self.stream!r} has {'vectors' if spec.dim else f'{spec.size} symbols'}; "
                f"{'leave fill out' if spec.dim else f'give 0 to {spec.size}, the last of which is one symbol more'}"
            )
        rate = None if spec.rate is None else spec.rate / self.size
        return dict.fromkeys(self.gives, Spec(spec.size + (self.fill == spec.size), rate, spec.dim))

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        stream = example[self.stream]
        steps = -(-len(stream) // self.size)
        index = np.minimum(np.arange(steps * self.size), len(stream) - 1).reshape(steps, self.size)
        onsets = None if stream.onsets is None else stream.onsets[index[:, 0]]
        found = dict(example)
        for place, name in enumerate(self.gives):
            ids = stream.ids[index[:, place]]
            if self.fill is not None:
                ids = np.where(np.arange(steps) * self.size + place < len(stream), ids, self.fill)
            values = None if stream.values is None else stream.values[index[:, place]]
            found[name] = Stream(ids, onsets, values)
        return found

    def undo(self, example: Example, specs: Mapping[str, Spec]) -> Example:
        """The stream again, as long as the groups are. Groups that are not all of one length end with the shortest."""
        groups = [example[name] for name in self.gives]
        steps = min(map(len, groups))
        ids = np.stack([group.ids[:steps] for group in groups], 1).ravel()
        if groups[0].values is not None:
            values = np.stack([group.values[:steps] for group in groups if group.values is not None], 1)
            return {**example, self.stream: Stream.dense(values.reshape(steps * self.size, -1))}
        if self.fill == specs[self.stream].size:
            ids = ids[ids != self.fill]
        return {**example, self.stream: Stream(ids)}


@dataclass(frozen=True)
class Pool:
    """Each `factor` vectors of a continuous stream -> one of `X.pooled`: their mean, or all of them side by side.

    The last one takes the vectors that are left; side by side it repeats the last of them.

    >>> specs, speech = {"speech": Spec(1, 50, dim=1)}, Stream.dense(np.array([[1], [3], [6]]))
    >>> Pool("speech", 2)({"speech": speech}, specs, np.random.default_rng(0))["speech.pooled"].values.tolist()
    [[2.0], [6.0]]
    """

    stream: str
    factor: int
    how: Literal["mean", "stack"] = "mean"

    def __post_init__(self) -> None:
        if self.factor < 1 or self.how not in ("mean", "stack"):
            raise BadInput(f"Pool(factor={self.factor}, how={self.how!r}): give a factor of 1 or more, mean or stack")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream,)

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        spec = given[self.stream]
        if not spec.dim:
            raise BadInput(f"Pool takes vectors, but {self.stream!r} has {spec.size} symbols; use Group for those")
        rate = None if spec.rate is None else spec.rate / self.factor
        return {f"{self.stream}.pooled": Spec(1, rate, spec.dim * (self.factor if self.how == "stack" else 1))}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        stream, dim = example[self.stream], specs[self.stream].dim
        values = np.zeros((0, dim), np.float32) if stream.values is None else stream.values
        first = np.arange(0, len(values), self.factor)
        if self.how == "stack":
            index = np.minimum(first[:, None] + np.arange(self.factor), len(values) - 1)
            pooled = values[index].reshape(len(first), dim * self.factor)
        elif len(first):
            counts = np.diff(np.append(first, len(values)))
            pooled = np.add.reduceat(values, first, axis=0) / counts[:, None]
        else:
            pooled = values
        onsets = None if stream.onsets is None else stream.onsets[first]
        return {**example, f"{self.stream}.pooled": Stream.dense(pooled, onsets)}
