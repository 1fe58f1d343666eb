"""What the streams of a file cost, and what they would cost packed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oration.core.container.bits import width
from oration.core.container.blocks import Items, firsts
from oration.core.container.models import PACKED, WAYS, change
from oration.core.container.read import Reader


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one stream, of its symbols or of its onsets."""

    name: str
    gaps: bool
    """Whether this is what its onsets cost."""
    way: str
    """One of `models.WAYS`."""
    items: int
    packed: float
    """Bits, if every symbol takes ceil(log2(size))."""
    bits: float
    """As they are in the file; an entropy coder's rounding apart."""


def costs(file: Reader) -> list[Cost]:
    """What each stream with a time costs in the blocks that can be read."""
    coder = file.coder
    bits, items = np.zeros(len(coder.sequences)), np.zeros(len(coder.sequences), np.int64)
    for block, opened in file.opened(range(file.about.blocks)):
        found = [_whole(opened.items[track.name], opened.whole) for track in coder.tracks]
        for n, symbols in enumerate(coder.symbols(block, found)):
            track, _, size = coder.sequences[n]
            model = coder.models[n]
            items[n] += len(symbols)
            if model.way == PACKED:
                bits[n] += len(symbols) * width(size)
            else:
                changed = change(symbols, firsts(found[track].counts), size, model.way)
                bits[n] += model.bits(np.bincount(changed, minlength=len(model.weights)))
    return [
        Cost(
            name=coder.tracks[track].name,
            gaps=gaps,
            way=WAYS[model.way],
            items=int(count),
            packed=float(count * width(size)),
            bits=float(cost),
        )
        for (track, gaps, size), model, count, cost in zip(coder.sequences, coder.models, items, bits, strict=True)
    ]


def _whole(items: Items, whole: np.ndarray) -> Items:
    """Only what whole blocks hold; the others are empty."""
    counts = np.zeros(len(whole), np.int64)
    if len(items.counts) == len(whole):
        counts = np.where(whole, items.counts, 0)
    else:
        counts[whole] = items.counts
    if len(items.ids) == int(counts.sum()):
        return Items(counts, items.ids, items.onsets, items.values)
    return Items(counts, items.ids[np.repeat(whole, items.counts)])
