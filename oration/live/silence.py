"""What a stream holds while nobody speaks: what its tokenizer makes of silence, padding of text, the user's floor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from oration.live.ear import ear
from oration.live.plan import Plan
from oration.model import SpeechLM
from oration.streams import Frames, SpreadWords
from oration.tokenizers import Channels

SECONDS = 1.0
"""How long a tokenizer hears silence before what it says of it counts."""


def silences(model: SpeechLM, plan: Plan) -> dict[str, tuple[int, int]]:
    """Stream of the model's own -> its items where silence begins, and where it goes on."""
    found: dict[str, tuple[int, int]] = {}
    known: dict[str, int] = {}
    for cell in plan.mine:
        base = cell.stream.removesuffix(".edges").removesuffix(".lasts")
        if base not in known:
            known.update(_of(model, plan, base))
        unit = known.get(base, 0)
        if cell.stream.endswith(".edges"):
            found[cell.stream] = unit + 1, 0
        elif cell.stream.endswith(".lasts"):
            found[cell.stream] = cell.size - 1, 0
        else:
            found[cell.stream] = unit, unit
    return found


def _of(model: SpeechLM, plan: Plan, stream: str) -> dict[str, int]:
    """The item of silence, and of the streams that come with it."""
    specs: Any = model.specs
    for operation in plan.link.task.operations:
        if isinstance(operation, SpreadWords) and stream == f"{operation.stream}.frames":
            return {stream: operation.marks(specs[operation.stream])[0]}
        if isinstance(operation, Frames) and stream == f"{operation.stream}.frames":
            return {stream: operation.fill}
    return heard_silence(model, stream)


def unit_of_silence(model: SpeechLM, stream: str) -> int:
    """The item of silence of one stream."""
    return heard_silence(model, stream).get(stream, 0)


def heard_silence(model: SpeechLM, stream: str) -> dict[str, int]:
    """What the tokenizer that gives a stream makes of silence, for all its streams."""
    for name, config in model.configs.items():
        inside = config.of if isinstance(config, Channels) else config
        if config not in model.recipe.tokenizers or "wave" not in config.needs or stream not in inside.specs():
            continue
        built = model.part(name)
        listener = ear(built.inner if hasattr(built, "inner") else built, 1)
        sound = np.zeros((1, listener.hop), np.float32)
        items: Mapping[str, np.ndarray] = {}
        for _ in range(listener.late + max(1, round(SECONDS * listener.rate / listener.hop))):
            items = listener.hear([0], sound)
        return {each: int(of[0]) for each, of in items.items() if of.ndim == 1}
    return {}
