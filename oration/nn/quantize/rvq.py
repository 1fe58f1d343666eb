"""Residual vector quantisation: each level says what those before it left over. Layers only; knows no speech.

Zeghidour et al. 2021, arXiv:2107.03312, section III.C; Défossez et al. 2022, arXiv:2210.13438, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.quantize.codebook import Codebook
from oration.nn.quantize.projection import Pointwise
from oration.nn.quantize.quantized import Dropout, Quantized, Quantizer, marked


@dataclass(frozen=True, kw_only=True)
class Rvq:
    """`levels` codebooks of running means. With one level of 4096 it is WavTokenizer's (arXiv:2408.16532)."""

    levels: int = 8
    size: int = 1024
    dim: int | None = None
    """Width of the codewords, with a projection on either side; None: that of the vectors, without."""
    decay: float = 0.99
    dead: float = 0.1
    """A codeword chosen less than this share of the mean begins anew at a vector of the batch; 0: never."""
    commitment: float = 1.0
    """Weight of the distance from the vectors to their codewords, the mean over the levels."""
    start: Literal["kmeans", "given"] = "kmeans"
    """Codewords from the first training vectors, or as they are (drawn, or loaded)."""
    pool: int = 8
    """Vectors per codeword to collect for k-means; until then training goes on with unquantised vectors."""
    dropout: float = 0.0
    """Share of the rows that in training stop after a random number of levels."""
    cuts: tuple[int, ...] = ()
    """The numbers of levels that dropout draws from; none: 1 to all."""
    bypass: float = 0.0
    """Share of the rows that in training are left unquantised (Mimi, arXiv:2410.00037, section 3.3: 0.5)."""

    def __post_init__(self) -> None:
        if self.levels < 1 or self.size < 1:
            raise BadInput(f"Rvq has levels={self.levels} of size={self.size}, expected at least 1 of each")

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.size,) * self.levels

    @property
    def strides(self) -> tuple[int, ...]:
        return (1,) * self.levels

    def tiny(self) -> Rvq:
        levels = min(self.levels, 3)
        dim = None if self.dim is None else min(self.dim, 8)
        return replace(
            self,
            levels=levels,
            size=min(self.size, 16),
            dim=dim,
            cuts=tuple(sorted({min(c, levels) for c in self.cuts})),
        )

    def build(self, dim: int) -> RvqLayer:
        return RvqLayer(self, dim, projected=self.dim is not None and self.dim != dim)


class RvqLayer(Quantizer):
    """The codebooks of an `Rvq`, on vectors of width `dim`."""

    def __init__(self, numbers: Rvq, dim: int, *, projected: bool) -> None:
        super().__init__(numbers.sizes)
        self.numbers = numbers
        width = numbers.dim or dim
        self.inward = Pointwise(dim, width, bias=False) if projected else None
        self.outward = Pointwise(width, dim, bias=False) if projected else None
        self.levels = nn.ModuleList(
            Codebook(numbers.size, width, decay=numbers.decay, dead=numbers.dead, started=numbers.start == "given")
            for _ in range(numbers.levels)
        )
        self.dropout = Dropout(numbers.levels, numbers.dropout, numbers.cuts)
        self._started = False
        self._pool: list[Tensor] = []

    def forward(self, x: Tensor) -> Quantized:
        with torch.autocast(x.device.type, enabled=False):
            y = self._in(x.float())
            if self.training and not self._ready(y.detach().flatten(0, 1)):
                out = self._out(y).to(x.dtype)
                nothing = x.new_full(x.shape[:2], -1, dtype=torch.long)
                return Quantized(out, [nothing] * len(self.sizes), {"commitment": y.new_zeros(())}, out)
            return self._quantize(x, y)

    @property
    def books(self) -> Sequence[Codebook]:
        """The levels."""
        return cast("Sequence[Codebook]", self.levels)

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            rest = self._in(x.float()).flatten(0, 1)
            codes = []
            books = self.books[:levels]
            for number, level in enumerate(books, 1):
                choice = level.nearest(rest)
                codes.append(choice.view(x.shape[:2]))
                if number < len(books):
                    rest = rest - level.look_up(choice)
            return codes

    def look_up(self, codes: Sequence[Tensor]) -> Tensor:
        total = self.books[0].look_up(codes[0])
        for level, row in zip(self.books[1:], codes[1:], strict=False):
            total = total + level.look_up(row)
        return self._out(total)

    def _in(self, x: Tensor) -> Tensor:
        return x if self.inward is None else self.inward(x)

    def _out(self, y: Tensor) -> Tensor:
        return y if self.outward is None else self.outward(y)

    def _quantize(self, x: Tensor, y: Tensor) -> Quantized:
        """float[B, F, D], and projected float32[B, F, W]"""
        training, numbers, (batch, frames, width) = self.training, self.numbers, y.shape
        kept = self.dropout(batch)
        rest, total, loss = y.reshape(-1, width), torch.zeros_like(y), y.new_zeros(())
        codes, first = list[Tensor](), total
        for number, level in enumerate(self.books):
            choice = level.nearest(rest)
            said = level.look_up(choice).float()
            through = None if kept is None else kept[number]
            if training:
                error = (rest - said).square().view(batch, -1).mean(1)
                loss = loss + (error if through is None else error * through).mean()
                level.follow(rest.detach(), choice)
            rest = rest - said
            said = said.view(y.shape)
            total = total + (said if through is None else said * through[:, None, None])
            first = total if number == 0 else first
            codes.append(marked(choice.view(batch, frames), through))
        if not training:
            return Quantized(self._out(total).to(x.dtype), codes, {}, self._out(first).to(x.dtype))
        if numbers.bypass:
            left = torch.rand(batch, 1, 1, device=y.device) < numbers.bypass
            total = torch.where(left, y.detach(), total)
        # One straight path for all levels together: level by level the gradient would count once for each.
        vectors, first = (self._out(y + (found - y).detach()).to(x.dtype) for found in (total, first))
        return Quantized(vectors, codes, {"commitment": loss / numbers.levels * numbers.commitment}, first)

    def _ready(self, y: Tensor) -> bool:
        """Whether there are codewords; if not, collect float[N, W] until there are enough vectors to start from."""
        if self._started:
            return True
        if not bool(self.books[0].mass.sum() > 0):  # the one thing that waits for a GPU, and only until the start
            self._pool.append(y)
            if sum(map(len, self._pool)) < self.numbers.pool * self.numbers.size:
                return False
            rest, self._pool = torch.cat(self._pool), []
            for level in self.books:
                level.start(rest)
                rest = rest - level.look_up(level.nearest(rest))
        self._started = True
        return True

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)  # type: ignore[arg-type]
        self._started, self._pool = False, []
