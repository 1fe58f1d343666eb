"""The past of a transformers decoder: its keys and values, in buffers that grow by doubling."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from oration.core import optional


@cache
def _layer_class() -> Any:
    """A layer of transformers' cache that writes into a buffer, where its own copies everything at every step."""
    parts: Any = optional("transformers.cache_utils", "train", "a text language model's body")

    class Growing(parts.DynamicLayer):  # type: ignore[misc, name-defined]
        def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
            """Append float[n, H, S, width] -> all there is so far."""
            used = self.get_seq_length()
            self.is_initialized, self.dtype, self.device = True, keys.dtype, keys.device
            self.keys, self.values = self._append("keys", keys, used), self._append("values", values, used)
            return self.keys, self.values

        def _append(self, name: str, new: Tensor, used: int) -> Tensor:
            past, size = getattr(self, f"_{name}", None), used + new.shape[2]
            if past is None or past.shape[2] < size:
                grown = new.new_empty(*new.shape[:2], max(64, 2 * size), new.shape[3])
                if past is not None:
                    grown[:, :, :used] = past[:, :, :used]
                past = grown
                setattr(self, f"_{name}", past)
            past[:, :, used:size] = new
            return past[:, :, :size]

    return Growing


class TextPast:
    """Keys and values of a transformers model for `n` sequences, each at its own position."""

    def __init__(self, cache: Any, held: Tensor, length: Tensor) -> None:
        self.cache, self.held, self.length = cache, held, length
        # held, long[n, T]: the position each place of the cache holds; -1 was padding, and nothing looks there.

    @classmethod
    def empty(cls, n: int, device: torch.device) -> TextPast:
        """Of `n` sequences without a step."""
        parts = optional("transformers.cache_utils", "train", "a text language model's body")
        none = torch.zeros(n, 0, dtype=torch.long, device=device)
        return cls(parts.Cache(layer_class_to_replicate=_layer_class()), none, none.new_zeros(n))

    def select(self, index: Tensor) -> TextPast:
        """The same past for the sequences `index`."""
        new = TextPast.empty(len(index), self.held.device)
        for number, layer in enumerate(self.cache.layers):
            if layer.is_initialized:
                new.cache.update(layer.keys[index], layer.values[index], number)
        new.held, new.length = self.held[index], self.length[index]
        return new
