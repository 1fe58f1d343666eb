"""From logits to one symbol. Knows no layout: what is allowed comes as a mask, chance as numbers in [0, 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oration.core import BadInput, OrationError


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """How to choose among the allowed symbols; the defaults draw from the model's own distribution."""

    temperature: float = 1.0
    """Logits are divided by it, and the noise that vectors are made from is multiplied; 0: the likeliest (greedy)."""
    top_k: int = 0
    """Draw among the k likeliest symbols only; 0: all."""
    top_p: float = 1.0
    """Draw among the fewest likeliest symbols that together have this probability (Holtzman et al., 1904.09751)."""
    repetition: float = 1.0
    """Penalty for symbols that the row already holds, prompt included (Keskar et al., 1909.05858, 4.1); 1: none."""
    guidance: float = 1.0
    """How far to go from what the model expects without the task's `condition` to what it expects with it, and beyond
    (Ho & Salimans, 2207.12598): logits become u + guidance (c - u). 1: with it, nothing more."""
    rows: tuple[tuple[str, Sampler], ...] = ()
    """(row, sampler): rows that are drawn in another way."""

    def __post_init__(self) -> None:
        if not (
            0 <= self.temperature < float("inf")
            and self.top_k >= 0
            and 0 < self.top_p <= 1
            and self.repetition > 0
            and 0 <= self.guidance < float("inf")
        ):
            raise BadInput(
                "a sampler needs temperature >= 0, top_k >= 0, 0 < top_p <= 1, repetition > 0 and guidance >= 0, "
                f"but got {self!r}"
            )

    @classmethod
    def greedy(cls) -> Sampler:
        """Always the likeliest symbol."""
        return cls(temperature=0.0)

    def of(self, row: str) -> Sampler:
        """The sampler of one row."""
        return dict(self.rows).get(row, self)

    def pick(self, logits: Tensor, allowed: Tensor, chance: Tensor, seen: Tensor | None = None) -> Tensor:
        """One symbol for each of `n` sequences, long[n].

        Args:
            logits: float[n, V].
            allowed: bool[n, V], or bool[1, V] for all; at least one True a row.
            chance: float64[n] in [0, 1), one number a sequence. The same number gives the same symbol in any batch.
            seen: bool[n, V], symbols the penalty falls on.

        Raises:
            OrationError: the logits are not numbers.
        """
        if seen is not None and self.repetition != 1:
            lower = torch.where(logits > 0, logits / self.repetition, logits * self.repetition)
            logits = torch.where(seen, lower, logits)
        likeliest = logits.masked_fill(~allowed, -torch.inf).max(-1)
        if not bool((likeliest.values < torch.inf).all()):
            raise OrationError(
                "the model's logits are NaN, expected finite numbers; its training diverged, take an earlier checkpoint"
            )
        if self.temperature == 0:
            return likeliest.indices
        scores = logits.double().masked_fill(~allowed, -torch.inf)
        scores = (scores - scores.amax(-1, keepdim=True)) / self.temperature
        if 0 < self.top_k < scores.shape[-1]:
            scores = scores.masked_fill(scores < scores.topk(self.top_k).values[:, -1:], -torch.inf)
        p = scores.softmax(-1)
        if self.top_p < 1:
            ordered, order = p.sort(dim=-1, descending=True, stable=True)
            dropped = ordered.cumsum(-1) - ordered >= self.top_p  # the symbol that crosses the bound stays
            p = p.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), 0)
        below = p.cumsum(-1)
        symbol = torch.searchsorted(below, (chance.to(p.device) * below[:, -1])[:, None], right=True)[:, 0]
        last = (p > 0).long().cumsum(-1).argmax(-1)  # rounding may carry a chance close to 1 past the end
        return torch.minimum(symbol, last)
