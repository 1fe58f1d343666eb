"""Who speaks when, in a dialogue of two channels: turns, pauses, gaps, overlaps, and how two dialogues differ in them.

The terms are those of Nguyen et al. 2023 (dGSLM, arXiv:2203.16502, section 5.4). Spans are in samples, [start, stop).

    A      ████████▒▒███      ███████        ▒  shorter than 200 ms: bridged, one inter-pausal unit (IPU)
    B                    ████    ██
           solo         |gap |pause           of A's second turn; B's second IPU lies inside: overlap, no turn
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from oration.core import BadInput

BRIDGE = 0.2
"""Seconds: silences of one speaker shorter than this are inside an IPU."""

KINDS = ("ipu", "turn", "pause", "gap", "overlap")
"""What is counted."""

Span = tuple[int, int]
"""First sample, and one past the last."""


@dataclass(frozen=True, eq=False)
class TurnTaking:
    """A dialogue's stretches of each kind, as spans in samples."""

    rate: int
    """Hz."""
    length: int
    """Samples of the dialogue."""
    spans: Mapping[str, tuple[Span, ...]]
    """Kind -> stretches in order of time; IPUs and turns of both speakers."""
    solo: int
    """Samples in which exactly one speaks."""
    edges: int
    """Samples before the first IPU and after the last."""

    def seconds(self, kind: str) -> np.ndarray:
        """float64[n]: how long each stretch of a kind lasts."""
        return np.array([stop - start for start, stop in self.spans[kind]]) / self.rate

    def per_minute(self, kind: str) -> float:
        """How many begin in a minute."""
        return len(self.spans[kind]) * 60 * self.rate / self.length if self.length else math.nan

    def seconds_per_minute(self, kind: str) -> float:
        """How many seconds of a minute they fill; IPUs and turns of both speakers add up."""
        return float(self.seconds(kind).sum()) * 60 * self.rate / self.length if self.length else math.nan

    def mean(self, kind: str) -> float:
        """Mean duration, s; NaN where there is none."""
        found = self.seconds(kind)
        return float(found.mean()) if len(found) else math.nan


def ipus(spans: Iterable[Span], rate: int, bridge: float = BRIDGE) -> list[Span]:
    """Stretches of one speaker's speech, whatever their order -> IPUs: joined across silences shorter than `bridge` s.

    >>> ipus([(0, 10), (29, 40), (60, 70)], rate=100)
    [(0, 40), (60, 70)]
    """
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if stop <= start:
            raise BadInput(f"a stretch of speech ends after it starts, but got {start} to {stop}; leave empty ones out")
        if joined and start - joined[-1][1] < bridge * rate:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined


def turn_taking(a: Iterable[Span], b: Iterable[Span], *, rate: int, length: int, bridge: float = BRIDGE) -> TurnTaking:
    """What two speakers do, from the stretches in which each speaks.

    A silence between IPUs is a pause if somebody who speaks right after it also spoke right before, else a gap; at the
    edges of the dialogue it is neither. Listener feedback, an IPU wholly inside one of the other's, ends nobody's turn
    and is none; where two IPUs are equal, it is B's.

    Raises:
        BadInput: a stretch that is empty or lies outside the dialogue.
    """
    sides = [ipus(spans, rate, bridge) for spans in (a, b)]
    everything = sorted(span for side in sides for span in side)
    if everything and (everything[0][0] < 0 or max(stop for _, stop in everything) > length):
        raise BadInput(
            f"speech from {everything[0][0]} to {max(stop for _, stop in everything)} does not lie in a dialogue of "
            f"{length} samples; give the dialogue's length"
        )
    found: dict[str, list[Span]] = {"ipu": everything, "turn": _turns(sides), "pause": [], "gap": [], "overlap": []}
    cuts = sorted({0, length, *(edge for span in everything for edge in span)})
    solo = edges = 0
    for start, stop in pairwise(cuts):
        speaking = [any(s <= start < e for s, e in side) for side in sides]
        if all(speaking):
            found["overlap"].append((start, stop))
        elif any(speaking):
            solo += stop - start
        elif start == 0 or stop == length:
            edges += stop - start
        else:
            before = [any(e == start for _, e in side) for side in sides]
            after = [any(s == stop for s, _ in side) for side in sides]
            same = any(x and y for x, y in zip(before, after, strict=True))
            found["pause" if same else "gap"].append((start, stop))
    return TurnTaking(rate, length, {kind: tuple(found[kind]) for kind in KINDS}, solo, edges)


def _turns(sides: Sequence[Sequence[Span]]) -> list[Span]:
    """IPUs of a speaker, joined until the other has one that is not feedback."""
    marked = [(span, 0) for span in sides[0] if not _inside(span, sides[1], equal=False)]
    marked += [(span, 1) for span in sides[1] if not _inside(span, sides[0], equal=True)]
    turns: list[tuple[Span, int]] = []
    for (start, stop), who in sorted(marked):
        if turns and turns[-1][1] == who:
            turns[-1] = (turns[-1][0][0], max(stop, turns[-1][0][1])), who
        else:
            turns.append(((start, stop), who))
    return [span for span, _ in turns]


def _inside(span: Span, others: Sequence[Span], equal: bool) -> bool:
    return any(s <= span[0] and span[1] <= e and (equal or (s, e) != span) for s, e in others)


def distances(one: Sequence[TurnTaking], other: Sequence[TurnTaking]) -> dict[str, float]:
    """Kind -> earth mover's distance between the durations of two sets of dialogues, s; NaN where one has none.

    It is the area between the two cumulative distributions.
    """
    found = {}
    for kind in KINDS:
        x, y = (np.sort(np.concatenate([t.seconds(kind) for t in part] or [np.zeros(0)])) for part in (one, other))
        if not len(x) or not len(y):
            found[kind] = math.nan
            continue
        edges = np.sort(np.concatenate([x, y]))
        below = [np.searchsorted(side, edges[:-1], "right") / len(side) for side in (x, y)]
        found[kind] = float((np.abs(below[0] - below[1]) * np.diff(edges)).sum())
    return found


def correlations(prompts: Sequence[TurnTaking], continuations: Sequence[TurnTaking]) -> dict[str, float]:
    """Kind -> Pearson's correlation, over dialogues, of its mean duration in the prompt and in what a model adds.

    Dialogues in which a kind is missing on one side are left out; NaN where fewer than three are left or none vary.

    Raises:
        BadInput: as many continuations as prompts were expected.
    """
    if len(prompts) != len(continuations):
        raise BadInput(f"{len(prompts)} prompts and {len(continuations)} continuations; give one of each a dialogue")
    found = {}
    for kind in KINDS:
        means = np.array([(p.mean(kind), c.mean(kind)) for p, c in zip(prompts, continuations, strict=True)])
        means = means.reshape(-1, 2)[np.isfinite(means.reshape(-1, 2)).all(1)]
        varies = len(means) >= 3 and bool((np.ptp(means, axis=0) > 0).all())
        found[kind] = float(np.corrcoef(means.T)[0, 1]) if varies else math.nan
    return found


def active(frames: np.ndarray, hop: int) -> list[Span]:
    """bool[F], whether each frame of `hop` samples has speech -> stretches in samples.

    >>> active(np.array([0, 1, 1, 0, 1], bool), hop=100)
    [(100, 300), (400, 500)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(frames, np.int8), [0]])))
    return [(int(start) * hop, int(stop) * hop) for start, stop in edges.reshape(-1, 2)]
