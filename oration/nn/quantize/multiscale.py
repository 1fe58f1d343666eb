"""Residual quantisation at several rates: the first levels say a symbol for several frames. Knows no speech.

Siuzdak et al. 2024, arXiv:2410.14411.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from oration.core import BadInput
from oration.nn.quantize.factorised import FactorisedLayer, FactorisedLevel


@dataclass(frozen=True, kw_only=True)
class MultiScaleRvq:
    """SNAC's: what is left over is averaged over a level's frames, quantised, and repeated for each of them."""

    strides: tuple[int, ...] = (4, 2, 1)
    """Frames of a symbol of each level."""
    size: int = 4096
    dim: int = 8
    """Width of the codewords; a projection on either side of each level."""
    codebook: float = 1.0
    """Weight of the distance from the codewords to the vectors, which moves the codewords."""
    commitment: float = 0.25
    """Weight of the distance from the vectors to the codewords, which moves the vectors."""
    dropout: float = 0.0
    """Share of the rows that in training stop after a random number of levels."""

    def __post_init__(self) -> None:
        if not self.strides or min(self.strides) < 1:
            raise BadInput(f"MultiScaleRvq has strides={self.strides}, expected one for each level, at least 1 frame")

    @property
    def levels(self) -> int:
        return len(self.strides)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.size,) * self.levels

    def tiny(self) -> MultiScaleRvq:
        return replace(self, size=min(self.size, 16), dim=min(self.dim, 4))

    def build(self, dim: int) -> FactorisedLayer:
        weights = {"codebook": self.codebook, "commitment": self.commitment}
        levels = [FactorisedLevel(dim, self.size, self.dim, stride) for stride in self.strides]
        return FactorisedLayer(levels, weights, self.dropout)
