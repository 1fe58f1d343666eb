"""One page that opens from disk: players, spectrograms with units under them, tables with intervals, plots, pictures.

Everything is inside the file (sound as FLAC or Opus, pictures as PNG and SVG); it asks nothing of any server, and its
content policy forbids that. The same results go beside it as JSON.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np

from oration.core import BadInput, Waveform
from oration.core.files import replace_file
from oration.evaluate.draw import Lane, Level, Line, lane_svg, plot_svg, spectrogram_png, ticks_of, whisker_svg
from oration.evaluate.gridview import GridView
from oration.evaluate.gridview import html as grid_html
from oration.evaluate.interval import Estimate, to_json

Cell = Estimate | str | int | float | None

NOTHING = "–"
"""A cell that cannot have a value, such as a system's distance from itself. None is one that was not computed."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Player:
    """A recording to hear and see: spectrogram, streams under it on the same time axis, controls."""

    label: str
    wave: Waveform
    note: str = ""
    """A line under the label: what was said, which temperature."""
    lanes: tuple[Lane, ...] = ()
    spectrogram: bool = True
    mark: float | None = None
    """A moment in seconds to mark, such as the end of a prompt."""


@dataclass(frozen=True)
class Players:
    """Recordings side by side where there is room, such as an original and its resynthesis."""

    players: tuple[Player, ...]
    caption: str = ""


@dataclass(frozen=True)
class Column:
    """How a column of a table reads."""

    label: str
    digits: int = 3
    better: Literal["lower", "higher"] | None = None
    percent: bool = False
    """Show shares as per cent."""


@dataclass(frozen=True)
class Table:
    """Rows of cells; an `Estimate` shows its interval, None reads "not computed"."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    """The first cell names the row."""
    note: str = ""
    turned: bool = False
    """Draw columns as rows, where they are many and the rows few."""


@dataclass(frozen=True)
class Plot:
    """Curves, and levels to compare them with."""

    caption: str
    lines: tuple[Line, ...]
    x_label: str
    y_label: str
    levels: tuple[Level, ...] = ()
    logarithmic: bool = False
    """The axis across."""
    keyed: bool = False
    """Name the levels under the plot, not at their lines, where curves would run through the names."""


@dataclass(frozen=True)
class Plots:
    """Plots side by side where there is room."""

    plots: tuple[Plot, ...]


@dataclass(frozen=True)
class Picture:
    """Text whose columns matter: a layout's grid, a tree."""

    caption: str
    text: str


@dataclass(frozen=True)
class Timings:
    """How long each stage took, in seconds."""

    caption: str
    stages: Mapping[str, float]
    audio_seconds: Mapping[str, float] | None = None
    """Stage -> seconds of sound it worked on, for a real-time factor."""


Item = Text | Player | Players | Table | Plot | Plots | Picture | Timings | GridView


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    items: tuple[Item, ...]
    lead: str = ""


def page(
    sections: Sequence[Section],
    *,
    title: str = "oration",
    lead: str = "",
    facts: Mapping[str, str] | None = None,
    encoding: Literal["flac", "opus"] = "flac",
    language: str = "en",
) -> str:
    """The page as one string of HTML.

    Args:
        facts: short name -> value, shown in the head (model, data, machine, version).
        encoding: `flac` loses nothing and plays everywhere; `opus` is some five times smaller.

    Raises:
        BadInput: a recording without samples, or a table whose rows do not fit its columns.
    """
    numbers = count(1)
    body = "".join(_section(section, number, numbers, encoding) for number, section in enumerate(sections, 1))
    links = "".join(f'<li><a href="#s{n}">{escape(s.title)}</a></li>' for n, s in enumerate(sections, 1))
    known = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in (facts or {}).items())
    grids = any(isinstance(item, GridView) for section in sections for item in section.items)
    style, script = (
        "".join(
            files("oration.evaluate").joinpath(f"{name}.{kind}").read_text("utf-8")
            for name in ("report", *(("grid",) if grids else ()))
        )
        for kind in ("css", "js")
    )
    policy = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">Skip to the content</a>\n<header>\n<h1>{escape(title)}</h1>\n'
        + (f'<p class="lead">{escape(lead)}</p>\n' if lead else "")
        + (f'<dl class="facts">{known}</dl>\n' if known else "")
        + (f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n' if len(sections) > 1 else "")
        + f'</header>\n<main id="main">\n{body}</main>\n<script>\n{script}</script>\n</body>\n</html>\n'
    )


def write_page(
    path: Path | str,
    sections: Sequence[Section],
    *,
    results: Any = None,
    title: str = "oration",
    lead: str = "",
    facts: Mapping[str, str] | None = None,
    encoding: Literal["flac", "opus"] = "flac",
) -> Path:
    """Write the page, and `results` (any dataclasses of this folder) as JSON under the same name beside it.

    Raises:
        BadInput: the place is missing, closed to us or full; what was there stays as it was.
    """
    path = Path(path)
    content = page(sections, title=title, lead=lead, facts=facts, encoding=encoding)
    data = {"title": title, "facts": facts or {}, "results": results}
    replace_file(path.with_suffix(".json"), (to_json(data) + "\n").encode())
    return replace_file(path, content.encode())


