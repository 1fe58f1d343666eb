"""The values of an update for the log, read from a GPU without making it wait."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Values:
    """Named scalars of one update. Tensors of a GPU come over together, and only `read` waits for them."""

    def __init__(self, step: int) -> None:
        self.step = step
        self._named: dict[str, Tensor | float] = {}
        self._order: list[str] = []
        self._copied: Tensor | None = None
        self._done: torch.cuda.Event | None = None

    def add(self, values: Mapping[str, Tensor | float], prefix: str = "") -> None:
        """More of them."""
        self._named |= {f"{prefix}{name}": v.detach() if isinstance(v, Tensor) else v for name, v in values.items()}

    def send(self) -> None:
        """Take them as they are now: call it when the update has been launched, before the next one changes any."""
        tensors = {name: value for name, value in self._named.items() if isinstance(value, Tensor)}
        far = {name: value for name, value in tensors.items() if value.device.type != "cpu"}
        self._named |= {name: float(value) for name, value in tensors.items() if name not in far}
        if not far:
            return
        self._order = list(far)
        flat = torch.stack([value.float().reshape(()) for value in far.values()])
        self._copied = flat.to("cpu", non_blocking=True)
        if flat.device.type == "cuda":
            self._done = torch.cuda.Event()
            self._done.record()

    def read(self) -> dict[str, float]:
        """All of them as numbers, in the order in which they were added."""
        if self._done is not None:
            self._done.synchronize()
        if self._copied is not None:
            self._named |= dict(zip(self._order, self._copied.tolist(), strict=True))
        return {name: float(value) for name, value in self._named.items()}
