"""Two quantizers side by side on the same vectors, added up: one for what is said, one for how. Knows no speech.

Défossez et al. 2024, arXiv:2410.00037, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from oration.core import BadInput
from oration.nn.quantize.quantized import Quantized, Quantizer
from oration.nn.quantize.rvq import Rvq, RvqLayer


@dataclass(frozen=True, kw_only=True)
class SplitRvq:
    """Mimi's: the first level has codebook and projections of its own, so that it can be taught by another model."""

    levels: int = 8
    """Of both together. The released codec knows 32."""
    semantic: int = 1
    """How many of them are the first quantizer's."""
    size: int = 2048
    dim: int = 256
    """Width of the codewords; each of the two has a projection on either side, also from the same width."""
    decay: float = 0.99
    dead: float = 0.1
    """A codeword chosen less than this share of the mean begins anew at a vector of the batch; 0: never."""
    commitment: float = 1.0
    """Weight of the distance from the vectors to their codewords, the mean over the levels."""
    pool: int = 8
    """Vectors per codeword to collect for k-means; until then training goes on with unquantised vectors."""
    dropout: float = 1.0
    """Share of the rows that in training stop after a random number of the second quantizer's levels."""
    bypass: float = 0.5
    """Share of the rows that in training are left unquantised, drawn for each of the two."""

    def __post_init__(self) -> None:
        if not 1 <= self.semantic < self.levels:
            raise BadInput(
                f"SplitRvq has semantic={self.semantic} of levels={self.levels}, expected at least 1 and one left over"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.size,) * self.levels

    @property
    def strides(self) -> tuple[int, ...]:
        return (1,) * self.levels

    def tiny(self) -> SplitRvq:
        levels = min(self.levels, self.semantic + 2)
        return replace(self, levels=levels, size=min(self.size, 16), dim=min(self.dim, 8))

    def build(self, dim: int) -> SplitLayer:
        first = Rvq(
            levels=self.semantic, size=self.size, dim=self.dim, decay=self.decay, dead=self.dead, pool=self.pool,
            commitment=self.commitment * self.semantic / self.levels, bypass=self.bypass,
        )  # fmt: skip
        others = self.levels - self.semantic
        rest = replace(first, levels=others, commitment=self.commitment * others / self.levels, dropout=self.dropout)
        return SplitLayer(*(RvqLayer(numbers, dim, projected=True) for numbers in (first, rest)))


class SplitLayer(Quantizer):
    """`first` and `rest`, each on the whole vector; what they stand for is the sum."""

    def __init__(self, first: RvqLayer, rest: RvqLayer) -> None:
        super().__init__([*first.sizes, *rest.sizes])
        self.first, self.rest = first, rest

    def forward(self, x: Tensor) -> Quantized:
        first, rest = self.first(x.float()), self.rest(x.float())
        losses = {name: loss + rest.losses[name] for name, loss in first.losses.items()}
        vectors = (first.vectors + rest.vectors).to(x.dtype)
        return Quantized(vectors, [*first.codes, *rest.codes], losses, first.first.to(x.dtype))

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        own, most = len(self.first.sizes), len(self.sizes) if levels is None else levels
        codes = self.first.encode(x, most)
        return codes + self.rest.encode(x, most - own) if most > own else codes

    def look_up(self, codes: Sequence[Tensor]) -> Tensor:
        own = len(self.first.sizes)
        total = self.first.look_up(codes[:own])
        return total + self.rest.look_up(codes[own:]) if len(codes) > own else total
