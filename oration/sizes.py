"""What the parts of a recipe cost, at whatever size: built without weights. Knows no training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from oration.core import BadInput
from oration.model import SpeechLM


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


class _Weightless(TorchFunctionMode):
    """Layers get their weights from `torch.empty`: that goes to the meta device. What is computed (windows) stays."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
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
