"""Lookup-free quantisation: the signs of a few numbers are the bits of the symbol. Knows no speech.

Yu et al. 2023, arXiv:2310.05737, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from oration.core import BadInput
from oration.nn.quantize.projection import Pointwise
from oration.nn.quantize.quantized import Quantized, Quantizer


@dataclass(frozen=True, kw_only=True)
class Lfq:
    """2 ** `bits` symbols on one level."""

    bits: int = 12
    commitment: float = 0.25
    """Weight of the distance from the numbers to their signs."""
    entropy: float = 0.1
    """Weight of the loss that wants each choice clear and all choices used: H(symbol | vector) - H(symbol)."""
    diversity: float = 1.0
    """How much more H(symbol) counts in it than the other."""
    temperature: float = 0.01
    """How clear a choice is by its distances, for the entropies alone."""
    together: int = 9
    """H(symbol) is exact up to so many bits; above, it is the sum over groups of so many, an upper bound."""

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 30 or self.together < 1:
            raise BadInput(f"Lfq has bits={self.bits} and together={self.together}, expected 1 to 30 and at least 1")

    levels = 1
    strides = (1,)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (1 << self.bits,)

    def tiny(self) -> Lfq:
        return replace(self, bits=min(self.bits, 4))

    def build(self, dim: int) -> LfqLayer:
        return LfqLayer(self, dim)


class LfqLayer(Quantizer):
    """A projection to as many numbers as bits, and one back; without either where the width is the same."""

    powers: Tensor

    def __init__(self, numbers: Lfq, dim: int) -> None:
        super().__init__(numbers.sizes)
        self.numbers = numbers
        projected = dim != numbers.bits
        self.inward = Pointwise(dim, numbers.bits) if projected else None
        self.outward = Pointwise(numbers.bits, dim) if projected else None
        self.register_buffer("powers", 2 ** torch.arange(numbers.bits), persistent=False)

    def forward(self, x: Tensor) -> Quantized:
        with torch.autocast(x.device.type, enabled=False):
            y = self._in(x.float())
            bits = y > 0
            signs = bits.float() * 2 - 1
            codes, losses = [(bits * self.powers).sum(-1)], dict[str, Tensor]()
            if self.training:
                losses["commitment"] = (y - signs).square().mean() * self.numbers.commitment
                losses["entropy"] = self._entropy(y.flatten(0, 1)) * self.numbers.entropy
                signs = y + (signs - y).detach()
            vectors = self._out(signs).to(x.dtype)
            return Quantized(vectors, codes, losses, vectors)

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            return [((self._in(x.float()) > 0) * self.powers).sum(-1)]

    def look_up(self, codes: Sequence[Tensor]) -> Tensor:
        bits = codes[0][..., None] // self.powers % 2
        return self._out((bits * 2 - 1).float())

    def _in(self, x: Tensor) -> Tensor:
        return x if self.inward is None else self.inward(x)

    def _out(self, signs: Tensor) -> Tensor:
        return signs if self.outward is None else self.outward(signs.to(self.outward.weight.dtype))

    def _entropy(self, y: Tensor) -> Tensor:
        """float[N, bits] -> a scalar, in nats"""
        # Codewords are corners of a cube: by distance the bits of a symbol are independent of each other, given y.
        logits = y * (4 / self.numbers.temperature)
        one, none = logits.sigmoid(), (-logits).sigmoid()
        each = (one * F.softplus(-logits) + none * F.softplus(logits)).sum(1).mean()
        all_of_them = y.new_zeros(())
        for ones, nones in zip(one.split(self.numbers.together, 1), none.split(self.numbers.together, 1), strict=True):
            share = y.new_ones(len(y), 1)
            for bit in range(ones.shape[1]):
                share = torch.stack((share * nones[:, bit, None], share * ones[:, bit, None]), 1).flatten(1)
            all_of_them = all_of_them + torch.special.entr(share.mean(0).clamp_min(1e-12)).sum()
        return each - all_of_them * self.numbers.diversity
