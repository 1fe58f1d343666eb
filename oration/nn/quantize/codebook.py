"""A codebook of running means: each codeword follows the vectors that choose it. Layers only; knows no speech.

van den Oord et al. 2017, arXiv:1711.00937, appendix A.1 (running means); Zeghidour et al. 2021, arXiv:2107.03312,
section III.C (k-means start, codewords that nobody chooses begin anew); Défossez et al. 2024, arXiv:2410.00037,
section 3.3 (a codeword is judged by its share of the choices, whatever the batch).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.quantize.search import Remembered, nearest_codeword


class Codebook(nn.Module):
    """`size` codewords, the running mean of what chose them; all of it buffers, so that training resumes exactly.

    A mean and its mass are kept rather than a sum and its mass: the same numbers, and one can do without the mass.
    A mass of 0 everywhere says that there are no codewords yet.
    """

    def __init__(self, size: int, dim: int, *, decay: float, dead: float, started: bool = False) -> None:
        super().__init__()
        self.decay, self.dead = decay, dead
        self.codebook: Tensor
        self.mass: Tensor
        self.register_buffer("codebook", torch.randn(size, dim))
        self.register_buffer("mass", torch.full((size,), float(started)))
        self._remembered = Remembered()

    def nearest(self, x: Tensor) -> Tensor:
        """float[N, D] -> long[N]"""
        return nearest_codeword(x, *self._remembered(_with_norms, self.codebook))

    def look_up(self, codes: Tensor) -> Tensor:
        """long[...] -> float[..., D]"""
        return F.embedding(codes, self.codebook)

    @torch.no_grad()
    def start(self, x: Tensor, rounds: int = 10) -> None:
        """k-means on float[N, D]: random members, then `rounds` of Lloyd's algorithm."""
        codebook, count = drawn(x, len(self.codebook)), x.new_zeros(len(self.codebook))
        for _ in range(rounds):
            total, count = summed(x, nearest_codeword(x, *_with_norms(codebook)), len(codebook))
            # A codeword that nobody chose is tried elsewhere.
            mean = total / count.clamp_min(1)[:, None]
            codebook = torch.where(count[:, None] > 0, mean, drawn(x, len(codebook)))
        self.codebook.copy_(codebook)
        self.mass.copy_(count)

    @torch.no_grad()
    def follow(self, x: Tensor, choice: Tensor) -> None:
        """Move towards float[N, D] by its choices long[N]; codewords too rarely chosen begin anew at some of them.

        Nothing here waits for the GPU.
        """
        x = x.nan_to_num(0.0, 0.0, 0.0)  # a batch gone wrong is skipped by the optimizer, but a mean would keep it
        total, count = summed(x, choice, len(self.codebook))
        mass = self.mass.lerp(count, 1 - self.decay)
        pull = total - self.codebook * count[:, None]
        self.codebook.add_(pull * ((1 - self.decay) / mass.clamp_min(1e-12))[:, None])
        mean = mass.mean()
        gone = mass < self.dead * mean
        self.codebook.copy_(torch.where(gone[:, None], drawn(x, len(mass)), self.codebook))
        self.mass.copy_(torch.where(gone, mean, mass))


def summed(x: Tensor, choice: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Per codeword the sum of its vectors, float[K, D], and their number, float[K]."""
    total = x.new_zeros(size, x.shape[1]).index_add_(0, choice, x)
    return total, x.new_zeros(size).index_add_(0, choice, x.new_ones(len(x)))


def drawn(x: Tensor, number: int) -> Tensor:
    """`number` members of float[N, D], each at most once where there are enough."""
    if len(x) < number:
        return x[torch.randint(len(x), (number,), device=x.device)]
    return x[torch.randperm(len(x), device=x.device)[:number]]


def _with_norms(codebook: Tensor) -> tuple[Tensor, Tensor]:
    codebook = codebook.float()
    # Column after column: the few vectors of a live push are compared in half the time.
    return codebook.mT.contiguous().mT, codebook.square().sum(1)
