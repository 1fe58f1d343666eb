"""Heads: from a body's vector to the logits of each row of the grid. Know no layout, no streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import Vocab


def key(name: str) -> str:
    """A stream or row as the name of a submodule, where dots are forbidden: `codec.0` -> `codec/0`."""
    return name.replace(".", "/")


@runtime_checkable
class HeadModel(Protocol):
    """The promise of a built head (an `nn.Module`)."""

    def __call__(self, hidden: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        """float[..., D] and the true column of the same step, long[..., K] -> row -> float[..., V]. For training.

        The logits of a row may depend on the tokens of the rows above it, never on its own or those below.
        """
        ...

    def begin(self, hidden: Tensor) -> Column:
        """float[n, D] -> the column of one step, to be drawn row by row. For generating."""
        ...


class Column(Protocol):
    """One column of `n` sequences being drawn: rows in the model's order, each asked for, then told."""

    def logits(self, row: str) -> Tensor:
        """float[n, V] of the row that is next."""
        ...

    def take(self, row: str, tokens: Tensor) -> None:
        """What that row holds now, drawn or given: long[n]. Every row is taken, asked for or not."""
        ...


class Head(Protocol):
    """The configuration half of a head."""

    def build(self, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Independent rows: one projection each, given the past (Mini-Omni, pGSLM, NTPP, and every layout of one row)."""

    tied: bool = False
    """Project with the rows' embeddings instead of weights of their own."""

    @classmethod
    def tiny(cls) -> Rows:
        """Small enough for tests."""
        return cls()

    def build(self, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict) -> RowsModel:
        """`embeddings`: row (as `key`) -> nn.Embedding of the language model."""
        return RowsModel(self, dim, vocabs, embeddings)


class RowsModel(nn.Module):
    """`Rows`, built."""

    def __init__(self, config: Rows, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict) -> None:
        super().__init__()
        self.rows, self.tied = tuple(vocabs), config.tied
        # Held in a tuple so that tied weights are registered, saved and optimised once, by the language model.
        self._embeddings = (embeddings,)
        self.projections = nn.ModuleDict()
        if not config.tied:
            for row, vocab in vocabs.items():
                projection = nn.Linear(dim, vocab.size, bias=False)
                nn.init.normal_(projection.weight, std=0.02)
                self.projections[key(row)] = projection

    def weight(self, row: str) -> nn.Parameter:
        """float[V, D]: what the logits of a row are made with."""
        layers = self._embeddings[0] if self.tied else self.projections
        weight: Any = layers[key(row)].weight
        return weight

    def forward(self, hidden: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        """float[..., D] -> row -> float[..., V]; the step's own tokens are not looked at."""
        return {row: F.linear(hidden, self.weight(row)) for row in self.rows}

    def begin(self, hidden: Tensor) -> RowsColumn:
        """float[n, D] -> the column of one step."""
        return RowsColumn(self, hidden)


class RowsColumn:
    """One column, each row without regard to the others."""

    def __init__(self, head: RowsModel, hidden: Tensor) -> None:
        self.head, self.hidden = head, hidden

    def logits(self, row: str) -> Tensor:
        """float[n, V] of one row."""
        return F.linear(self.hidden, self.head.weight(row))

    def take(self, row: str, tokens: Tensor) -> None:
        """Nothing depends on it."""
