"""A grid on a page: streams against time, every cell to be asked what it is, in step with the recording.

The script beside it (`grid.js`) draws the cells that are in sight, so that a grid of many thousand steps stays light.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from oration.layouts import Cells

KINDS = {"absent": ".", "item": "i", "end": "]", "switch": "@", "fixed": "="}
"""Kind of a cell -> its sign in the page's data."""


@dataclass(frozen=True, eq=False)
class GridView:
    """The cells of one task and one recording."""

    caption: str
    cells: Cells
    shown: Sequence[int]
    """Which rows to draw."""
    short: Mapping[str, str]
    """Stream -> letters before the numbers of its items."""
    lasts: Mapping[str, float] = field(default_factory=dict)
    """Stream -> seconds that an item lasts; one that is not here lasts until the next."""
    clock: Mapping[str, float] = field(default_factory=dict)
    """Stream -> seconds of the recording at which its time begins, where that is not 0."""
    weights: np.ndarray | None = None
    """float[K, S]: how much a cell counts in the loss."""
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Row -> what it says under its name."""
    text: str = ""
    """The same for those without scripts."""


def data(view: GridView) -> str:
    """The cells as JSON: by row, one value a step; signs of kinds and roles as text."""
    cells, rows = view.cells, []
    for k in view.shown:
        seconds = cells.seconds[k]
        rows.append(
            {
                "name": cells.rows[k],
                "kind": "".join(KINDS[kind] for kind in cells.kind[k]),
                "role": "".join(map(str, cells.role[k].tolist())),
                "stream": cells.stream[k].tolist(),
                "item": cells.item[k].tolist(),
                "symbol": cells.symbol[k].tolist(),
                "token": cells.token[k].tolist(),
                "delay": _once(cells.delay[k]),
                "seconds": [None if np.isnan(second) else round(float(second), 4) for second in seconds],
                "weight": None if view.weights is None else _weights(view.weights[k]),
            }
        )
    found = {
        "streams": list(cells.streams),
        "short": [view.short.get(name, "") for name in cells.streams],
        "lasts": [view.lasts.get(name) for name in cells.streams],
        "clock": [view.clock.get(name, 0) for name in cells.streams],
        "block": _once(cells.block),
        "turn": _once(cells.turn),
        "steps": cells.steps,
        "rows": rows,
    }
    return json.dumps(found, separators=(",", ":")).replace("<", "\\u003c")


def _weights(weights: np.ndarray) -> float | list[float]:
    """One number where all that count do so alike."""
    values = [round(float(weight), 4) for weight in weights]
    others = set(values) - {0.0}
    return values if len(others) > 1 else next(iter(others), 1.0)


def _once(values: np.ndarray) -> int | list[int]:
    """One number where all are the same."""
    return int(values[0]) if len(values) and (values == values[0]).all() else values.tolist()


def html(view: GridView, number: int) -> str:
    """The figure; its script finds the page's first recording by itself."""
    caption = escape(view.caption)
    heads = "".join(
        f"<li><span>{escape(row)}</span><small>{escape(view.sizes.get(row, ''))}</small></li>"
        for row in (view.cells.rows[k] for k in view.shown)
    )
    help_ = "arrow keys go from cell to cell, Enter plays from there, space plays and pauses"
    return (
        f'<figure class="gridview" id="g{number}"><figcaption>{caption}</figcaption>\n'
        '<div class="bar"><button type="button" class="play">Play</button>'
        '<span class="clock" aria-hidden="true">0.00 s</span>'
        '<label><input type="checkbox" class="follow" checked> scroll with the recording</label>'
        '<span class="zoom"><button type="button" class="out" aria-label="narrower cells">−</button>'
        '<button type="button" class="in" aria-label="wider cells">+</button></span></div>\n'
        '<ul class="key"><li><i class="p">12</i>predicted: in the loss</li><li><i class="g">12</i>given: read only</li>'
        '<li><i class="a">\u00a0</i>absent: padding</li>'
        "<li><b>]</b> end, <b>@</b> goes on with, <b>=</b> fixed symbol</li></ul>\n"
        f'<div class="sheet"><ol class="heads" aria-hidden="true"><li class="axis">step<small>second</small></li>'
        f'{heads}</ol><div class="wide" tabindex="0" role="application" aria-label="{caption}; {help_}">'
        '<div class="room"><canvas></canvas></div></div></div>\n'
        '<p class="detail" role="status" aria-live="polite">'
        "Point at a cell, or focus the grid and use the arrow keys.</p>\n"
        f'<details><summary>The beginning as text</summary><pre tabindex="0">{escape(view.text)}</pre></details>\n'
        f'<script type="application/json">{data(view)}</script></figure>\n'
    )
