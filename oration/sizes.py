"""What a recipe comes to at whatever size, without weights and without speech. Knows no training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from oration.core import TICKS, BadInput, Example, Spec, Stream
from oration.model import SpeechLM


def invented(specs: dict[str, Spec], seconds: int = 1) -> Example:
    """Streams that could be `seconds` of speech: symbols last two frames, or come 4 a second where there is no rate.

    The streams are never all at one symbol, since a column of zeros ends some layouts.
    """
    example = {}
    for first, (name, spec) in enumerate(specs.items()):
        count = spec.length(seconds) if spec.rate else 4 * seconds
        if spec.dim:
            example[name] = Stream.dense(np.zeros((count, spec.dim)))
        elif spec.rate:
            example[name] = Stream((np.arange(count) // 2 + first) % spec.size)
        else:
            example[name] = Stream(np.arange(count) % spec.size, np.arange(count) * (TICKS // 4))
    return example


@dataclass(frozen=True)
class Part:
    """A part without its weights, or why it cannot be built here."""

    config: Any
    module: nn.Module | None
    trouble: str = ""

    @property
    def numbers(self) -> int:
        """How many numbers its file holds."""
        return 0 if self.module is None else sum(tensor.numel() for tensor in self.module.state_dict().values())

    @property
    def parameters(self) -> int:
        """How many of them are learned by gradient; shared ones count once, as papers count."""
        return 0 if self.module is None else sum(parameter.numel() for parameter in self.module.parameters())

    @property
    def delay(self) -> float:
        """Seconds it looks ahead; 0 where it does not say."""
        said = getattr(self.module, "delay", None)
        if said is None:
            encoder = getattr(self.module, "encoder", None)
            numbers = getattr(encoder, "numbers", None)
            said = getattr(numbers, "lookahead", 0) * getattr(encoder, "hop", 0) / getattr(encoder, "rate", 1)
        return float(said)


DRAWN = ("normal_", "uniform_", "trunc_normal_")
"""What fills weights at the start."""


class _Weightless(TorchFunctionMode):
    """Layers get their weights from `torch.empty`: that goes to the meta device. What is computed (windows) stays."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        first = next(iter((*args, *kwargs.values())), None)
        # Random numbers for nothing: torch would spend seconds importing its compiler to draw none.
        if getattr(func, "__name__", "") in DRAWN and isinstance(first, torch.Tensor) and first.is_meta:
            return first
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def parts_of(model: SpeechLM) -> dict[str, Part]:
    """Every part of a model, built without weights: what a large one costs, for nothing."""
    return dict(_parts(model))


def _parts(model: SpeechLM) -> Iterator[tuple[str, Part]]:
    for name, config in model.configs.items():
        if not hasattr(config, "build"):
            yield name, Part(config, None)
            continue
        try:
            with _Weightless():
                module = config.build() if config in model.recipe.tokenizers else config.build(model.specs)
            yield name, Part(config, module)
        except (BadInput, RuntimeError, NotImplementedError) as trouble:
            yield name, Part(config, None, str(trouble).splitlines()[0])
