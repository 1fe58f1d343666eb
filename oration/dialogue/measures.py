"""Delays and losses, as functions of a ledger's entries and of nothing else.

A delay in samples is a difference of positions on the input clock: how far the user's microphone has run on between
two moments. Beside it stand seconds of `now`, which also tell where the microphone is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from oration.dialogue.ledger import Ledger, Moment, Turn

STAGES = ("decide", "make", "send", "play")
"""From the user's last sample to the start of a reply, to its first sample, to its leaving, to its being heard."""


@dataclass(frozen=True)
class Latency:
    """How long one reply let the user wait."""

    epoch: int
    end: int
    """Input position of the end of the user's speech."""
    samples: int
    """Input samples received between that end and the moment at which the reply's first sample left."""
    seconds: float | None
    """From the end's arrival until the first sample left; None: too long ago to be known."""
    stages: dict[str, float]
    """Stage -> seconds; they sum up to the whole delay until the first sample was confirmed as played."""


@dataclass(frozen=True)
class Stop:
    """How long a reply went on sounding after the user began to speak over it."""

    epoch: int
    onset: int
    """Input position at which the user began."""
    samples: int
    """Input samples received from there until the last sample was confirmed as played; 0: it was over before."""
    seconds: float | None


def latencies(ledger: Ledger, ends: Sequence[int] | None = None) -> list[Latency]:
    """One per reply that was sent and followed speech of the user; taking a reply up again is none.

    Args:
        ends: labelled input positions at which the user stopped; None: where the policy saw it.
    """
    marks = sorted(ends) if ends is not None else [change.at for change in ledger.speech if not change.on]
    found, used = [], -1
    for turn in sorted(ledger.all_turns(), key=lambda turn: turn.epoch):
        before = [end for end in marks if end <= turn.heard]
        if turn.quiet or turn.resumes is not None or turn.sent is None or not before or before[-1] <= used:
            continue
        used = before[-1]
        since = ledger.receipts.when(used)
        seconds = None if since is None else turn.sent.now - since
        stages = _stages(since, turn)
        found.append(Latency(turn.epoch, used, max(0, turn.sent.received - used), seconds, stages))
    return found


def _stages(since: float | None, turn: Turn) -> dict[str, float]:
    """Seconds from each moment to the next."""
    known: list[float | None] = [since, turn.begun.now, *map(_now, (turn.emitted, turn.sent, turn.played))]
    pairs = zip(STAGES, pairwise(known), strict=True)
    return {name: b - a for name, (a, b) in pairs if a is not None and b is not None}


def _now(moment: Moment | None) -> float | None:
    return None if moment is None else moment.now


def stop_times(ledger: Ledger, onsets: Sequence[int] | None = None) -> list[Stop]:
    """One per reply that was cancelled after the user began to speak over it.

    Args:
        onsets: labelled input positions at which the user began; None: where the policy saw it.
    """
    marks = sorted(onsets) if onsets is not None else [change.at for change in ledger.speech if change.on]
    found = []
    for turn in sorted(ledger.all_turns(), key=lambda turn: turn.epoch):
        if turn.cancelled is None or turn.last is None:
            continue
        over = [onset for onset in marks if turn.heard < onset <= turn.cancelled.received]
        if not over:
            continue
        since, last = ledger.receipts.when(over[-1]), turn.last
        seconds = None if since is None else max(0.0, last.now - since)
        found.append(Stop(turn.epoch, over[-1], max(0, last.received - over[-1]), seconds))
    return found


def losses(ledger: Ledger) -> dict[str, int]:
    """Samples that were lost on the way in or out against anybody's will, by reason: what was cancelled, flushed or
    left when the session closed was not."""
    counts, meant = ledger.counts, {"cancelled", "flushed", "closed", "silence"}
    lost = {f"in: {why}": n for why, n in counts.dropped.items() if why not in meant}
    return lost | {f"out: {why}": n for why, n in counts.discarded.items() if why not in meant}


def percentile(values: Sequence[float], share: float) -> float:
    """NaN of nothing. `share`: of values below it, in percent."""
    return float(np.percentile(values, share)) if len(values) else float("nan")
