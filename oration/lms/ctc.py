"""Symbols of speech all at once, aligned by CTC: LLaMA-Omni (Fang et al. 2024, arXiv:2409.06666, 2.4).

What is given (hidden vectors of a text LM) is stretched in time and read by a small body; every stretched step names a
unit or nothing. Knows roles and streams by name, not layouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import GIVEN, PREDICT, BadInput, Batch, Vocab
from oration.lms.heads import Rows, RowsModel
from oration.lms.infill import Whole

if TYPE_CHECKING:
    from oration.lms.lm import LM


@dataclass(frozen=True, kw_only=True)
class Ctc:
    """Connectionist temporal classification (Graves et al. 2006): the blank is the `pad` of the predicted row.

    The body may be causal, and then units come as soon as what is given does.
    """

    upsample: int = 25
    """Steps for each given item: lambda of the paper. Too few for the units of a slow word, and it cannot be said."""
    continuous: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.upsample < 1:
            raise BadInput(f"Ctc(upsample={self.upsample}): every given item needs at least 1 step; give 1 or more")

    def tiny(self: Ctc | None = None) -> Ctc:
        """Small enough for tests."""
        return Ctc(upsample=6) if self is None else replace(self, upsample=min(self.upsample, 6))

    def build(self, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict) -> RowsModel:
        """One projection a row; only that of the predicted stream is asked for."""
        return Rows().build(dim, vocabs, embeddings)


@dataclass(frozen=True, eq=False)
class Emissions:
    """What the stretched steps of the grids of a batch name."""

    logp: Tensor
    """float[N, T, U + 1]: log p of each symbol of the predicted stream and, last, of the blank."""
    lengths: Tensor
    """long[N]: stretched steps of each grid."""


@dataclass(frozen=True, eq=False)
class Targets:
    """The true symbols of the grids of a batch."""

    symbols: Tensor
    """long[N, L], 0 behind the end."""
    lengths: Tensor
    """long[N]"""
    steps: Tensor
    """long[N]: the fewest steps that can name them, since a blank must stand between two alike."""


class CtcModel(Whole):
    """`LM` with the head `Ctc`: reads the given symbols and vectors of a grid, and nothing of what it predicts."""

    trained_by: ClassVar[str] = "CtcLoss"

    def __init__(self, config: LM, vocabs: Mapping[str, Vocab], widths: Mapping[str, int]) -> None:
        super().__init__(config, vocabs, widths)
        found = [(name, row) for name in self.predicted for row, vocab in vocabs.items() if name in vocab.ranges]
        if len(found) != 1 or found[0][0] in self.widths:
            raise BadInput(
                f"{config.name!r} with the head Ctc predicts {self.predicted} ({len(found)} rows), expected one stream "
                "of symbols in one row; give each predicted stream a language model of its own"
            )
        ((self.stream, self.row),) = found
        head: Any = config.head
        self.upsample: int = head.upsample

    @property
    def blank(self) -> int:
        """The place of the blank among the emissions: behind the symbols."""
        first, past = self.vocabs[self.row].ranges[self.stream]
        return past - first

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Batch -> predicted row -> float[N, T, U + 1], log p at the stretched steps of each grid."""
        return {self.row: self.emissions(batch).logp}

    def hidden(self, batch: Batch) -> Tensor:
        """Batch -> float[N, T, D]: the body's vectors at the stretched steps of each grid, one grid a line."""
        return self._read(batch)[0]

    def emissions(self, batch: Batch) -> Emissions:
        """What every stretched step of every grid names; grids in the order of `grids`."""
        hidden, lengths = self._read(batch)
        return Emissions(self.logp(hidden), lengths)

    def logp(self, hidden: Tensor) -> Tensor:
        """float[..., D] -> float32[..., U + 1], the blank last."""
        first, past = self.vocabs[self.row].ranges[self.stream]
        weight = self.head.weight(self.row)
        weight = torch.cat((weight[first:past], weight[self.vocabs[self.row].offset("pad")][None]))
        return F.linear(hidden, weight).float().log_softmax(-1)

    def targets(self, batch: Batch) -> Targets:
        """The predicted symbols of every grid.

        Raises:
            BadInput: a part of them is given, which nothing here can read.
        """
        mine = self.holds(batch, (self.stream,))
        if bool((mine & (batch.role == GIVEN)).any()):
            raise BadInput(
                f"{self.config.name!r} makes {self.stream!r} by CTC all at once and cannot go on from a beginning; "
                "give a prompt without it"
            )
        k = self.rows.index(self.row)
        cells = mine[:, k] & (batch.role[:, k] == PREDICT)
        first = self.vocabs[self.row].offset(self.stream)
        symbols, lengths = gather(batch.tokens[:, k] - first, cells, grids(batch))
        behind = torch.arange(symbols.shape[1], device=symbols.device) < lengths[:, None]
        alike = (symbols[:, 1:] == symbols[:, :-1]) & behind[:, 1:]
        return Targets(symbols, lengths, lengths + alike.sum(1))

    def losses(self, batch: Batch) -> tuple[Tensor, Targets]:
        """float[N]: -log p of each grid's symbols over all alignments; infinite where they do not fit its steps."""
        said, true = self.emissions(batch), self.targets(batch)
        fits = true.steps <= said.lengths
        # Where nothing fits, a loss of inf would make gradients of NaN: those grids are asked for no symbols instead.
        wanted = torch.where(fits, true.lengths, 0)
        nats = F.ctc_loss(
            said.logp.transpose(0, 1),
            true.symbols,
            said.lengths.clamp(min=1),
            wanted,
            blank=self.blank,
            reduction="none",
        )
        nats = torch.where(said.lengths > 0, nats, nats * 0)
        return torch.where(fits, nats, nats.detach() * 0 + torch.inf), true

    @torch.no_grad()
    def cell_nats(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """float64[B, K, S] and bool[B, K, S]: each grid's log-likelihood spread evenly over its symbols.

        CTC gives one likelihood for all symbols together; it is -inf where they do not fit the stretched steps.
        """
        nats, true = self.losses(batch)
        each = -nats.double() / true.lengths.clamp(min=1)
        asked = self.asked(batch)
        return torch.where(asked, each[grids(batch)][:, None], 0.0), asked

    def _read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """float[N, T, D] and long[N]."""
        x, lengths = self.stretched(batch)
        position = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
        return self.body(x, position, torch.where(position < lengths[:, None], 0, -1)), lengths

    def stretched(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """float[N, T, D] and long[N]: what is given, each item `upsample` times, as the body takes it.

        Raises:
            BadInput: more steps than the body has positions for.
        """
        self._check(batch)
        given = [name for name in self.streams if name != self.stream]
        cells = self.holds(batch, given) & (batch.role == GIVEN)
        x, lengths = gather(self.columns(batch.tokens, batch.dense), cells.any(1), grids(batch))
        limit = getattr(self.body, "context", None)
        if limit is not None and x.shape[1] * self.upsample > limit:
            raise BadInput(
                f"{x.shape[1]} given items at {self.upsample} steps each do not fit {self.config.name!r}, whose body "
                f"knows {limit} positions; cut the example, or take positions without an end"
            )
        return x.repeat_interleave(self.upsample, 1), lengths * self.upsample


def grids(batch: Batch) -> Tensor:
    """long[B, S]: the number of each step's grid, counted over the lines of a batch; of padding, any."""
    held = int(batch.segment.clamp(min=0).max()) + 1
    number = torch.arange(len(batch.segment), device=batch.segment.device)[:, None] * held + batch.segment.clamp(min=0)
    there = number[batch.segment >= 0]
    order = torch.full((len(batch.segment) * held,), 0, device=number.device)
    found = torch.unique(there)
    order[found] = torch.arange(len(found), device=number.device)
    return order[number]


def gather(x: Tensor, where: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
    """The chosen steps of each grid side by side.

    Args:
        x: [B, S, ...]
        where: bool[B, S].
        number: long[B, S], from `grids`.

    Returns:
        [N, T, ...], zeros behind the end, T at least 1; and long[N].
    """
    at = number[where]
    count = torch.bincount(at, minlength=int(number.max()) + 1)
    rank = torch.arange(len(at), device=x.device) - (count.cumsum(0) - count)[at]
    size = max(1, int(count.max()))
    out = x.new_zeros(len(count), size, *x.shape[2:])
    return out.index_put((at, rank), x[where]), count
