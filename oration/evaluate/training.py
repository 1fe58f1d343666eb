"""A page of how a training went: losses, held-out losses, and how much of its codebooks a codec made use of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from oration.core import BadInput
from oration.evaluate.draw import Line
from oration.evaluate.report import Cell, Column, Item, Plot, Plots, Section, Table, write_page

POINTS = 240
"""Of a curve: each is a mean over as many updates as it takes."""
CODEBOOKS = {
    "use": ("Codewords in use", "share drawn within about 100 updates"),
    "perplexity": ("Perplexity", "codewords that would say as much if all were used alike"),
    "kbps": ("Bitrate", "kbit/s that the level needs at least, each code by itself"),
}


def training_page(log: Path, title: str) -> Path:
    """Draw a run's metrics.jsonl (one update a line) as index.html beside it.

    Raises:
        BadInput: the log is missing, or holds no update.
    """
    curves = _read(log)
    losses = [name for name in curves if not name.startswith(("dev/", "codes/"))]
    plots = tuple(_plot(name, {"training": name, "held out": f"dev/{name}"}, curves) for name in losses)
    items: list[Item] = [Plots(plots)]
    sections = [Section("Losses", tuple(items))]
    levels = list(dict.fromkeys(name.split("/")[1] for name in curves if name.startswith("codes/")))
    if levels:
        sections.append(_codebooks(levels, curves))
    last = int(max(steps[-1] for steps, _ in curves.values())) + 1
    return write_page(log.parent / "index.html", sections, title=title, facts={"Updates": f"{last:,}"})


def _codebooks(levels: Sequence[str], curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Section:
    plots = tuple(
        _plot(label, {level: f"codes/{level}/{kind}" for level in levels}, curves, unit)
        for kind, (label, unit) in CODEBOOKS.items()
    )
    rows: list[tuple[Cell, ...]] = []
    for level in levels:
        rows.append((level, *(float(curves[f"codes/{level}/{kind}"][1][-1]) for kind in CODEBOOKS)))
    columns = (
        Column("Level"),
        Column("In use", 1, percent=True, better="higher"),
        Column("Perplexity", 1, better="higher"),
        Column("kbit/s", 3),
    )
    end = Table("At the end", columns, tuple(rows))
    return Section("Codebooks", (Plots(plots), end), "A codebook of which little is used says little.")


def _plot(
    caption: str,
    lines: Mapping[str, str],
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    unit: str = "",
) -> Plot:
    drawn = []
    for label, name in lines.items():
        if name in curves:
            steps, values = curves[name]
            drawn.append(Line(label, steps.tolist(), values.tolist(), dots=len(steps) < 40))
    return Plot(caption, tuple(drawn), "updates", unit or caption)


def _read(log: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> steps and values, thinned."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except OSError as missing:
        raise BadInput(f"there is no log {log} to draw ({missing.strerror}); name the folder of a training") from None
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in lines:
        try:
            values = json.loads(line)
        except json.JSONDecodeError:
            continue  # cut short by a kill
        for name, value in values.items():
            if name != "step" and math.isfinite(value):
                steps, column = found.setdefault(name, ([], []))
                steps.append(values["step"])
                column.append(value)
    if not found:
        raise BadInput(f"{log} holds no update, so there is nothing to draw; let the training run a little first")
    return {name: _thinned(np.array(steps, float), np.array(column)) for name, (steps, column) in found.items()}


def _thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parts = min(POINTS, len(steps))
    means = [[each.mean() for each in np.array_split(column, parts)] for column in (steps, values)]
    return np.array(means[0]), np.array(means[1])
