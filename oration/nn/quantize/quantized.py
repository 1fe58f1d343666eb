"""What every quantizer promises: vectors to symbols on a few levels, and back. Layers only; knows no speech.

The numbers of one are a frozen dataclass with `levels`, `sizes` (symbols of each level), `strides` (frames of a symbol
of each level), `tiny()` and `build(dim)`; `build` gives a `Quantizer`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from oration.core import BadInput


@dataclass(frozen=True)
class Quantized:
    """What a quantizer makes of float[B, F, D]."""

    vectors: Tensor
    """float[B, F, D], what the codes stand for; in training its gradient goes straight to what was quantised."""
    codes: Sequence[Tensor]
    """long[B, F / stride] of each level; in training -1 in the rows that did without the level."""
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    """Scalars to be added to what is minimised; empty at inference."""
    first: Tensor | None = None
    """float[B, F, D], what level 0 alone stands for."""


class Quantizer(nn.Module):
    """Vectors to symbols and back. Everything is computed in float32, whatever the autocast."""

    def __init__(self, sizes: Sequence[int], strides: Sequence[int] | None = None) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.strides = tuple(strides or [1] * len(self.sizes))

    def forward(self, x: Tensor) -> Quantized:
        """float[B, F, D] -> its codes, what they stand for, and what training needs to know.

        In training this also moves codebooks that are running means.
        """
        raise NotImplementedError

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        """float[B, F, D] -> long[B, F / stride] of each level, or of the first `levels`"""
        raise NotImplementedError

    def decode(self, codes: Sequence[Tensor]) -> Tensor:
        """long[B, F / stride] of each level -> float[B, F, D]. The last levels may be missing: then less is said.

        Raises:
            BadInput: no level or too many, levels of different lengths, or a code that is no codeword.
        """
        self.verify(codes)
        return self.look_up(codes)

    def look_up(self, codes: Sequence[Tensor]) -> Tensor:
        """`decode` without a look at the codes, which on a GPU is to wait for them."""
        raise NotImplementedError

    def whole(self, x: Tensor) -> None:
        """See that float[B, F, D] has as many frames as all levels have whole symbols for."""
        block = math.lcm(*self.strides)
        if x.shape[1] % block:
            raise BadInput(f"{x.shape[1]} frames are no multiple of {block}, as strides {self.strides} need; pad them")

    def verify(self, codes: Sequence[Tensor]) -> None:
        """See that `codes` are what `decode` takes."""
        if not 1 <= len(codes) <= len(self.sizes):
            raise BadInput(f"the quantizer was given {len(codes)} levels of codes, expected 1 to {len(self.sizes)}")
        frames = {row.shape[-1] * stride for row, stride in zip(codes, self.strides, strict=False)}
        if len(frames) > 1:
            raise BadInput(
                f"levels of {[row.shape[-1] for row in codes]} codes do not belong together; with strides "
                f"{self.strides[: len(codes)]} they stand for {sorted(frames)} frames, expected the same number"
            )
        for level, (row, size) in enumerate(zip(codes, self.sizes, strict=False)):
            if row.is_floating_point() or row.ndim != 2:
                raise BadInput(
                    f"codes of level {level} are {row.dtype}{list(row.shape)}, expected whole numbers [batch, frames]"
                )
            if row.numel():
                low, high = (int(bound) for bound in row.aminmax())
                if low < 0 or high >= size:
                    raise BadInput(
                        f"level {level} has the code {low if low < 0 else high}, expected 0 to {size - 1}; "
                        "the codes were made by another codec, or are damaged"
                    )


class Usage(NamedTuple):
    """How much of a codebook is made use of; scalars, still where the codes are."""

    share: Tensor
    """Codewords used at least once, 0 to 1."""
    perplexity: Tensor
    """Codewords that would say as much if all were used alike: 1 is a collapsed codebook."""
    bits: Tensor
    """Bits a second that the codes need at least when each is coded for itself."""


def usage(codes: Tensor, size: int, rate: float = 1.0) -> Usage:
    """Statistics of long[...] `codes` below `size`, `rate` of them a second; those below 0 are left out.

    >>> [round(float(number), 2) for number in usage(torch.tensor([0, 0, 1, 1]), 4, rate=50)]
    [0.5, 2.0, 50.0]
    """
    codes = codes.flatten()
    # No bincount, which waits for a GPU: one more cell takes those that are left out.
    count = torch.zeros(size + 1, device=codes.device)
    count.index_add_(0, torch.where(codes < 0, size, codes), torch.ones_like(codes, dtype=count.dtype))
    count = count[:size]
    entropy = torch.special.entr(count / count.sum().clamp_min(1)).sum()
    return Usage((count > 0).float().mean(), entropy.exp(), entropy / math.log(2) * rate)


class Dropout(nn.Module):
    """Which rows go through which levels in training, when a `share` of them stops early (quantizer dropout).

    Those stop after a number of levels drawn from `cuts`, or from 1 to all. Zeghidour et al. 2021, arXiv:2107.03312,
    section III.C.
    """

    cuts: Tensor
    numbers: Tensor

    def __init__(self, levels: int, share: float, cuts: Sequence[int] = ()) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise BadInput(f"quantizer dropout is {share}, expected a share of the rows from 0 to 1")
        if any(not 1 <= cut <= levels for cut in cuts):
            raise BadInput(f"quantizer dropout has cuts={tuple(cuts)}, expected numbers from 1 to the {levels} levels")
        self.levels, self.share = levels, share if levels > 1 else 0.0
        # Made here, because to send numbers to a GPU in every step is to wait for it.
        self.register_buffer("cuts", torch.tensor(list(cuts) or list(range(1, levels + 1))), persistent=False)
        self.register_buffer("numbers", torch.arange(levels), persistent=False)

    def forward(self, rows: int) -> Tensor | None:
        """-> bool[levels, rows], or None for all of them."""
        if not self.training or not self.share:
            return None
        cuts = self.cuts
        stop = cuts[torch.randint(len(cuts), (rows,), device=cuts.device)]
        stop = torch.where(torch.rand(rows, device=cuts.device) < self.share, stop, self.levels)
        return self.numbers[:, None] < stop


def marked(row: Tensor, kept: Tensor | None) -> Tensor:
    """long[B, F], -1 where bool[B] `kept` is False."""
    return row if kept is None else torch.where(kept[:, None], row, -1)
