"""The language model of a body with channels: a vector for each at every step, and the same weights for all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from oration.core import BadInput, DenseBatch, Vocab
from oration.lms.heads import Column, key
from oration.lms.lm import LanguageModel

if TYPE_CHECKING:
    from oration.lms.lm import LM


def split(rows: Collection[str], channels: tuple[str, ...]) -> list[list[str]]:
    """The rows of each channel, by the longest prefix that fits, in order.

    >>> split(("units", "user.units"), ("", "user."))
    [['units'], ['user.units']]
    """
    found: list[list[str]] = [[] for _ in channels]
    for row in rows:
        fitting = [c for c, prefix in enumerate(channels) if row.startswith(prefix)]
        if not fitting:
            raise BadInput(f"row {row!r} belongs to no channel; expected a name that begins with one of {channels}")
        found[max(fitting, key=lambda c: len(channels[c]))].append(row)
    return found


class ChannelModel(LanguageModel):
    """`LM`, built on a body with `channels`. Its hidden vectors are float[..., C, D]."""

    def __init__(self, config: LM, vocabs: Mapping[str, Vocab], widths: Mapping[str, int]) -> None:
        body: Any = config.body
        self._rows = rows = split(vocabs, body.channels)
        shared = {row[len(body.channels[0]) :]: vocabs[row] for row in rows[0]}
        for prefix, theirs in zip(body.channels, rows, strict=True):
            found = [(row[len(prefix) :], vocabs[row].size) for row in theirs]
            wanted = [(name, vocab.size) for name, vocab in shared.items()]
            if found != wanted:
                raise BadInput(
                    f"the channels of {config.name!r} share their weights, but channel {prefix!r} has the rows {found} "
                    f"and the first {wanted}; put streams of the same sizes on both, in the same order"
                )
        super().__init__(config, shared, widths)
        self.channels, self.vocabs, self.rows = body.channels, dict(vocabs), tuple(vocabs)
        if self.head.continuous:
            raise BadInput(f"{config.name!r} has channels, which a head of continuous streams does not; take Rows")
        self.head = ChannelHead(self.head, body.channels, rows, self.rows)
        self._find_dense(widths)

    def columns(self, tokens: Tensor, dense: Mapping[str, DenseBatch]) -> Tensor:
        """long[B, K, S] -> float[B, S, C, D]: every column as one vector a channel."""
        found = []
        for prefix, rows in zip(self.channels, self._rows, strict=True):
            at = [self.rows.index(row) for row in rows]
            found.append(sum(self.embeddings[key(self.rows[k][len(prefix) :])](tokens[:, k]) for k in at))
        x = torch.stack(found, 2)  # type: ignore[arg-type]
        channel = torch.tensor([c for row in self.rows for c, rows in enumerate(self._rows) if row in rows])
        for name, at_ in dense.items():
            vectors = self.values[key(name)](at_.values.to(self.first.dtype)).to(x.dtype)
            x = x.index_put((at_.sequence, at_.step, channel.to(at_.row.device)[at_.row]), vectors, accumulate=True)
        return x

    def begin(self, n: int) -> Tensor:
        """float[n, 1, C, D]: the start vector, the same for every channel."""
        return self.first.expand(n, 1, len(self.channels), -1)


class ChannelHead(nn.Module):
    """One head for all channels: the rows of each are given its own vector."""

    continuous = False

    def __init__(self, head: Any, channels: tuple[str, ...], rows: list[list[str]], order: tuple[str, ...]) -> None:
        super().__init__()
        self.head, self.channels, self.rows = head, channels, order
        self.groups = tuple(tuple(prefix + row for row in group) for prefix in channels for group in head.groups)
        self._at = [[order.index(row) for row in theirs] for theirs in rows]

    def forward(self, hidden: Tensor, tokens: Tensor, rows: Collection[str] | None = None) -> dict[str, Tensor]:
        """float[..., C, D], long[..., K] -> row -> float[..., V]; see `HeadModel`."""
        found: dict[str, Tensor] = {}
        for c, (prefix, at) in enumerate(zip(self.channels, self._at, strict=True)):
            wanted = [self.rows[k] for k in at if rows is None or self.rows[k] in rows]
            if wanted:
                names = [row[len(prefix) :] for row in wanted]
                logits = self.head(hidden[..., c, :], tokens[..., at], None if rows is None else names)
                found |= {prefix + name: values for name, values in logits.items()}
        return found

    def begin(self, hidden: Tensor) -> ChannelColumn:
        """float[n, C, D] -> the column of one step."""
        columns = [self.head.begin(hidden[:, c]) for c in range(len(self.channels))]
        places = {self.rows[k]: (columns[c], self.rows[k][len(self.channels[c]) :])
                  for c, at in enumerate(self._at) for k in at}  # fmt: skip
        return ChannelColumn(places)


class ChannelColumn:
    """One column, a part for each channel."""

    def __init__(self, places: Mapping[str, tuple[Column, str]]) -> None:
        self.places = places

    def logits(self, row: str) -> Tensor:
        """float[n, V] of one row."""
        column, name = self.places[row]
        return column.logits(name)

    def take(self, row: str, tokens: Tensor) -> None:
        """long[n]: what that row holds."""
        column, name = self.places[row]
        column.take(name, tokens)
