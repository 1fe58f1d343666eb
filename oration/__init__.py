"""oration: Speech Language Models, end to end.

`import oration` costs nothing: what it offers is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from oration.audio.io import read, write
    from oration.core import BadInput, OrationError, Waveform
    from oration.generate.sampler import Sampler
    from oration.model import SpeechLM
    from oration.recipe import Recipe

    load = SpeechLM.load

_HOMES = {
    "BadInput": "oration.core",
    "OrationError": "oration.core",
    "Recipe": "oration.recipe",
    "Sampler": "oration.generate.sampler",
    "SpeechLM": "oration.model",
    "Waveform": "oration.core",
    "read": "oration.audio.io",
    "write": "oration.audio.io",
}

__all__ = ["BadInput", "OrationError", "Recipe", "Sampler", "SpeechLM", "Waveform", "load", "read", "write"]


def __getattr__(name: str) -> Any:
    if name == "load":
        value = importlib.import_module("oration.model").SpeechLM.load
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'oration' has no attribute {name!r}; it offers {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
