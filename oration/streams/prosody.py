"""The pitch of each run of units, without the speaker's own height: the third row of pGSLM."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oration.core import TICKS, BadInput, Example, Spec, Stream
from oration.streams.timed import duration


@dataclass(frozen=True, kw_only=True)
class RunF0:
    """`units.f0`: of each of `units.runs` the mean log F0 less the speaker's mean, in `bins`; one more: unvoiced.

    Kharitonov et al. 2022 (pGSLM), arXiv:2109.03264, section 3.2: 32 bins. There the bins hold equal shares of the
    training data and unvoiced runs take their neighbours' pitch; here bins are equally wide and unvoiced is a symbol.

    `undo` makes frames of pitch again, given `units.durations`, at the height of the speaker.

    >>> specs = {"units": Spec(9, 50), "units.runs": Spec(9), "f0": Spec(65, 50)}
    >>> runs = Stream(np.array([3, 8]), np.array([0, 2]) * 14112000)
    >>> pitch, units = Stream(np.array([20, 20, 40, 64])), Stream(np.array([3, 3, 8, 8]))
    >>> RunF0()({"units": units, "units.runs": runs, "f0": pitch}, specs, np.random.default_rng(0))["units.f0"].ids
    array([11, 25])
    """

    stream: str = "units"
    f0: str = "f0"
    """Symbols from `floor` to `ceiling` Hz in equal steps of the logarithm, then one for unvoiced: `tokenizers.F0`."""
    floor: float = 60.0
    ceiling: float = 400.0
    bins: int = 32
    reach: float = 0.7
    """How far from the mean the bins go, each way, in units of the natural logarithm: 0.7 is an octave."""
    means: tuple[float, ...] = ()
    """Mean F0 in Hz of each symbol of `speaker`. Empty: every recording has its own mean, and `undo` takes `usual`."""
    speaker: str = "speaker"
    usual: float = 150.0
    """Hz."""

    def __post_init__(self) -> None:
        if self.bins < 1 or not 0 < self.floor < self.ceiling or self.reach <= 0 or min((self.usual, *self.means)) <= 0:
            raise BadInput(
                f"RunF0 needs bins >= 1, 0 < floor < ceiling, and reach and means above 0, but got {self.bins}, "
                f"{self.floor}, {self.ceiling} Hz, {self.reach}, {self.means}"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream, f"{self.stream}.runs", self.f0, *((self.speaker,) if self.means else ()))

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        if given[self.f0].rate is None or given[self.f0].size < 2 or given[self.stream].rate is None:
            raise BadInput(
                f"RunF0 averages the frames of {self.f0!r} over those of {self.stream!r}, which are {given[self.f0]!r} "
                f"and {given[self.stream]!r}; both need a rate"
            )
        if self.means and len(self.means) < given[self.speaker].size:
            raise BadInput(
                f"RunF0 has the means of {len(self.means)} speakers, but {self.speaker!r} has "
                f"{given[self.speaker].size}; give one each"
            )
        return {f"{self.stream}.f0": Spec(self.bins + 1)}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        runs = example[f"{self.stream}.runs"]
        frames = example[self.f0].ids
        if runs.onsets is None and len(runs):
            raise BadInput(f"RunF0 needs to know when the runs of {self.stream!r} begin; make them by Dedup before it")
        onsets = runs.onsets if runs.onsets is not None else np.zeros(0, np.int64)
        voiced = frames < specs[self.f0].size - 1
        under = np.searchsorted(onsets, self._centres(len(frames), specs), "right") - 1
        heard = voiced & (under >= 0)
        logs = self._logs(frames, specs)
        count = np.bincount(under[heard], minlength=len(runs))
        sums = np.bincount(under[heard], logs[heard], len(runs))
        mean = self._mean(example, logs[voiced])
        place = (sums / np.maximum(count, 1) - mean + self.reach) / (2 * self.reach) * self.bins
        ids = np.where(count > 0, np.clip(place.astype(np.int64), 0, self.bins - 1), self.bins)
        return {**example, f"{self.stream}.f0": Stream(ids, runs.onsets)}

    def undo(self, example: Example, specs: Mapping[str, Spec]) -> Example:
        """Frames of `f0` from the runs' pitch and their `units.durations`; without those, the example as it is."""
        lengths, pitch = example.get(f"{self.stream}.durations"), example[f"{self.stream}.f0"].ids
        if lengths is None:
            return example
        count = min(len(pitch), len(lengths))
        frames = np.repeat(np.arange(count), lengths.ids[:count] + 1)
        ends = specs[self.stream].onsets(len(frames) + 1)
        total = duration(self.stream, {self.stream: Stream(frames)}, specs)
        centres = self._centres(specs[self.f0].length(2 + total / TICKS), specs)
        centres = centres[centres < total]
        at = frames[np.searchsorted(ends, centres, "right") - 1] if len(frames) else frames
        unvoiced, size = pitch[at] == self.bins, specs[self.f0].size - 1
        logs = ((pitch[at] + 0.5) / self.bins * 2 - 1) * self.reach + self._mean(example, None)
        place = (logs - math.log(self.floor)) / math.log(self.ceiling / self.floor) * size
        ids = np.where(unvoiced, size, np.clip(place.astype(np.int64), 0, size - 1))
        return {**example, self.f0: Stream(ids)}

    def _centres(self, frames: int, specs: Mapping[str, Spec]) -> np.ndarray:
        """The tick in the middle of each frame of F0."""
        edges = specs[self.f0].onsets(frames + 1)
        return (edges[:-1] + edges[1:]) // 2

    def _logs(self, ids: np.ndarray, specs: Mapping[str, Spec]) -> np.ndarray:
        """The logarithm of the middle of each frame's bin, in Hz."""
        size = specs[self.f0].size - 1
        return math.log(self.floor) + (ids + 0.5) / size * math.log(self.ceiling / self.floor)

    def _mean(self, example: Example, logs: np.ndarray | None) -> float:
        """The mean log F0 of whoever speaks."""
        if self.means and self.speaker in example and len(example[self.speaker]):
            return math.log(self.means[int(example[self.speaker].ids[0])])
        return float(logs.mean()) if logs is not None and len(logs) else math.log(self.usual)
