"""Pictures for a page: spectrograms as PNG, streams and curves as SVG. Colours of curves come from the page's CSS."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from oration.core import TICKS, BadInput, Spec, Stream, Waveform

_STOPS = np.array(
    [
        (9, 10, 24),
        (38, 20, 74),
        (86, 26, 108),
        (140, 37, 104),
        (193, 58, 80),
        (234, 98, 52),
        (250, 158, 59),
        (252, 236, 176),
    ]
)
"""Dark to bright, each step about equally brighter, so that it reads in grey too."""
BANDS = 128


def palette() -> np.ndarray:
    """uint8[256, 3]"""
    at = np.linspace(0, len(_STOPS) - 1, 256)
    return np.stack([np.interp(at, np.arange(len(_STOPS)), _STOPS[:, c]) for c in range(3)], 1).round().astype(np.uint8)


def png(pixels: np.ndarray, colours: np.ndarray) -> bytes:
    """Palette image uint8[H, W] with colours uint8[256, 3] -> a PNG file."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = pixels.shape
    lines = np.zeros((height, width + 1), np.uint8)
    lines[:, 1:] = pixels
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 9)
    parts = chunk(b"IHDR", head), chunk(b"PLTE", colours.tobytes()), chunk(b"IDAT", body), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def spectrogram_png(wave: Waveform, *, columns: int = 900, decibels: float = 75.0) -> bytes:
    """Log-mel spectrogram (128 bands, low at the bottom), the loudest cell bright and `decibels` below it dark."""
    import torch

    from oration.audio.mel import mel_filters, spectrogram

    fft = 1 << max(8, (wave.rate // 25).bit_length() - 1)
    hop = max(fft // 16, -(-len(wave) // columns), 1)
    magnitude = spectrogram(torch.from_numpy(wave.samples), fft, hop)[: max(1, -(-len(wave) // hop))]
    bands = BANDS
    filters = mel_filters(wave.rate, bands, fft)
    # Low bands narrower than a bin would be black stripes.
    filters = filters[:, filters.sum(0) > 0]
    level = 20 * np.log10(np.maximum((magnitude @ filters).numpy(), 1e-7))
    scaled = np.clip(1 + (level - level.max()) / decibels, 0, 1) if level.max() > -130 else np.zeros_like(level)
    return png((scaled.T[::-1] * 255).round().astype(np.uint8), palette())


@dataclass(frozen=True)
class Lane:
    """A discrete stream to draw under a spectrogram."""

    label: str
    stream: Stream
    spec: Spec
    names: Sequence[str] | None = None
    """What the symbols are called (phones), written into their blocks."""
    ordered: bool = False
    """Symbols are levels (pitch bins, durations): colour by size. Else every symbol has a colour of its own."""
    blank: int | None = None
    """A symbol that is not drawn (unvoiced, silence)."""


def runs(lane: Lane, seconds: float) -> list[tuple[float, float, int]]:
    """Start, stop (s) and symbol of the lane's stretches of equal symbols, cut at `seconds`."""
    onsets = lane.stream.times(lane.spec) / TICKS
    if lane.spec.rate is not None and lane.stream.onsets is None:
        ends = lane.stream.times(lane.spec) / TICKS + 1 / float(lane.spec.rate)
    else:
        ends = np.r_[onsets[1:], seconds]
    ids = lane.stream.ids
    if not len(ids):
        return []
    merge = lane.stream.onsets is None
    first = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]]) if merge else np.arange(len(ids))
    last = np.r_[first[1:] - 1, len(ids) - 1]
    found = [(float(onsets[a]), min(seconds, float(ends[b])), int(ids[a])) for a, b in zip(first, last, strict=True)]
    return [one for one in found if one[0] < one[1]]


def _colour(lane: Lane, symbol: int) -> str:
    if lane.ordered:
        share = symbol / max(1, lane.spec.size - 1)
        return f"hsl({250 - 210 * share:.0f} 65% {38 + 24 * share:.0f}%)"
    # Steps of the golden angle: neighbours in number are far apart in hue.
    return f"hsl({symbol * 137.508 % 360:.0f} {48 + symbol % 3 * 12}% {46 + symbol // 3 % 3 * 9}%)"


def lane_svg(lane: Lane, seconds: float) -> str:
    """One row of blocks on the time axis 0 .. seconds, stretched to the width of whatever holds it."""
    blocks = []
    for start, stop, symbol in runs(lane, seconds):
        if symbol == lane.blank:
            continue
        name = lane.names[symbol] if lane.names is not None else str(symbol)
        said = escape(f"{lane.label} {name}: {start:.2f} to {stop:.2f} s")
        blocks.append(
            f'<rect x="{1000 * start / seconds:.2f}" width="{1000 * (stop - start) / seconds:.2f}" height="10" '
            f'fill="{_colour(lane, symbol)}"><title>{said}</title></rect>'
        )
    label = escape(f"{lane.label}: {len(blocks)} blocks in {seconds:.1f} s")
    head = f'<svg class="lane" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{label}">'
    return head + "".join(blocks) + "</svg>" + (_names(lane, lane.names, seconds) if lane.names is not None else "")


def _names(lane: Lane, names: Sequence[str], seconds: float) -> str:
    """Text over the blocks; outside the SVG, which is stretched."""
    parts = [
        f'<span style="left:{100 * start / seconds:.2f}%;width:{100 * (stop - start) / seconds:.2f}%">'
        f"{escape(names[symbol])}</span>"
        for start, stop, symbol in runs(lane, seconds)
        if symbol != lane.blank
    ]
    return f'<span class="names" aria-hidden="true">{"".join(parts)}</span>'


def ticks_of(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2, 5 times a power of ten) inside low .. high."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(power * next(m for m in (1, 2, 5, 10) if raw <= m * power * 1.0000001))
    first = int(np.ceil(low / step - 1e-9))
    return [round(n * step, 12) for n in range(first, int(np.floor(high / step + 1e-9)) + 1)]


@dataclass(frozen=True)
class Line:
    """A curve; `low` and `high` draw its interval as a band."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    dots: bool = False
    bars: bool = False
    """Draw the interval of each point by itself, where points are few."""
    said: Sequence[str] | None = None
    """What each dot says when pointed at."""


@dataclass(frozen=True)
class Level:
    """A horizontal line to compare with, such as an n-gram's loss."""

    label: str
    y: float


_W, _H, _LEFT, _RIGHT, _TOP, _BOTTOM = 640.0, 330.0, 58.0, 14.0, 14.0, 54.0


def octaves_of(low: float, high: float) -> list[float]:
    """Round numbers inside low .. high, above 0, for a logarithmic axis: 1, 2, 5, 10 ... where two of them fit."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    near = [round(m * 10.0**power, 12) for power in powers for m in (1, 2, 5)]
    found = [x for x in near if low <= x * 1.0000001 and x <= high * 1.0000001]
    return found if len(found) > 1 else ticks_of(low, high, 4)


def plot_svg(
    lines: Sequence[Line],
    levels: Sequence[Level],
    x_label: str,
    y_label: str,
    *,
    label: str,
    logarithmic: bool = False,
) -> str:
    """Curves and levels on linear axes; the one across may be logarithmic.

    Raises:
        BadInput: nothing finite to draw, a curve with as many x as not y, or an x of 0 on a logarithmic axis.
    """
    if any(len(line.x) != len(line.y) for line in lines):
        raise BadInput("a curve needs one y for every x; check the Line's lengths")
    xs = _finite([x for line in lines for x in line.x])
    ys = _finite([y for line in lines for side in (line.y, line.low, line.high) for y in side or ()])
    ys = np.r_[ys, _finite([level.y for level in levels])]
    if not len(xs) or not len(ys):
        raise BadInput(f"a plot needs points, but {len(lines)} curves hold nothing finite; leave the plot out")
    if logarithmic and xs.min() <= 0:
        raise BadInput(f"a logarithmic axis begins above 0, but a curve has the x {xs.min():g}; leave that point out")
    (x0, x1), (y0, y1) = _span(np.log(xs), 0.04) if logarithmic else _span(xs), _span(ys, 0.06)

    def place(x: float, y: float) -> tuple[float, float]:
        along = np.log(x) if logarithmic else x
        across = _LEFT + (_W - _LEFT - _RIGHT) * (along - x0) / (x1 - x0)
        return float(across), _H - _BOTTOM - (_H - _TOP - _BOTTOM) * (y - y0) / (y1 - y0)

    parts = [f'<svg class="plot" viewBox="0 0 {_W:.0f} {_H:.0f}" role="img" aria-label="{escape(label)}">']
    start = float(np.exp(x0)) if logarithmic else x0
    for y in ticks_of(y0, y1):
        _, at = place(start, y)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in octaves_of(start, float(np.exp(x1))) if logarithmic else ticks_of(x0, x1, 6):
        at, _ = place(x, y0)
        parts.append(f'<text x="{at:.1f}" y="{_H - _BOTTOM + 20}" text-anchor="middle">{_short(x)}</text>')
    middle = (_TOP + _H - _BOTTOM) / 2
    parts.append(
        f'<text class="axis" x="{(_LEFT + _W - _RIGHT) / 2}" y="{_H - 6}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(
        f'<text class="axis" transform="translate(13 {middle}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    for number, level in enumerate(levels):
        _, at = place(start, level.y)
        parts.append(f'<line class="level" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        if not level.label:
            continue
        # Every second name on the other side, because levels may lie close together.
        side, anchor = (_W - _RIGHT - 4, "end") if number % 2 == 0 else (_LEFT + 6, "start")
        name = escape(level.label)
        parts.append(f'<text class="name" x="{side}" y="{at - 4:.1f}" text-anchor="{anchor}">{name}</text>')
    for number, line in enumerate(lines):
        parts.append(_curve(line, number % 6, place))
    return "".join(parts) + "</svg>"


def _curve(line: Line, colour: int, place: Any) -> str:
    parts = []
    points = [place(x, y) for x, y in zip(line.x, line.y, strict=True) if np.isfinite(x) and np.isfinite(y)]
    if line.low is not None and line.high is not None and line.bars:
        parts += _bars(line, colour, place)
    elif line.low is not None and line.high is not None:
        edge = [place(x, y) for x, y in zip(line.x, line.high, strict=True)]
        edge += [place(x, y) for x, y in zip(line.x, line.low, strict=True)][::-1]
        parts.append(f'<polygon class="band c{colour}" points="{_points(edge)}"/>')
    parts.append(
        f'<polyline class="curve c{colour}" points="{_points(points)}"><title>{escape(line.label)}</title></polyline>'
    )
    if line.dots or len(points) == 1:
        said = [text for text, y in zip(line.said or [""] * len(line.y), line.y, strict=True) if np.isfinite(y)]
        parts += [
            f'<circle class="dot c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="{4.5 if text else 3.5}"'
            + (f"><title>{escape(text)}</title></circle>" if text else "/>")
            for (x, y), text in zip(points, said, strict=True)
        ]
    return "".join(parts)


def _bars(line: Line, colour: int, place: Any) -> list[str]:
    parts = []
    for x, low, high in zip(line.x, line.low or (), line.high or (), strict=True):
        if np.isfinite(low) and np.isfinite(high):
            (at, bottom), (_, top) = place(x, low), place(x, high)
            caps = f"M{at - 5:.1f} {top:.1f}h10M{at:.1f} {top:.1f}V{bottom:.1f}M{at - 5:.1f} {bottom:.1f}h10"
            parts.append(f'<path class="reach c{colour}" d="{caps}"/>')
    return parts


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _finite(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, np.float64)
    return array[np.isfinite(array)]


def _span(values: np.ndarray, margin: float = 0.0) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = (high - low) * margin if high > low else abs(high) * 0.1 or 1.0
    return low - room, high + room


def _short(x: float) -> str:
    """12000 -> 12k."""
    return f"{x / 1000:g}k" if abs(x) >= 10_000 else f"{x:g}"


def whisker_svg(value: float, low: float, high: float, floor: float, ceiling: float) -> str:
    """An interval with its value as a dot, on the scale floor .. ceiling."""
    reach = ceiling - floor or 1.0

    def at(x: float) -> float:
        return 4 + 92 * (x - floor) / reach

    return (
        '<svg class="whisker" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<line x1="4" x2="96" y1="4" y2="4"/>'
        f'<rect x="{at(low):.1f}" y="2.6" width="{max(0.6, at(high) - at(low)):.1f}" height="2.8"/>'
        f'<rect class="value" x="{at(value) - 0.9:.1f}" y="0.4" width="1.8" height="7.2"/></svg>'
    )
