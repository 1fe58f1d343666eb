"""Error bars: 95 % bootstrap intervals over clips or over speakers. Knows no metric.

Every metric of this folder is a function of sums over clips (a mean is sum / count, WER is errors / words, purity is a
function of summed frame counts). So one engine serves all: clips are drawn with replacement, and their sums go through
the same function.

Intervals are expanded percentile intervals (Hesterberg 2015, "What Teachers Should Know About the Bootstrap"): plain
percentiles are too narrow for few clips, so the tail is set from Student's t. A statistic that cannot vary (no error
in any clip) gets an interval of width zero, which says "not seen in this sample" and no more.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from oration.core import BadInput


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval. `low` and `high` are NaN where one clip leaves no interval to estimate."""

    value: float
    low: float
    high: float
    n: int
    """How many independent things (clips, or speakers) were resampled."""

    def __format__(self, spec: str) -> str:
        """`f"{estimate:.3f}"` gives `0.288 [0.215, 0.361]`."""
        if math.isnan(self.value):
            return "undefined"
        if math.isnan(self.low):
            return f"{self.value:{spec}} [?]"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return f"{self:.3g}"

    def times(self, factor: float) -> Estimate:
        """The same in another unit."""
        low, high = (
            sorted((self.low * factor, self.high * factor)) if factor < 0 else (self.low * factor, self.high * factor)
        )
        return Estimate(self.value * factor, low, high, self.n)


UNSAVED: Mapping[str, bool] = {"saved": False}
"""Metadata of a field that `plain` leaves out."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""float[R, M] sums -> float[R]."""


def _student(tail: float, freedom: int) -> float:
    """Quantile of Student's t by the expansion of Abramowitz & Stegun 26.7.5, good from 3 degrees on."""
    z = NormalDist().inv_cdf(tail)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How intervals are made. The same seed draws the same clips, so that differences pair."""

    rounds: int = 2000
    level: float = 0.95
    seed: int = 0

    def draws(self, n: int, width: int = 1) -> Iterator[np.ndarray]:
        """How often each of `n` things was drawn, float64[r, n] in pieces; `width` columns are kept small in memory."""
        rng = np.random.default_rng([self.seed, n])
        step = max(1, 2_000_000 // max(n, width))
        for start in range(0, self.rounds, step):
            rounds = min(step, self.rounds - start)
            at = rng.integers(0, n, (rounds, n)) + np.arange(rounds)[:, None] * n
            yield np.bincount(at.ravel(), minlength=rounds * n).reshape(rounds, n).astype(np.float64)

    def estimate(self, value: float, replicates: np.ndarray, n: int, *, centre: bool = False) -> Estimate:
        """Value and its interval from replicates float[R]; rounds without a value (0 / 0) are left out.

        Args:
            centre: shift the replicates so that their mean is the value. For entropies, purities and codebook counts:
                their plug-in estimates drift when clips repeat, so that raw percentiles can miss the value itself.
        """
        replicates = replicates[np.isfinite(replicates)]
        if n < 2 or not len(replicates) or not math.isfinite(value):
            return Estimate(float(value), math.nan, math.nan, n)
        tail = NormalDist().cdf(math.sqrt(n / (n - 1)) * _student((1 - self.level) / 2, n - 1))
        low, high = np.quantile(replicates, (tail, 1 - tail))
        shift = value - replicates.mean() if centre else 0.0
        return Estimate(float(value), float(low + shift), float(high + shift), n)

    def of_sums(
        self,
        columns: np.ndarray,
        statistic: Statistic,
        *,
        clusters: Sequence[Any] | None = None,
        centre: bool = False,
    ) -> Estimate:
        """Any function of sums over clips.

        Args:
            columns: float[N, M], what each of N clips adds to each of M sums.
            statistic: float[R, M] -> float[R].
            clusters: N labels (speakers, stories) that are resampled whole, because their clips are not independent.

        Raises:
            BadInput: no clips, a value that is not finite, or another number of clusters than clips.
        """
        columns = np.asarray(columns, np.float64)
        if columns.ndim != 2 or not len(columns):
            raise BadInput(f"an interval needs clips, float[N, M] with N >= 1, but got {list(columns.shape)}")
        if not np.isfinite(columns).all():
            bad = int(np.flatnonzero(~np.isfinite(columns).all(1))[0])
            raise BadInput(
                f"clip {bad} of {len(columns)} has a value that is not finite; leave clips without a value out"
            )
        if clusters is not None:
            columns = _sum_by(columns, clusters)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(statistic(columns.sum(0, keepdims=True))[0])
            rounds = [statistic(draw @ columns) for draw in self.draws(len(columns), columns.shape[1])]
        return self.estimate(value, np.concatenate(rounds), len(columns), centre=centre)

    def mean(self, values: Sequence[float] | np.ndarray, *, clusters: Sequence[Any] | None = None) -> Estimate:
        """Mean over clips, float[N]."""
        values = np.asarray(values, np.float64).reshape(-1)
        return self.of_sums(np.stack([values, np.ones_like(values)], 1), _quotient, clusters=clusters)

    def ratio(
        self,
        over: Sequence[float] | np.ndarray,
        under: Sequence[float] | np.ndarray,
        *,
        clusters: Sequence[Any] | None = None,
        then: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Estimate:
        """Sum of `over` by sum of `under`, float[N] each (errors, words); `then` maps the quotient, as np.exp does."""
        columns = np.stack([np.asarray(over, np.float64), np.asarray(under, np.float64)], 1)
        statistic = _quotient if then is None else lambda sums: then(_quotient(sums))
        return self.of_sums(columns, statistic, clusters=clusters)

    def difference(
        self,
        first: tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray],
        second: tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray],
        *,
        clusters: Sequence[Any] | None = None,
    ) -> Estimate:
        """Ratio of the first (over, under) minus that of the second, on the same clips drawn together.

        Clips that are hard for one are hard for the other: two intervals may overlap and the difference still be clear.
        For a difference of means give ones as `under`.

        Raises:
            BadInput: the two were not measured on the same number of clips.
        """
        sizes = {len(side) for side in (*first, *second)}
        if len(sizes) > 1:
            raise BadInput(f"a paired difference needs the same clips on both sides, but got {sorted(sizes)} of them")
        columns = np.stack([np.asarray(side, np.float64) for side in (*first, *second)], 1)
        return self.of_sums(columns, lambda s: _quotient(s) - _quotient(s[:, 2:]), clusters=clusters)


def _quotient(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1]


def _sum_by(columns: np.ndarray, clusters: Sequence[Any]) -> np.ndarray:
    """float[N, M] -> float[number of clusters, M]."""
    if len(clusters) != len(columns):
        raise BadInput(f"{len(clusters)} cluster labels for {len(columns)} clips; expected one label a clip")
    names, place = np.unique(np.asarray(clusters, str), return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, place.reshape(-1), columns)
    return sums


def plain(value: Any) -> Any:
    """Results -> what JSON can hold: dataclasses become objects, NaN becomes null.

    Fields of `field(metadata=UNSAVED)`, which only serve further computation, are left out.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.metadata.get("saved", True)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise BadInput(f"a result holds {type(value).__name__}, expected numbers, text, lists and dataclasses of them")


def to_json(value: Any) -> str:
    """A result as JSON text (strict: no NaN)."""
    return json.dumps(plain(value), indent=1, allow_nan=False, ensure_ascii=False)
