"""Heads: from a body's vector to the logits of each row of the grid. Know no layout, no task."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import Vocab


def key(name: str) -> str:
    """A stream or row as the name of a submodule, where dots are forbidden: `codec.0` -> `codec/0`."""
    return name.replace(".", "/")


def inlet(head: Any, stream: str, width: int, dim: int) -> nn.Module:
    """What brings a continuous stream's vectors to the body's width `dim`: linear, unless the head says otherwise."""
    module: nn.Module = head.inlet(stream, width, dim) if hasattr(head, "inlet") else nn.Linear(width, dim)
    return module


@runtime_checkable
class HeadModel(Protocol):
    """The promise of a built head (an `nn.Module`)."""

    continuous: bool
    """Whether it makes the vectors of continuous streams too, as a `VectorHead`."""
    groups: tuple[tuple[str, ...], ...]
    """The rows that have logits; together those that one pass gives, so that asking for one is asking for all."""

    def __call__(self, hidden: Tensor, tokens: Tensor, rows: Collection[str] | None = None) -> dict[str, Tensor]:
        """float[..., D] and the true column of the same step, long[..., K] -> row -> float[..., V]. For training.

        The logits of a row may depend on the tokens of the rows above it, never on its own or those below. `rows`: the
        ones wanted (whole groups cost least); None: all that have logits.
        """
        ...

    def begin(self, hidden: Tensor) -> Column:
        """float[n, D] -> the column of one step, to be drawn row by row. For generating."""
        ...


@runtime_checkable
class VectorHead(HeadModel, Protocol):
    """What a head that is `continuous` promises besides: the vectors of a stream's items, from the hidden vector.

    That there is an item at all stays a symbol of its row, the stream's placeholder, with logits like any other.
    """

    def vector_losses(self, hidden: Tensor, stream: str, target: Tensor, before: Tensor | None = None) -> Tensor:
        """float[N, D] and the true vectors, float[N, W] -> float[N], the loss of each. For training.

        `before`, long[N]: which of the N is the item just before in the same stream; -1: none of them.
        """
        ...

    def vector(self, hidden: Tensor, stream: str, chance: Tensor) -> Tensor:
        """float[n, D] and standard normal noise, float[n, W] -> float[n, W], drawn. For generating."""
        ...

    def vector_nats(self, hidden: Tensor, stream: str, target: Tensor) -> Tensor:
        """float[N, D], float[N, W] -> float[N], the log density of each vector in nats. For scoring."""
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
    """The configuration half of a head. One that is `continuous` is built with the widths of the streams as well."""

    def build(self, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Independent rows: one projection each, given the past (Mini-Omni, pGSLM, NTPP, and every layout of one row)."""

    tied: bool = False
    """Project with the rows' embeddings instead of weights of their own."""
    bias: bool = False
    """Of the projections, unless tied."""
    continuous: ClassVar[bool] = False

    def tiny(self: Rows | None = None) -> Rows:
        """Small enough for tests."""
        return Rows(bias=self is not None and self.bias)

    def build(self, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict) -> RowsModel:
        """`embeddings`: row (as `key`) -> nn.Embedding of the language model."""
        return RowsModel(self, dim, vocabs, embeddings)


class RowsModel(nn.Module):
    """`Rows`, built."""

    def __init__(self, config: Rows, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict) -> None:
        super().__init__()
        self.rows, self.tied, self.continuous = tuple(vocabs), config.tied, False
        self.groups = tuple((row,) for row in vocabs)
        # Held in a tuple so that tied weights are registered, saved and optimised once, by the language model.
        self._embeddings = (embeddings,)
        self.projections = nn.ModuleDict()
        if not config.tied:
            for row, vocab in vocabs.items():
                projection = nn.Linear(dim, vocab.size, bias=config.bias)
                nn.init.normal_(projection.weight, std=0.02)
                self.projections[key(row)] = projection

    def weight(self, row: str) -> nn.Parameter:
        """float[V, D]: what the logits of a row are made with."""
        layers = self._embeddings[0] if self.tied else self.projections
        weight: Any = layers[key(row)].weight
        return weight

    def forward(self, hidden: Tensor, tokens: Tensor, rows: Collection[str] | None = None) -> dict[str, Tensor]:
        """float[..., D] -> row -> float[..., V]; the step's own tokens are not looked at."""
        return {row: self.project(hidden, row) for row in self.rows if rows is None or row in rows}

    def project(self, hidden: Tensor, row: str) -> Tensor:
        """float[..., D] -> float[..., V]."""
        if self.tied:
            return F.linear(hidden, self.weight(row))
        logits: Tensor = self.projections[key(row)](hidden)
        return logits

    def begin(self, hidden: Tensor) -> RowsColumn:
        """float[n, D] -> the column of one step."""
        return RowsColumn(self, hidden)


class RowsColumn:
    """One column, each row without regard to the others."""

    def __init__(self, head: RowsModel, hidden: Tensor) -> None:
        self.head, self.hidden = head, hidden

    def logits(self, row: str) -> Tensor:
        """float[n, V] of one row."""
        return self.head.project(self.hidden, row)

    def take(self, row: str, tokens: Tensor) -> None:
        """Nothing depends on it."""
