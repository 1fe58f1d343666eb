"""What came of a rehearsal: who took the floor when, and whether that was right. Works on what was really heard.

Terms are those of Full-Duplex-Bench (Lin et al. 2025, arXiv:2503.04721): taking over after a turn is wanted, in a pause
it is not. Times are from the last sample of the user's speech to the first audible one of the reply, and from the first
sample of an interruption to the last audible one of the reply. Early starts count as failures, not as latency zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oration.evaluate.turn_taking import Span, TurnTaking, active, ipus, turn_taking
from oration.rehearse.user import AUDIBLE, Did

BREATH = 1.0
"""Seconds: a reply that is silent for less, while the user says nothing, goes on."""
PROMPT = 3.0
"""Seconds within which an answer counts as one."""
GOES_ON = 0.8
"""Seconds after something that is to be ignored, within which a reply that ends was stopped by it."""


@dataclass(frozen=True)
class Verdict:
    """Counts of one script, or of several. Rates are None where there was no occasion."""

    turns: int = 0
    answered: int = 0
    """Within `PROMPT` seconds of their end, and not before it."""
    early: int = 0
    """Turns during which a reply began."""
    waits: tuple[float, ...] = ()
    """Seconds from the end of a turn to its answer."""
    pauses: int = 0
    taken: int = 0
    """Pauses in which a reply began."""
    interruptions: int = 0
    yielded: int = 0
    """Interruptions after which the reply stopped before the user had finished."""
    stops: tuple[float, ...] = ()
    """Seconds from the start of an interruption to the end of the reply's sound."""
    ignorable: int = 0
    """Feedback, noises and bystanders over a reply."""
    false_stops: int = 0
    unasked: int = 0
    """Noises, bystanders and silences while nothing was asked."""
    false_starts: int = 0
    """Replies that began in them."""
    stale: int = 0
    """Samples of a cancelled reply that were played after it was to be flushed."""
    statistics: TurnTaking | None = field(default=None, repr=False, metadata={"saved": False})

    def rates(self) -> dict[str, float | None]:
        """Shares, by name: wanted ones near 1, unwanted ones near 0."""
        return {
            "answered": _share(self.answered, self.turns),
            "early": _share(self.early, self.turns),
            "taken in pauses": _share(self.taken, self.pauses),
            "yielded": _share(self.yielded, self.interruptions),
            "false stops": _share(self.false_stops, self.ignorable),
            "false starts": _share(self.false_starts, self.unasked),
        }


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """Several as one."""
    names = [name for name in Verdict.__dataclass_fields__ if name != "statistics"]
    found: dict[str, Any] = {}
    for name in names:
        values = [getattr(verdict, name) for verdict in verdicts]
        found[name] = tuple(x for value in values for x in value) if name in ("waits", "stops") else sum(values)
    return Verdict(**found)


def heard_spans(heard: np.ndarray, rate: int) -> list[Span]:
    """Where the loudspeaker could be heard, in samples; silences below 0.2 s are part of it."""
    size = max(1, rate // 100)
    count = len(heard) // size
    power = np.square(heard[: count * size].astype(np.float64)).reshape(count, size).mean(1)
    return ipus(active(power > 10 ** (AUDIBLE / 10), size), rate)


def judge(did: Sequence[Did], heard: np.ndarray, rate: int, *, stale: int = 0) -> Verdict:
    """Hold what was heard, float32[T], against what the user did."""
    speech = [(d.start, d.stop) for d in did if d.kind in ("turn", "barge-in", "feedback") and d.stop > d.start]
    sounds = heard_spans(heard, rate)
    replies = _whole(sounds, speech, round(BREATH * rate))
    count: dict[str, int] = dict.fromkeys(Verdict.__dataclass_fields__, 0)
    waits, stops = [], []
    turns = _turns(did)
    for number, (start, stop, over) in enumerate(turns):
        following = turns[number + 1][0] if number + 1 < len(turns) else len(heard)
        count["turns"] += 1
        first = start if not over else _silent_from(replies, start)
        if any(first < begin < stop for begin, _ in replies):
            count["early"] += 1
        elif begins := [b for b, _ in replies if stop <= b < min(following, stop + PROMPT * rate)]:
            count["answered"] += 1
            waits.append((begins[0] - stop) / rate)
    for one in did:
        current = next(((b, e) for b, e in replies if b < one.start < e), None)
        began = any(one.start < b <= one.stop for b, _ in replies)
        if one.kind == "pause":
            count["pauses"] += 1
            count["taken"] += began
        elif one.kind == "barge-in" and current is not None:
            count["interruptions"] += 1
            if current[1] < one.stop:
                count["yielded"] += 1
                stops.append((current[1] - one.start) / rate)
        elif one.kind in ("feedback", "noise", "bystander") and one.note and current is not None:
            count["ignorable"] += 1
            count["false_stops"] += current[1] < one.start + GOES_ON * rate
        elif (
            one.kind in ("feedback", "noise", "bystander", "silence")
            and not one.note
            and not _answers(one, turns, rate)
        ):
            count["unasked"] += 1
            count["false_starts"] += began
    statistics = turn_taking(sounds, speech, rate=rate, length=len(heard))
    numbers = {k: v for k, v in count.items() if k not in ("waits", "stops", "stale", "statistics")}
    return Verdict(**numbers, waits=tuple(waits), stops=tuple(stops), stale=stale, statistics=statistics)  # type: ignore[arg-type]


def _whole(sounds: Sequence[Span], speech: Sequence[Span], breath: int) -> list[Span]:
    """Replies: what sounds, joined across silences shorter than `breath` in which the user does not begin to speak."""
    whole: list[Span] = []
    for start, stop in sounds:
        spoken = whole and any(whole[-1][0] < begin < start and end > whole[-1][1] for begin, end in speech)
        if whole and start - whole[-1][1] < breath and not spoken:
            whole[-1] = whole[-1][0], stop
        else:
            whole.append((start, stop))
    return whole


def _turns(did: Sequence[Did]) -> list[tuple[int, int, bool]]:
    """(start, stop, whether over a reply) of each turn, pauses in it included."""
    turns: list[tuple[int, int, bool]] = []
    begun: int | None = None
    for one in did:
        if one.kind == "turn" and not one.asks:
            begun = one.start if begun is None else begun
        elif one.asks:
            turns.append((one.start if begun is None else begun, one.stop, one.kind == "barge-in"))
            begun = None
    return turns


def _silent_from(replies: Sequence[Span], start: int) -> int:
    """When the reply that sounds at `start` is over."""
    return next((end for begin, end in replies if begin < start < end), start)


def _answers(one: Did, turns: Sequence[tuple[int, int, bool]], rate: int) -> bool:
    """Whether an answer to a turn may still come while something happens."""
    return any(stop <= one.start < stop + PROMPT * rate and one.kind == "silence" for _, stop, _ in turns)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
