"""What an objective returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Loss:
    """A scalar to minimise and its parts by name (for the log), in the objective's units (nats for cross-entropy)."""

    total: torch.Tensor
    parts: Mapping[str, torch.Tensor | float] = field(default_factory=dict)
