"""From vectors back to units by memory: each vector says what was said where the vector most like it was heard.

tGSLM (Algayres et al. 2023, arXiv:2310.05224) turns its word-sized vectors into units with a sequence-to-sequence net.
The nearest neighbour in a dictionary of heard segments stands for that net: nothing to train, and nothing new to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from oration.core import BadInput, Example, Specs, Stream
from oration.nn.kmeans import nearest

BLOCK = 1024
"""Vectors looked up at once, which bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class Recall:
    """A continuous stream -> a regular one of symbols, by the nearest of `entries` pairs (`objectives.Remember`)."""

    needs: tuple[str, ...] = ("words",)
    """The vectors."""
    gives: str = "units"
    """A stream whose rate is a multiple of the vectors'."""
    entries: int = 8192

    def __post_init__(self) -> None:
        if len(self.needs) != 1 or self.entries < 1:
            raise BadInput(f"Recall reads one stream and has entries >= 1, got {self.needs} and {self.entries}")

    @classmethod
    def tiny(cls) -> Recall:
        return cls(entries=16)

    def build(self, specs: Specs) -> RecallModel:
        """The dictionary.

        Raises:
            BadInput: a stream is unknown, or their rates do not fit.
        """
        return RecallModel(self, specs)


class RecallModel(nn.Module):
    """Pairs of a vector and the symbols beside it. Until something is remembered, symbols are random."""

    def __init__(self, config: Recall, specs: Specs) -> None:
        super().__init__()
        self.config, self.needs, self.gives = config, config.needs, (config.gives,)
        for name in (*self.needs, config.gives):
            if name not in specs:
                raise BadInput(f"Recall needs the stream {name!r}, which nothing gives; known streams: {sorted(specs)}")
        vectors, symbols = specs[self.needs[0]], specs[config.gives]
        each = Fraction(symbols.rate or 0) / Fraction(vectors.rate or 1)
        if not vectors.dim or not vectors.rate or each < 1 or each.denominator != 1:
            raise BadInput(
                f"Recall turns vectors into a whole number of symbols each, but {self.needs[0]!r} has width "
                f"{vectors.dim} and rate {vectors.rate}, and {config.gives!r} the rate {symbols.rate}"
            )
        self.vectors, self.symbols = vectors, symbols
        self.keys: Tensor
        self.values: Tensor
        self.seen: Tensor
        self.register_buffer("keys", torch.randn(config.entries, vectors.dim))
        self.register_buffer("values", torch.randint(symbols.size, (config.entries, int(each))))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    @property
    def each(self) -> int:
        """Symbols per vector."""
        return self.values.shape[1]

    def look_up(self, vectors: Tensor) -> Tensor:
        """float[N, D] -> long[N, each]"""
        known = max(1, min(int(self.seen) or len(self.keys), len(self.keys)))
        return torch.cat([self.values[nearest(part, self.keys[:known])[1]] for part in vectors.split(BLOCK)])

    def predict(self, examples: Sequence[Example]) -> list[Example]:
        """Examples with vectors -> the same with symbols.

        Raises:
            BadInput: the vectors are missing, or of another width.
        """
        (name,), found = self.needs, []
        for example in examples:
            if name not in example or example[name].values is None:
                raise BadInput(f"Recall needs the continuous stream {name!r}, but the example has {sorted(example)}")
            example[name].verify(name, self.vectors)
            vectors = torch.from_numpy(np.asarray(example[name].values, np.float32)).to(self.keys.device)
            ids = self.look_up(vectors).flatten() if len(vectors) else self.values.new_zeros(0)
            found.append({**example, self.config.gives: Stream(ids.cpu().numpy())})
        return found
