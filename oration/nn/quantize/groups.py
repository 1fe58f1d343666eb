"""Groups of channels, each with a quantizer of its own. Layers only; knows no speech.

Yang et al. 2023, arXiv:2305.02765, group-residual vector quantisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.quantize.quantized import Quantized, Quantizer
from oration.nn.quantize.rvq import Rvq

PAIR = Rvq(levels=2, size=1024)


@dataclass(frozen=True, kw_only=True)
class GroupRvq:
    """HiFi-Codec's: two groups of two levels."""

    groups: int = 2
    each: Rvq = PAIR
    order: Literal["groups", "rounds"] = "groups"
    """`groups`: all levels of the first group, then those of the second, as the paper counts them. `rounds`: the first
    level of each group, then the second, so that the first codes alone stand for whole vectors."""

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise BadInput(f"GroupRvq has groups={self.groups}, expected at least 1")

    @property
    def levels(self) -> int:
        return self.groups * self.each.levels

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.each.size,) * self.levels

    @property
    def strides(self) -> tuple[int, ...]:
        return (1,) * self.levels

    def tiny(self) -> GroupRvq:
        return replace(self, each=self.each.tiny())

    def build(self, dim: int) -> GroupLayer:
        return GroupLayer(self, dim)


class GroupLayer(Quantizer):
    """The channels cut into equal groups. Levels of a group that are not given to `decode` say nothing: 0."""

    def __init__(self, numbers: GroupRvq, dim: int) -> None:
        super().__init__(numbers.sizes)
        if dim % numbers.groups:
            raise BadInput(f"GroupRvq cuts vectors of width {dim} into groups={numbers.groups}, expected a divisor")
        self.numbers, self.width = numbers, dim // numbers.groups
        self.groups = nn.ModuleList(numbers.each.build(self.width) for _ in range(numbers.groups))
        pairs = [(group, level) for group in range(numbers.groups) for level in range(numbers.each.levels)]
        self.places = pairs if numbers.order == "groups" else sorted(pairs, key=lambda pair: pair[1])

    def forward(self, x: Tensor) -> Quantized:
        found = [group(part) for group, part in zip(self.groups, x.split(self.width, 2), strict=True)]
        names = found[0].losses
        losses = {name: torch.stack([one.losses[name] for one in found]).mean() for name in names}
        vectors = torch.cat([one.vectors for one in found], 2)
        # Level 0 is a level of the first group alone; what it is worth to a teacher is the first of every group.
        first = torch.cat([one.first for one in found], 2)
        return Quantized(vectors, [found[group].codes[level] for group, level in self.places], losses, first)

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        parts = zip(self.groups, x.split(self.width, 2), strict=True)
        codes: list[list[Tensor]] = [group.encode(part) for group, part in parts]  # type: ignore[operator]
        return [codes[group][level] for group, level in self.places[:levels]]

    def look_up(self, codes: Sequence[Tensor]) -> Tensor:
        given = [list[Tensor]() for _ in self.groups]
        for (group, _), row in zip(self.places, codes, strict=False):
            given[group].append(row)
        parts = [
            group.look_up(rows) if rows else None  # type: ignore[operator]
            for group, rows in zip(self.groups, given, strict=True)
        ]
        said = next(part for part in parts if part is not None)
        return torch.cat([torch.zeros_like(said) if part is None else part for part in parts], 2)
