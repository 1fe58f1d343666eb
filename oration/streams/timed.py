"""When the items of a stream begin, and how long it lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from oration.core import TICKS, BadInput, Example, Spec


def times(name: str, example: Example, specs: Mapping[str, Spec]) -> np.ndarray | None:
    """int64[T]: the tick at which each item begins; None for a stream without any time."""
    stream, spec = example[name], specs[name]
    return stream.onsets if spec.rate is None else spec.onsets(len(stream))


def needed(name: str, example: Example, specs: Mapping[str, Spec], who: str) -> np.ndarray:
    """As `times`, for an operation (`who`) that cannot do without.

    Raises:
        BadInput: the stream has items but no times.
    """
    found = times(name, example, specs)
    if found is None and len(example[name]):
        raise BadInput(
            f"{who} needs to know when the items of {name!r} begin, but they have no onsets; give the clips word "
            "times (`words` in the manifest), or leave this operation out"
        )
    return np.zeros(0, np.int64) if found is None else found


def duration(name: str, example: Example, specs: Mapping[str, Spec]) -> int:
    """Ticks to the end of a regular stream's last frame, or to the last onset; 0 without time."""
    spec = specs[name]
    if spec.rate is not None:
        return int(spec.onsets(len(example[name]) + 1)[-1])
    onsets = example[name].onsets
    return 0 if onsets is None or not len(onsets) else int(onsets[-1])


def longest(names: Sequence[str], example: Example, specs: Mapping[str, Spec]) -> int:
    """Ticks that these streams last together: the regular ones, which say when they end, or else all."""
    regular = [name for name in names if specs[name].rate is not None]
    return max((duration(name, example, specs) for name in regular or names), default=0)


def begun(tick: int, spec: Spec) -> int:
    """How many frames of a regular stream begin before a tick."""
    if spec.rate is None:
        raise BadInput("a stream without a rate has no frames; name a regular one")
    rate = Fraction(spec.rate)
    return max(0, -(-tick * rate.numerator // (TICKS * rate.denominator)))
