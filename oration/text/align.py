"""Forced alignment of symbols to the emissions of a CTC model: when each symbol of a known text is said.

Graves et al. 2006 (ICML, section 4): a path through T frames names a symbol or the blank in each; repeats merge, blanks
vanish. The likeliest path that spells the text says where each symbol lies.

    blank a a blank b blank blank c     spells a b c:  a in frames 1 to 2, b in 4, c in 7
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oration.core import BadInput


@dataclass(frozen=True, eq=False)
class Path:
    """The likeliest path, as spans of frames."""

    starts: np.ndarray
    """int64[N]: the first frame of each symbol."""
    stops: np.ndarray
    """int64[N]: one past its last frame."""
    nats: float
    """Log-probability of the whole path; -inf where no path has any."""


def viterbi(emissions: np.ndarray, targets: Sequence[int] | np.ndarray, *, blank: int = 0) -> Path:
    """The likeliest path that spells `targets`.

    >>> emissions = np.log([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    >>> path = viterbi(emissions, [1, 2])
    >>> path.starts, path.stops
    (array([1, 3]), array([3, 4]))

    Args:
        emissions: log-probabilities, float[T, V].
        targets: symbols without blanks, int[N].

    Raises:
        BadInput: fewer frames than the symbols need (one each, and a blank between two that are equal), or an id
            outside the emissions.
    """
    emissions, targets = np.asarray(emissions, np.float64), np.asarray(targets, np.int64)
    _check(emissions, targets, blank)
    frames, count = len(emissions), len(targets)
    if not count:
        return Path(targets, targets, float(emissions[:, blank].sum()))
    states = np.full(2 * count + 1, blank)
    states[1::2] = targets
    # A blank may be left out, unless it holds two equal symbols apart.
    skips = np.zeros(len(states), bool)
    skips[3::2] = targets[1:] != targets[:-1]
    best = np.full(len(states) + 2, -np.inf)
    best[2:4] = emissions[0, states[:2]]
    came = np.zeros((frames, len(states)), np.int8)
    for t in range(1, frames):
        choices = np.stack([best[2:], best[1:-1], np.where(skips, best[:-2], -np.inf)])
        came[t] = choices.argmax(0)
        best[2:] = choices.max(0) + emissions[t, states]
    last = len(states) - 1 if best[-1] >= best[-2] else len(states) - 2
    path = np.empty(frames, np.int64)
    nats = float(best[last + 2])
    for t in range(frames - 1, -1, -1):
        path[t] = last
        last -= int(came[t, last])
    symbols = np.arange(count) * 2 + 1
    return Path(np.searchsorted(path, symbols), np.searchsorted(path, symbols, "right"), nats)


def _check(emissions: np.ndarray, targets: np.ndarray, blank: int) -> None:
    if emissions.ndim != 2 or targets.ndim != 1:
        raise BadInput(f"alignment takes float[T, V] and int[N], got {emissions.shape} and {targets.shape}")
    if len(targets) and (targets.min() < 0 or targets.max() >= emissions.shape[1] or (targets == blank).any()):
        raise BadInput(
            f"the symbols to align are {int(targets.min())} to {int(targets.max())}, expected 0 to "
            f"{emissions.shape[1] - 1} without the blank {blank}; they belong to another model"
        )
    least = len(targets) + int((targets[1:] == targets[:-1]).sum())
    if len(emissions) < least:
        raise BadInput(
            f"{len(emissions)} frames cannot hold {len(targets)} symbols, which need {least}; the recording is too "
            "short for its text, so correct the text or remove the clip"
        )


def close_gaps(path: Path, frames: int, longest: float, reach: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Starts and stops in frames, float64[N]: symbols grow into the blanks around them.

    A CTC model is sure of a symbol for a few frames only. A blank of up to `longest` frames between two is no silence:
    each gets half. Into longer ones, and at both ends, a symbol reaches `reach` frames, at most half of `longest`.
    """
    starts, stops = path.starts.astype(np.float64), path.stops.astype(np.float64)
    if not len(starts):
        return starts, stops
    gaps = starts[1:] - stops[:-1]
    grown = np.where(gaps <= longest, gaps / 2, min(reach, longest / 2))
    starts -= np.concatenate([[reach], grown])
    stops += np.concatenate([grown, [reach]])
    return starts.clip(0, frames), stops.clip(0, frames)


def word_times(starts: np.ndarray, stops: np.ndarray, sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """From spans of pieces or phones to spans of words: `sizes` says of how many pieces each word is, in order.

    A word without pieces lasts no time, where the one before it ends.

    >>> word_times(np.array([0, 2, 5]), np.array([2, 4, 9]), [2, 0, 1])
    (array([0, 4, 5]), array([4, 4, 9]))

    Raises:
        BadInput: the words have more or fewer pieces than there are spans.
    """
    ends = np.cumsum(np.asarray(sizes, np.int64))
    if len(starts) != (ends[-1] if len(ends) else 0):
        raise BadInput(f"{len(sizes)} words have {sum(sizes)} pieces, but {len(starts)} were aligned; align those")
    first = ends - np.asarray(sizes, np.int64)
    before = np.concatenate([[0], stops])
    empty = first == ends
    if not len(starts):
        return np.zeros(len(sizes)), np.zeros(len(sizes))
    begin = np.where(empty, before[first], starts[np.minimum(first, len(starts) - 1)])
    return begin, np.where(empty, before[first], before[ends])