def _section(section: Section, number: int, numbers: Iterator[int], encoding: str) -> str:
    lead = f'<p class="lead">{escape(section.lead)}</p>\n' if section.lead else ""
    items = "".join(_item(item, numbers, encoding) for item in section.items)
    head = f'<h2 id="h{number}">{escape(section.title)}</h2>'
    return f'<section id="s{number}" aria-labelledby="h{number}">\n{head}\n{lead}{items}</section>\n'


def _item(item: Item, numbers: Iterator[int], encoding: str) -> str:
    if isinstance(item, Text):
        return f"<p>{escape(item.text)}</p>\n"
    if isinstance(item, Player):
        return _player(item, next(numbers), encoding)
    if isinstance(item, Players):
        inner = "".join(_player(player, next(numbers), encoding) for player in item.players)
        caption = f'<p class="caption">{escape(item.caption)}</p>\n' if item.caption else ""
        return f'<div class="group">{caption}<div class="players">\n{inner}</div></div>\n'
    if isinstance(item, GridView):
        return grid_html(item, next(numbers))
    if isinstance(item, Table):
        return _table(item)
    if isinstance(item, Plot):
        return _plot(item)
    if isinstance(item, Plots):
        return f'<div class="plots">\n{"".join(map(_plot, item.plots))}</div>\n'
    if isinstance(item, Picture):
        return (
            f'<figure class="picture"><figcaption>{escape(item.caption)}</figcaption>'
            f'<pre tabindex="0" aria-label="{escape(item.caption)}">{escape(item.text)}</pre></figure>\n'
        )
    return _timings(item)


def sound(wave: Waveform, encoding: Literal["flac", "opus"] | str = "flac") -> str:
    """A recording as a data address, 16-bit FLAC or Ogg Opus; peaks are clipped at 1."""
    if not len(wave):
        raise BadInput(f"a player needs samples, but got {wave!r}; leave it out")
    import soundfile

    from oration.audio.resample import resample

    file = io.BytesIO()
    if encoding == "flac":
        samples, kind, mime = wave.samples, ("FLAC", "PCM_16"), "audio/flac"
    else:
        wave = wave if wave.rate in (8000, 12000, 16000, 24000, 48000) else resample(wave, 48000)
        samples, kind, mime = wave.samples, ("OGG", "OPUS"), "audio/ogg"
    soundfile.write(file, np.clip(samples, -1, 1 - 2**-15), wave.rate, format=kind[0], subtype=kind[1])
    return f"data:{mime};base64,{base64.b64encode(file.getvalue()).decode()}"


def _player(player: Player, number: int, encoding: str) -> str:
    name, seconds = escape(player.label), player.wave.seconds
    source = sound(player.wave, encoding)
    note = f'<span class="note">{escape(player.note)}</span>' if player.note else ""
    track = ""
    if player.spectrogram or player.lanes:
        track = _track(player, seconds)
    return (
        f'<figure class="player" id="p{number}"><figcaption><strong>{name}</strong> '
        f'<span class="length">{seconds:.1f} s</span>{note}</figcaption>\n{track}'
        f'<audio controls preload="metadata" aria-label="{name}" src="{source}"></audio></figure>\n'
    )


def _track(player: Player, seconds: float) -> str:
    """What shares the time axis: spectrogram, lanes, ticks, and the playhead that the script moves."""
    rows = []
    if player.spectrogram:
        image = base64.b64encode(spectrogram_png(player.wave)).decode()
        said = escape(f"Spectrogram of {player.label}, {seconds:.1f} seconds, 0 to {player.wave.rate / 2000:g} kHz")
        rows.append(f'<img class="spectrogram" alt="{said}" src="data:image/png;base64,{image}">')
    for lane in player.lanes:
        rows.append(
            f'<div class="lanebox"><span class="lanename">{escape(lane.label)}</span>{lane_svg(lane, seconds)}</div>'
        )
    marks = "".join(
        f'<span style="left:{100 * t / seconds:.2f}%">{t:g}</span>'
        for t in ticks_of(0, seconds, 5)
        if t <= seconds * 0.97
    )
    mark = ""
    if player.mark is not None:
        mark = f'<span class="mark" style="left:{100 * min(1.0, player.mark / seconds):.2f}%"></span>'
    return (
        f'<div class="track">{"".join(rows)}{mark}<span class="head" aria-hidden="true"></span></div>'
        f'<div class="ticks" aria-hidden="true">{marks}<span class="unit">s</span></div>\n'
    )


def _number(value: float, column: Column) -> str:
    if math.isnan(value):
        return "undefined"
    shown = 100 * value if column.percent else value
    digits = max(0, column.digits - 2) if column.percent else column.digits
    return f"{shown:.{digits}f}".replace("-", "\u2212") + ("\u202f%" if column.percent else "")


