"""Rate and distortion as a page: who is better and by how much, a plot a measure, tables, and the clips themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from oration.evaluate.draw import Level, Line
from oration.evaluate.interval import Estimate
from oration.evaluate.rate_distortion.compare import ORIGINAL, Comparison, Point, RateDistortion
from oration.evaluate.rate_distortion.lag import BOUND
from oration.evaluate.rate_distortion.measures import MEASURES, Measure
from oration.evaluate.report import NOTHING, Cell, Column, Item, Player, Players, Plot, Plots, Section, Table, Text
from oration.evaluate.tables import INTERVAL

SLACK = 1.05
"""Rates that differ by no more than this factor are called the same."""
FEW = 10
"""Clips below which intervals are not to be believed."""
GROUPS = (
    ("What is heard", ("pesq", "stoi", "dnsmos")),
    ("Words and voice", ("wer", "voice")),
    ("How far from the recording", ("mel", "si_sdr")),
    ("Pitch", ("f0", "gross", "voicing")),
)
NAMES = {one.name: one for one in MEASURES}


def sections(result: RateDistortion, texts: Sequence[str | None]) -> list[Section]:
    """The page; `texts` are what the clips say."""
    made = [
        Section("Who is better", tuple(_verdicts(result)), _lead(result)),
        Section("What a kilobit buys", (Plots(tuple(_plots(result))),), "Upright lines are 95 % intervals over clips."),
        Section("Figures", (rates(result), *_figures(result))),
        Section("Some of the clips", tuple(_players(result, texts))),
        Section("How it was measured", tuple(Text(text) for text in _method(result))),
    ]
    return [section for section in made if any(not isinstance(item, Plots) or item.plots for item in section.items)]


def matches(result: RateDistortion) -> list[tuple[Point, Point]]:
    """Each point of a codec of others with those of each of ours that stand beside it.

    The one of most bits that does not take more than the peer, and, unless that takes as many, the next one above.
    """
    points = {point.label: point for point in result.points}
    firsts = dict.fromkeys(one.first for one in result.comparisons)
    ours = dict.fromkeys(points[one.second].system for one in result.comparisons)
    found = []
    for name in ours:
        mine = sorted((p for p in result.points if p.system == name), key=_kbps)
        for first in (points[label] for label in firsts):
            below = [point for point in mine if _kbps(point) <= SLACK * _kbps(first)]
            same = bool(below) and _kbps(below[-1]) * SLACK >= _kbps(first)
            above = mine[len(below) : len(below) + (not same)]
            found += [(first, second) for second in (*below[-1:], *above)]
    return found


def _kbps(point: Point) -> float:
    return math.inf if point.kbps is None else point.kbps.value


def _between(result: RateDistortion, first: Point, second: Point) -> list[Comparison]:
    return [one for one in result.comparisons if (one.first, one.second) == (first.label, second.label)]


def _lead(result: RateDistortion) -> str:
    return (
        "Each codec of others stands beside the nearest rates of ours, below and above its own. A side is better where "
        "the 95 % interval of the difference, paired by clip, leaves out zero; one in twenty such intervals would "
        "without any difference." + (f" {result.clips} clips are too few to believe it." if result.clips < FEW else "")
    )


def _verdicts(result: RateDistortion) -> Iterable[Item]:
    pairs = matches(result)
    for first, second in pairs:
        yield Text(_sentence(result, first, second))
    for peer in dict.fromkeys(first.system for first, _ in pairs):
        for name in dict.fromkeys(second.system for _, second in pairs):
            yield _versus(result, [(a, b) for a, b in pairs if (a.system, b.system) == (peer, name)])


def _sentence(result: RateDistortion, first: Point, second: Point) -> str:
    """Who wins what, in words."""
    by: dict[str | None, list[str]] = {}
    for one in _between(result, first, second):
        by.setdefault(one.winner, []).append(NAMES[one.measure].label)
    share = _kbps(second) / _kbps(first)
    more = "about as many bits" if 1 / SLACK <= share <= SLACK else f"{share:.2f} times the bits"
    said = [
        f"{side.system} is better in {_listed(by[side.label]) if side.label in by else 'nothing'}"
        for side in (first, second)
    ]
    open_ = f"; not told apart: {_listed(by[None])}" if None in by else ""
    return (
        f"{first.system} at {first.setting} ({_kbps(first):.2f} measured) beside {second.label} "
        f"({_kbps(second):.2f} kbit/s, {more}): {'; '.join(said)}{open_}."
    )


def _listed(names: Sequence[str]) -> str:
    short = [name.partition(",")[0] for name in names]
    return short[0] if len(short) == 1 else f"{', '.join(short[:-1])} and {short[-1]}"


def _versus(result: RateDistortion, pairs: Sequence[tuple[Point, Point]]) -> Table:
    """One row a measure, one column a rate of the peer."""
    columns = [Column("measure")]
    cells: list[dict[str, str]] = []
    for first, second in pairs:
        columns.append(Column(f"{first.system} {first.setting} beside {second.setting} ({_kbps(second):.2f} kbit/s)"))
        cells.append({one.measure: _won(one, first, second) for one in _between(result, first, second)})
    rows = tuple(
        (measure.label, *(column.get(measure.name) for column in cells))
        for measure in MEASURES
        if any(measure.name in column for column in cells)
    )
    peer, name = pairs[0][0].system, pairs[0][1].system
    note = (
        "By how much the better side is better, and the 95 % interval of that, paired by clip; where they are not told "
        f"apart, the interval of how much better {peer} is, below zero {name}."
    )
    return Table(f"{peer} beside {name}", tuple(columns), rows, note)


def _won(one: Comparison, first: Point, second: Point) -> str:
    measure, gain = NAMES[one.measure], one.gain
    if one.winner == one.second:
        gain = Estimate(-gain.value, -gain.high, -gain.low, gain.n)
    if math.isnan(gain.low):
        return "one clip alone: no interval"
    spread = f"[{_shown(gain.low, measure)}, {_shown(gain.high, measure)}]" + (" points" if measure.percent else "")
    if one.winner is None:
        return f"not told apart {spread}"
    winner = first.system if one.winner == one.first else second.system
    return f"{winner} by {_shown(gain.value, measure)} {spread}"


def _shown(value: float, measure: Measure) -> str:
    scaled, digits = (100 * value, max(0, measure.digits - 2)) if measure.percent else (value, measure.digits)
    return f"{scaled:.{digits}f}".replace("-", "\u2212")


def _plots(result: RateDistortion) -> Iterable[Plot]:
    """One a measure: a line a system, levels where there is no rate."""
    coded = [point for point in result.points if point.kbps is not None]
    if not coded:
        return
    names = dict.fromkeys(point.system for point in coded)
    for measure in result.measures():
        lines = []
        for name in names:
            points = sorted((p for p in coded if p.system == name and measure.name in p.scores), key=_kbps)
            lines.append(_line(name, points, measure))
        levels = tuple(
            Level(point.label, _scaled(point.scores[measure.name].value, measure))
            for point in result.points
            if point.kbps is None and measure.name in point.scores
        )
        sign = "\u2191" if measure.better == "higher" else "\u2193"
        unit = ", per cent" if measure.percent else ""
        yield Plot(
            f"{measure.label}{unit} {sign} {measure.better} is better",
            tuple(lines),
            "kbit/s, measured",
            "",
            levels,
            logarithmic=True,
            keyed=True,
        )


def _scaled(value: float, measure: Measure) -> float:
    return 100 * value if measure.percent else value


def _line(name: str, points: Sequence[Point], measure: Measure) -> Line:
    scores = [point.scores[measure.name] for point in points]
    return Line(
        label=name,
        x=[_kbps(point) for point in points],
        y=[_scaled(score.value, measure) for score in scores],
        low=[_scaled(score.low, measure) for score in scores],
        high=[_scaled(score.high, measure) for score in scores],
        dots=True,
        bars=True,
        said=[
            f"{point.label}, {_kbps(point):.2f} kbit/s: {_shown(score.value, measure)}"
            for point, score in zip(points, scores, strict=True)
        ],
    )


def rates(result: RateDistortion) -> Table:
    """What each system takes."""
    columns = Column("system"), Column("kbit/s", 2), Column("entropy, kbit/s", 2), Column("delay, ms", 1)
    rows: list[tuple[Cell, ...]] = []
    for point in result.points:
        if point.label != ORIGINAL:
            late = None if point.lag is None else 1000 * point.lag.seconds
            kbps = NOTHING if point.kbps is None else point.kbps
            rows.append((point.label, kbps, NOTHING if point.entropy is None else point.entropy, late))
    rows += [(f"{one.system}, {one.setting}", None, None, None) for one in result.absent]
    absent = "".join(f" {one.system}, {one.setting}: not computed: {one.why}." for one in result.absent)
    note = (
        f"{result.clips} clips, {result.seconds:.0f} s. {INTERVAL}, clips resampled. Entropy: what the symbols of each "
        "level would take at best, each by itself, if their frequencies on these clips were known; few clips make it "
        f"too low. The delay was taken out before anything else was measured.{absent}"
    )
    return Table("Rates", columns, tuple(rows), note)


def _figures(result: RateDistortion) -> Iterable[Table]:
    """The measures in groups that fit a terminal."""
    known = {one.name for one in result.measures()}
    for caption, names in GROUPS:
        shown = [NAMES[name] for name in names if name in known]
        if not shown:
            continue
        columns = [Column(one.label, one.digits, one.better, one.percent) for one in shown]
        rows = []
        for point in result.points:
            if any(one.alone for one in shown) or point.label != ORIGINAL:
                rows.append((point.label, *(_value(point, one) for one in shown)))
        rows += [(f"{one.system}, {one.setting}", *(None for _ in shown)) for one in result.absent]
        refused = [
            f"{NAMES[name].label} {count} of {point.label}"
            for point in result.points
            for name, count in point.refused.items()
            if name in names and name in known
        ]
        left = f" Clips that a measure found no speech or no words in are left out: {'; '.join(refused)}."
        note = f"{INTERVAL}, clips resampled.{left if refused else ''}"
        if "wer" in names and result.words:
            note += f" {result.words} words."
        yield Table(caption, (Column("system"), *columns), tuple(rows), note)


def _value(point: Point, measure: Measure) -> Cell:
    if point.label == ORIGINAL and not measure.alone:
        return NOTHING
    return point.scores.get(measure.name)


def _players(result: RateDistortion, texts: Sequence[str | None]) -> Iterable[Players]:
    """Each shown clip by all systems, the original first, then from few bits to many, then those without bits."""
    order = sorted(result.points, key=lambda point: (point.label != ORIGINAL, _kbps(point)))
    for number in sorted({number for point in result.points for number in point.shown}):
        players = [Player(point.label, point.shown[number], _cost(point)) for point in order if number in point.shown]
        yield Players(tuple(players), texts[number] or f"Clip {number + 1}")


def _cost(point: Point) -> str:
    if point.kbps is not None:
        return f"{point.kbps.value:.2f} kbit/s"
    return "not coded" if point.label == ORIGINAL else "not quantised"


def _method(result: RateDistortion) -> Iterable[str]:
    yield (
        "Every clip is brought to 16 kHz, mono, and given to every system so; copies are brought back to 16 kHz and "
        "measured there, one clip at a time. A value is a quotient of sums over clips (wrong words by words, "
        "differences by frames) or a mean over clips; intervals come from drawing clips with replacement."
    )
    yield (
        f"Each system has one delay, up to {1000 * BOUND:.0f} ms to either side: first where loudness in 20 mel bands "
        "correlates best with the recordings, then to the sample within 4 ms, where the copies follow the wave at all. "
        "It is found over all clips together, by this rule for all systems, and taken out."
    )
    yield (
        "SI-SDR asks for the same wave. Griffin-Lim and codec2 give up the phase and cannot have it; PESQ and mel "
        "distance are fairer to them. Absolute values of DNSMOS, of same voice and of the words that pocketsphinx "
        "hears mean little: read them beside those of the original."
    )
    yield "How bits were counted: " + "; ".join(result.notes) + "."
    for name, why in result.not_computed.items():
        yield f"{NAMES[name].label} not computed: {why}."
