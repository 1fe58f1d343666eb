"""Residual quantisation with narrow, learnt codebooks: looked up by direction in a few dimensions. Knows no speech.

Kumar et al. 2023, arXiv:2306.06546, section 3.2; after Yu et al. 2021, arXiv:2110.04627, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.quantize.projection import Pointwise
from oration.nn.quantize.quantized import Dropout, Quantized, Quantizer, marked
from oration.nn.quantize.search import Remembered, nearest_codeword


@dataclass(frozen=True, kw_only=True)
class FactorisedRvq:
    """DAC's. With one level of 8192 it is BigCodec's (arXiv:2409.05377)."""

    levels: int = 9
    size: int = 1024
    dim: int = 8
    """Width of the codewords; a projection on either side of each level."""
    codebook: float = 1.0
    """Weight of the distance from the codewords to the vectors, which moves the codewords."""
    commitment: float = 0.25
    """Weight of the distance from the vectors to the codewords, which moves the vectors."""
    dropout: float = 0.5
    """Share of the rows that in training stop after a random number of levels."""
    cuts: tuple[int, ...] = ()
    """The numbers of levels that dropout draws from; none: 1 to all."""

    def __post_init__(self) -> None:
        if self.levels < 1 or self.size < 1:
            raise BadInput(f"FactorisedRvq has levels={self.levels} of size={self.size}, expected at least 1 of each")

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.size,) * self.levels

    @property
    def strides(self) -> tuple[int, ...]:
        return (1,) * self.levels

    def tiny(self) -> FactorisedRvq:
        levels = min(self.levels, 3)
        cuts = tuple(sorted({min(cut, levels) for cut in self.cuts}))
        return replace(self, levels=levels, size=min(self.size, 16), dim=min(self.dim, 4), cuts=cuts)

    def build(self, dim: int) -> FactorisedLayer:
        weights = {"codebook": self.codebook, "commitment": self.commitment}
        levels = [FactorisedLevel(dim, self.size, self.dim) for _ in range(self.levels)]
        return FactorisedLayer(levels, weights, self.dropout, self.cuts)


class FactorisedLevel(nn.Module):
    """One level: into a few dimensions, the codeword of the nearest direction, and back."""

    def __init__(self, dim: int, size: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.inward = Pointwise(dim, width, normed=True)
        self.outward = Pointwise(width, dim, normed=True)
        self.codebook = nn.Parameter(torch.randn(size, width))
        self._remembered = Remembered()

    def nearest(self, narrow: Tensor) -> Tensor:
        """float[B, F, W] -> long[B, F]"""
        x = F.normalize(narrow.flatten(0, 1).float())
        return nearest_codeword(x, *self._remembered(_directions, self.codebook)).view(narrow.shape[:2])

    def narrow(self, x: Tensor) -> Tensor:
        """float[B, F, D] -> float[B, F / stride, W]"""
        if self.stride > 1:
            x = x.unflatten(1, (-1, self.stride)).mean(2)
        y: Tensor = self.inward(x)
        return y

    def widen(self, narrow: Tensor) -> Tensor:
        """float[B, F / stride, W] -> float[B, F, D]"""
        y: Tensor = self.outward(narrow)
        return y.repeat_interleave(self.stride, 1) if self.stride > 1 else y

    def look_up(self, codes: Tensor) -> Tensor:
        """long[B, F / stride] -> float[B, F / stride, W]"""
        return F.embedding(codes, self.codebook)


class FactorisedLayer(Quantizer):
    """Levels that each quantise what those before them left over."""

    def __init__(
        self, levels: Sequence[FactorisedLevel], weights: dict[str, float], dropout: float, cuts: Sequence[int] = ()
    ) -> None:
        super().__init__([len(level.codebook) for level in levels], [level.stride for level in levels])
        self.levels = nn.ModuleList(levels)
        self.weights = weights
        self.dropout = Dropout(len(levels), dropout, cuts)

    def forward(self, x: Tensor) -> Quantized:
        self.whole(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._quantize(x)

    @property
    def parts(self) -> Sequence[FactorisedLevel]:
        """The levels."""
        return cast("Sequence[FactorisedLevel]", self.levels)

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        self.whole(x)
        with torch.autocast(x.device.type, enabled=False):
            rest, codes = x.float(), list[Tensor]()
            parts = self.parts[:levels]
            for number, level in enumerate(parts, 1):
                codes.append(level.nearest(level.narrow(rest)))
                if number < len(parts):
                    rest = rest - level.widen(level.look_up(codes[-1]).float())
            return codes

    def look_up(self, codes: Sequence[Tensor]) -> Tensor:
        total = self.parts[0].widen(self.parts[0].look_up(codes[0]))
        for level, row in zip(self.parts[1:], codes[1:], strict=False):
            total = total + level.widen(level.look_up(row))
        return total

    def _quantize(self, x: Tensor) -> Quantized:
        training, kept = self.training, self.dropout(len(x))
        rest = x.float()
        total = first = torch.zeros_like(rest)
        to_codes, to_vectors = rest.new_zeros(()), rest.new_zeros(())
        codes = list[Tensor]()
        for number, level in enumerate(self.parts):
            narrow = level.narrow(rest)
            choice = level.nearest(narrow)
            word = level.look_up(choice).float()
            through = None if kept is None else kept[number]
            if training:
                share = 1.0 if through is None else through
                to_codes = to_codes + ((narrow.detach() - word).square().mean((1, 2)) * share).mean()
                to_vectors = to_vectors + ((narrow - word.detach()).square().mean((1, 2)) * share).mean()
                word = narrow + (word - narrow).detach()
            said = level.widen(word)
            total = total + (said if through is None else said * through[:, None, None])
            first = total if number == 0 else first
            rest = rest - said
            codes.append(marked(choice, through))
        losses = {"codebook": to_codes, "commitment": to_vectors} if training else {}
        losses = {name: loss * self.weights[name] for name, loss in losses.items()}
        return Quantized(total.to(x.dtype), codes, losses, first.to(x.dtype))


def _directions(codebook: Tensor) -> tuple[Tensor, Tensor]:
    codebook = F.normalize(codebook.float())
    return codebook, codebook.square().sum(1)