def _cell(cell: Cell, column: Column, scale: tuple[float, float] | None) -> str:
    if cell is None or cell == NOTHING:
        return f'<td class="none">{"not computed" if cell is None else cell}</td>'
    if isinstance(cell, Estimate):
        value = f'<span class="value">{_number(cell.value, column)}</span>'
        if math.isnan(cell.low):
            return f"<td>{value}</td>"
        spread = f'<span class="interval">{_number(cell.low, column)} to {_number(cell.high, column)}</span>'
        bar = whisker_svg(cell.value, cell.low, cell.high, *scale) if scale else ""
        return f"<td>{value}{spread}{bar}</td>"
    if isinstance(cell, (bool, str)):
        return f'<td class="text">{escape(str(cell))}</td>'
    if isinstance(cell, int):
        return f'<td><span class="value">{cell:,}</span></td>'
    return f'<td><span class="value">{_number(cell, column)}</span></td>'


def _table(table: Table) -> str:
    if any(len(row) != len(table.columns) for row in table.rows):
        raise BadInput(f"table {table.caption!r} has rows that do not fit its {len(table.columns)} columns")
    scales = [_scale([row[c] for row in table.rows]) for c in range(len(table.columns))]
    cells = [[_cell(*triple) for triple in zip(row, table.columns, scales, strict=True)][1:] for row in table.rows]
    names = [escape(str(row[0])) for row in table.rows]
    heads = [_head(column) for column in table.columns]
    words = {c for c in range(1, len(heads)) if table.rows and all(isinstance(row[c], str) for row in table.rows)}
    if table.turned:
        cells = [list(column) for column in zip(*cells, strict=True)]
        names, heads = heads[1:], [heads[0], *names]
        words = set()
    top = "".join(f'<th scope="col"{" class=text" if c in words else ""}>{head}</th>' for c, head in enumerate(heads))
    rows = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(row)}</tr>\n' for name, row in zip(names, cells, strict=True)
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="table"><div class="scroll" tabindex="0" role="region" aria-label="{escape(table.caption)}">'
        f"<table><caption>{escape(table.caption)}</caption>\n<thead><tr>{top}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody></table></div>{note}</div>\n"
    )


def _head(column: Column) -> str:
    arrows = {"lower": "↓ lower is better", "higher": "↑ higher is better"}
    better = f'<span class="better">{arrows[column.better]}</span>' if column.better else ""
    return escape(column.label) + better


def _scale(cells: Sequence[Cell]) -> tuple[float, float] | None:
    """The range that a column's intervals share."""
    known = [cell for cell in cells if isinstance(cell, Estimate) and math.isfinite(cell.low)]
    ends = [x for c in known for x in (c.value, c.low, c.high)]
    return (min(ends), max(ends)) if len(known) > 1 and max(ends) > min(ends) else None


def _plot(plot: Plot) -> str:
    said = f"{plot.caption}: {plot.y_label or 'value'} against {plot.x_label}; " + ", ".join(
        [line.label for line in plot.lines] + [f"{level.label} at {level.y:.3g}" for level in plot.levels]
    )
    axes = plot.x_label, plot.y_label
    levels = [replace(level, label="") for level in plot.levels] if plot.keyed else plot.levels
    drawn = plot_svg(plot.lines, levels, *axes, label=said, logarithmic=plot.logarithmic)
    keys = "".join(f'<li class="c{n % 6}">{escape(line.label)}</li>' for n, line in enumerate(plot.lines))
    if plot.keyed:
        keys += "".join(f'<li class="flat">{escape(level.label)} ({level.y:.3g})</li>' for level in plot.levels)
    caption = f"<figcaption>{escape(plot.caption)}</figcaption>"
    return f'<figure class="chart">{caption}{drawn}<ul class="legend">{keys}</ul></figure>\n'


def _timings(timings: Timings) -> str:
    longest = max(timings.stages.values(), default=0) or 1
    rows = ""
    for stage, seconds in timings.stages.items():
        audio = (timings.audio_seconds or {}).get(stage)
        factor = f"{seconds / audio:.3f} × real time" if audio else ""
        rows += (
            f'<tr><th scope="row">{escape(stage)}</th><td><span class="value">{seconds:.2f} s</span></td>'
            f'<td class="bar"><span style="width:{100 * seconds / longest:.1f}%"></span></td>'
            f'<td class="text">{factor}</td></tr>\n'
        )
    total = sum(timings.stages.values())
    foot = f'<tr><th scope="row">all</th><td><span class="value">{total:.2f} s</span></td><td></td><td></td></tr>'
    return (
        f'<div class="table timings"><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(timings.caption)}"><table>'
        f"<caption>{escape(timings.caption)}</caption>\n<tbody>\n{rows}</tbody><tfoot>{foot}</tfoot></table></div></div>\n"
    )
