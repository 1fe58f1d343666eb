"""All systems at all rates on the same clips, with intervals over clips, and differences paired by clip."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise, repeat
from multiprocessing import get_context
from typing import Any

import numpy as np

from oration.audio.resample import resample
from oration.core import BadInput, Waveform
from oration.evaluate.interval import UNSAVED, Bootstrap, Estimate
from oration.evaluate.rate_distortion.lag import Lag, find, undo
from oration.evaluate.rate_distortion.measures import MEASURES, RATE, Measure, Sums, measure, missing
from oration.evaluate.rate_distortion.models import AtLevels
from oration.evaluate.rate_distortion.peers import System
from oration.evaluate.units import entropy

ORIGINAL = "original"
ENTROPY_ROUNDS = 500
"""Of the bootstrap, where thousands of symbols are counted."""


@dataclass(frozen=True)
class Point:
    """One system at one rate, or the original recordings."""

    system: str
    setting: str
    kbps: Estimate | None
    """Measured: bits of all streams by seconds of all clips. None: it has no stream of bits."""
    entropy: Estimate | None
    """kbit/s if each level's symbols took as many bits as their own frequencies allow; counted on these clips."""
    lag: Lag | None
    """The delay that was taken out."""
    scores: dict[str, Estimate]
    """Measure -> value over all clips; one that nobody computed is not there."""
    refused: dict[str, int]
    """Measure -> clips that it could say nothing about, where there are any."""
    columns: dict[str, np.ndarray] = field(repr=False)
    """Measure -> float64[N, 2], what each clip adds above and below the line; NaN where the measure refused it."""
    shown: dict[int, Waveform] = field(repr=False, metadata=UNSAVED)
    """Some of the copies, by number of the clip."""

    @property
    def label(self) -> str:
        return f"{self.system}, {self.setting}" if self.setting else self.system


@dataclass(frozen=True)
class Absent:
    """A system that could not run."""

    system: str
    setting: str
    why: str


@dataclass(frozen=True)
class Comparison:
    """One point beside another, by one measure."""

    measure: str
    first: str
    second: str
    gain: Estimate
    """How much better the first is, whichever side is better; paired by clip."""

    @property
    def winner(self) -> str | None:
        """Whoever is better by the whole interval; None where zero lies inside, or where there is none."""
        if self.gain.low > 0:
            return self.first
        return self.second if self.gain.high < 0 else None


@dataclass(frozen=True)
class RateDistortion:
    """The first point is the original recordings."""

    clips: int
    seconds: float
    words: int
    points: tuple[Point, ...]
    absent: tuple[Absent, ...]
    comparisons: tuple[Comparison, ...]
    """Every point of a codec of ours beside every point of a codec of others."""
    notes: tuple[str, ...]
    """How bits were counted."""
    not_computed: dict[str, str]
    """Measure -> why."""

    def measures(self) -> tuple[Measure, ...]:
        """Those that some point has."""
        return tuple(one for one in MEASURES if any(one.name in point.scores for point in self.points))


def steps(clips: int, systems: int) -> int:
    """How often `rate_distortion` tells that it went on."""
    return clips * (1 + 2 * systems)


def rate_distortion(
    originals: Sequence[Waveform],
    texts: Sequence[str | None],
    systems: Sequence[System],
    *,
    clusters: Sequence[Any] | None = None,
    bootstrap: Bootstrap | None = None,
    workers: int = 1,
    show: Sequence[int] = (),
    without: Sequence[str] = (),
    advance: Callable[[], None] = lambda: None,
) -> RateDistortion:
    """Code all clips by all systems and measure the copies.

    Args:
        originals: brought to 16 kHz first, so that every system is given the same.
        clusters: a label a clip (speaker, or the sentence of repeated takes), resampled whole.
        workers: processes that measure.
        show: numbers of clips whose copies are kept.
        without: measures to leave out.
        advance: called after each clip that was coded or measured, `steps` times in all.

    Raises:
        BadInput: no clips, another number of texts, or an unknown measure to leave out.
    """
    if not originals or len(originals) != len(texts):
        raise BadInput(f"{len(texts)} texts for {len(originals)} clips; expected one a clip, and at least one clip")
    if unknown := set(without) - {one.name for one in MEASURES}:
        names = ", ".join(one.name for one in MEASURES)
        raise BadInput(f"there is no measure {min(unknown)!r} to leave out; the measures are {names}")
    waves = [resample(wave, RATE) for wave in originals]
    bootstrap = bootstrap or Bootstrap()
    intervals = Intervals(bootstrap, clusters, sum(wave.seconds for wave in waves))
    points: list[Point] = []
    absent: list[Absent] = []
    with _pool(workers) as across:
        run = _Run(waves, texts, tuple(without), tuple(show), intervals, across, advance)
        points.append(run.original())
        for system in systems:
            if why := system.trouble():
                absent.append(Absent(system.name, system.setting, why))
                run.skip()
            else:
                points.append(run.point(system))
    ours = {system.name for system in systems if isinstance(system, AtLevels)}
    return RateDistortion(
        clips=len(waves),
        seconds=intervals.seconds,
        words=int(np.nansum(points[0].columns["wer"][:, 1])) if "wer" in points[0].columns else 0,
        points=tuple(points),
        absent=tuple(absent),
        comparisons=_comparisons(points[1:], ours, intervals),
        notes=tuple(dict.fromkeys(system.how for system in systems if not system.trouble())),
        not_computed=missing(without),
    )


