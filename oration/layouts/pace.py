"""How late a layout makes each stream, what a second of speech takes on it, and whether clips are long enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oration.core import ABSENT, TICKS, BadInput, Example, Specs, Stream
from oration.layouts.layout import Layout

LONG = 1000
"""Seconds, long enough that what a layout adds at its ends does not show, and a multiple of every chunk in use."""


def delay(layout: Layout, specs: Specs) -> dict[str, float | None]:
    """Stream -> seconds between an item and its place on the grid, by the layout alone; computing comes on top.

    A Line and a Weave by Time put an item where it is: 0. A Weave by Chunk places a whole chunk at a time: its length.
    A Weave by Ratio lets the first item of a slice wait for the last: (count - 1) / rate. A Stack: its delay in steps
    over the rate of its steps, None if none of its streams has a rate.

    >>> from oration.core import Spec
    >>> from oration.layouts import Stack
    >>> delay(Layout((Stack(("c.0", "c.1"), delays=(0, 1)),)), {"c.0": Spec(9, 12.5), "c.1": Spec(9, 12.5)})
    {'c.0': 0.0, 'c.1': 0.08}
    """
    return {stream: seconds for block in layout.blocks for stream, seconds in block.lag(specs).items()}


@dataclass(frozen=True)
class Pace:
    """What a second of every stream takes: in a dialogue, a second heard and a second said."""

    steps: float | None
    """Steps of the grid; None: not known."""
    tokens: float | None
    """Cells that are not absent, marks included; None: not known."""


def rate(layout: Layout, specs: Specs, example: Example | None = None) -> Pace:
    """Steps and tokens per second, without what comes once, such as an end.

    From the rates of the streams alone, if all of them have one. Otherwise from the whole grid of an `example`; its
    seconds are those of its longest regular stream, or the last onset where none is regular.

    >>> from oration.core import Spec
    >>> from oration.layouts import Chunk, Stack, Weave
    >>> specs = {"a": Spec(9, 12.5), "b": Spec(9, 12.5)}
    >>> rate(Layout((Stack(("a", "b"), delays=(0, 1)),)), specs)
    Pace(steps=12.5, tokens=25.0)
    >>> rate(Layout((Weave(("a", "b"), by=Chunk(0.4)),)), specs)
    Pace(steps=30.0, tokens=30.0)
    """
    if all(specs[name].rate is not None for name in layout.streams):
        (steps, tokens), (more, others) = (_size(layout, specs, _even(layout, specs, n * LONG)) for n in (1, 2))
        return Pace(round((more - steps) / LONG, 6), round((others - tokens) / LONG, 6))
    seconds = 0.0 if example is None else _seconds(layout, specs, example)
    if example is None or not seconds:
        return Pace(None, None)
    steps, tokens = _size(layout, specs, example)
    return Pace(steps / seconds, tokens / seconds)


def fits(layout: Layout, specs: Specs, seconds: float) -> None:
    """Check a layout against the longest clip it is for.

    Raises:
        BadInput: a Stack makes a stream so late that it begins when the others are over.
    """
    for block in layout.blocks:
        late = {name: lag for name, lag in block.lag(specs).items() if lag and hasattr(block, "late")}
        for name, lag in late.items():
            if lag >= seconds:
                raise BadInput(
                    f"the layout puts {name!r} {lag:g} s late, but the longest clip lasts {seconds:g} s, so that no "
                    "step would hold it beside the others; shorten its delay, or give longer clips"
                )


def _even(layout: Layout, specs: Specs, seconds: int) -> Example:
    """So many seconds of every stream, all of them regular."""
    example = {}
    for name in layout.streams:
        spec = specs[name]
        count = spec.length(seconds)
        if spec.dim:
            example[name] = Stream.dense(np.zeros((count, spec.dim), np.float32))
        else:  # a column of zeros would end some blocks
            example[name] = Stream(np.full(count, min(1, spec.size - 1)))
    return example


def _size(layout: Layout, specs: Specs, example: Example) -> tuple[int, int]:
    """Steps, and cells that are not absent."""
    grid = layout.place([example], specs, ())
    return grid.steps, int((grid.role != ABSENT).sum())


def _seconds(layout: Layout, specs: Specs, example: Example) -> float:
    regular = [len(example[name]) / float(r) for name in layout.streams if (r := specs[name].rate) is not None]
    onsets = [s.onsets[-1] / TICKS for name in layout.streams if (s := example[name]).onsets is not None and len(s)]
    return float(max(regular, default=0.0) or max(onsets, default=0.0))
