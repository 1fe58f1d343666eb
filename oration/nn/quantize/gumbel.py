"""Product quantisation by learnt choice: groups of codewords, one drawn from each, end to end. Knows no speech.

Baevski et al. 2020, arXiv:2006.11477, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.quantize.projection import Pointwise
from oration.nn.quantize.quantized import Quantized, Quantizer


@dataclass(frozen=True, kw_only=True)
class GumbelVq:
    """wav2vec 2.0's: 2 groups of 320 codewords. Each group is a level."""

    levels: int = 2
    size: int = 320
    dim: int = 256
    """Width of all groups' codewords end to end."""
    diversity: float = 0.1
    """Weight of the loss that wants all codewords used: 1 less the share that the mean choice's perplexity is."""
    hot: float = 2.0
    """Temperature of the draw at first."""
    cold: float = 0.5
    """Temperature that it ends at."""
    cooling: float = 0.999995
    """What each training step multiplies the temperature with."""

    def __post_init__(self) -> None:
        if self.levels < 1 or self.dim % self.levels:
            raise BadInput(f"GumbelVq has dim={self.dim}, expected a multiple of its levels={self.levels}, at least 1")

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.size,) * self.levels

    @property
    def strides(self) -> tuple[int, ...]:
        return (1,) * self.levels

    def tiny(self) -> GumbelVq:
        return replace(self, size=min(self.size, 16), dim=4 * self.levels)

    def build(self, dim: int) -> GumbelLayer:
        return GumbelLayer(self, dim)


class GumbelLayer(Quantizer):
    """Logits for each codeword; in training a draw by them, else the most likely. Missing levels say nothing: 0."""

    steps: Tensor

    def __init__(self, numbers: GumbelVq, dim: int) -> None:
        super().__init__(numbers.sizes)
        self.numbers = numbers
        self.inward = Pointwise(dim, numbers.levels * numbers.size)
        self.outward = Pointwise(numbers.dim, dim)
        self.codebooks = nn.Parameter(torch.rand(numbers.levels, numbers.size, numbers.dim // numbers.levels))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Quantized:
        with torch.autocast(x.device.type, enabled=False):
            logits = self._logits(x)
            if not self.training:
                codes = list(logits.argmax(-1).unbind(2))
                return Quantized(self.look_up(codes).to(x.dtype), codes, {}, self.look_up(codes[:1]).to(x.dtype))
            choice = self._draw(logits)
            words = torch.einsum("bflk,lkd->bfld", choice, self.codebooks)
            first = words * (torch.arange(words.shape[2], device=x.device) == 0)[:, None]
            mean = logits.softmax(-1).mean((0, 1)).clamp_min(1e-12)
            perplexity = torch.special.entr(mean).sum(-1).exp().mean()
            losses = {"diversity": (1 - perplexity / self.numbers.size) * self.numbers.diversity}
            vectors, first = (self.outward(found.flatten(2)).to(x.dtype) for found in (words, first))
            return Quantized(vectors, list(choice.argmax(-1).unbind(2)), losses, first)

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            return list(self._logits(x).argmax(-1).unbind(2))[:levels]

    def look_up(self, codes: Sequence[Tensor]) -> Tensor:
        words = [F.embedding(row, book) for row, book in zip(codes, self.codebooks, strict=False)]
        missing = [torch.zeros_like(words[0])] * (len(self.codebooks) - len(words))
        y: Tensor = self.outward(torch.cat([*words, *missing], -1))
        return y

    def _logits(self, x: Tensor) -> Tensor:
        """float[B, F, D] -> float32[B, F, levels, size]"""
        y: Tensor = self.inward(x.float())
        return y.unflatten(2, (len(self.sizes), -1))

    def _draw(self, logits: Tensor) -> Tensor:
        """One codeword of each level in the shape of `logits`; the gradient is that of a soft choice."""
        numbers = self.numbers
        # A tensor, since to read the number of steps is to wait for a GPU.
        temperature = (numbers.hot * numbers.cooling ** self.steps.double()).clamp_min(numbers.cold).float()
        self.steps += 1
        noise = -torch.empty_like(logits).exponential_().log()
        soft = ((logits + noise) / temperature).softmax(-1)
        hard = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
        return soft + (hard - soft).detach()