@dataclass(frozen=True)
class Intervals:
    """How values get their intervals."""

    bootstrap: Bootstrap
    clusters: Sequence[Any] | None
    seconds: float
    """Of all clips."""

    def of(self, columns: np.ndarray, measure: Measure) -> Estimate | None:
        """The measure over clips float64[N, 2]; None if it refused all of them."""
        known = np.isfinite(columns).all(1)
        if not columns[known, 1].sum():
            return None
        return self.bootstrap.of_sums(columns[known], measure.value, clusters=self._labels(known))

    def gain(self, first: np.ndarray, second: np.ndarray, measure: Measure) -> Estimate | None:
        """How much better the first is, on the clips that both have."""
        both = np.concatenate([first, second], 1)
        known = np.isfinite(both).all(1)
        if not (both[known, 1].sum() and both[known, 3].sum()):
            return None
        sign = 1 if measure.better == "higher" else -1

        def better(sums: np.ndarray) -> np.ndarray:
            return sign * (measure.value(sums[:, :2]) - measure.value(sums[:, 2:]))

        return self.bootstrap.of_sums(both[known], better, clusters=self._labels(known))

    def rate(self, bits: Sequence[float | None], waves: Sequence[Waveform]) -> Estimate | None:
        """kbit/s."""
        if any(count is None for count in bits):
            return None
        known = [count or 0.0 for count in bits]
        return self.bootstrap.ratio(known, [1000 * wave.seconds for wave in waves], clusters=self.clusters)

    def entropy(self, counts: Sequence[Sequence[np.ndarray]], waves: Sequence[Waveform]) -> Estimate:
        """kbit/s, from the counts of each level's symbols in each clip."""
        edges = np.cumsum([0, *(len(level) for level in counts[0])])
        columns = np.stack([np.concatenate([*clip, [wave.seconds]]) for clip, wave in zip(counts, waves, strict=True)])

        def bits(sums: np.ndarray) -> np.ndarray:
            levels = [sums[:, a:b] for a, b in pairwise(edges)]
            return sum(level.sum(1) * entropy(level) for level in levels) / np.log(2) / sums[:, -1] / 1000

        few = Bootstrap(rounds=min(ENTROPY_ROUNDS, self.bootstrap.rounds), seed=self.bootstrap.seed)
        return few.of_sums(columns, bits, clusters=self.clusters, centre=True)

    def _labels(self, known: np.ndarray) -> list[Any] | None:
        return None if self.clusters is None else [one for one, is_ in zip(self.clusters, known, strict=True) if is_]


@dataclass(frozen=True)
class _Run:
    waves: list[Waveform]
    texts: Sequence[str | None]
    without: tuple[str, ...]
    show: tuple[int, ...]
    intervals: Intervals
    across: Callable[..., Iterator[dict[str, Sums | None]]]
    advance: Callable[[], None]

    def original(self) -> Point:
        columns = self._columns([None] * len(self.waves))
        shown = {number: self.waves[number] for number in self.show}
        return self._made(ORIGINAL, "", columns, shown, None, None, None)

    def point(self, system: System) -> Point:
        coded = []
        for number, wave in enumerate(self.waves):
            coded.append(system.code(number, wave))
            self.advance()
        copies = [resample(one.wave, RATE) for one in coded]
        lag = find(self.waves, copies)
        copies = [undo(copy, lag, len(wave)) for copy, wave in zip(copies, self.waves, strict=True)]
        columns = self._columns(copies)
        rate = self.intervals.rate([one.bits for one in coded], self.waves)
        entropy = None
        if isinstance(system, AtLevels):
            entropy = self.intervals.entropy([system.counts(n) for n in range(len(self.waves))], self.waves)
        shown = {number: copies[number] for number in self.show}
        return self._made(system.name, system.setting, columns, shown, rate, entropy, lag)

    def skip(self) -> None:
        for _ in range(2 * len(self.waves)):
            self.advance()

    def _columns(self, copies: Sequence[Waveform | None]) -> dict[str, np.ndarray]:
        rows = []
        for row in self.across(measure, self.waves, copies, self.texts, repeat(self.without)):
            rows.append(row)
            self.advance()
        nothing = (np.nan, np.nan)
        return {name: np.array([row[name] or nothing for row in rows], np.float64) for name in rows[0]}

    def _made(
        self,
        system: str,
        setting: str,
        columns: dict[str, np.ndarray],
        shown: dict[int, Waveform],
        rate: Estimate | None,
        entropy: Estimate | None,
        lag: Lag | None,
    ) -> Point:
        known = {one.name: one for one in MEASURES}
        scores = {name: self.intervals.of(values, known[name]) for name, values in columns.items()}
        refused = {name: int(np.isnan(values[:, 0]).sum()) for name, values in columns.items()}
        return Point(
            system=system,
            setting=setting,
            kbps=rate,
            entropy=entropy,
            lag=lag,
            scores={name: score for name, score in scores.items() if score is not None},
            refused={name: count for name, count in refused.items() if count},
            columns=columns,
            shown=shown,
        )


def _comparisons(points: Sequence[Point], ours: set[str], intervals: Intervals) -> tuple[Comparison, ...]:
    found = []
    mine = [point for point in points if point.system in ours]
    theirs = [point for point in points if point.system not in ours and point.kbps is not None]
    for one in MEASURES:
        for first in theirs:
            for second in mine:
                if one.name in first.scores and one.name in second.scores:
                    gain = intervals.gain(first.columns[one.name], second.columns[one.name], one)
                    if gain is not None:
                        found.append(Comparison(one.name, first.label, second.label, gain))
    return tuple(found)


@contextmanager
def _pool(workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """`map` in this process, or across several."""
    if workers < 2:
        yield map
        return
    # Started fresh: a copy of a process that runs torch's threads may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        yield pool.map


def _quiet() -> None:
    warnings.filterwarnings("ignore", message="pkg_resources")  # webrtcvad's, which the user cannot mend
