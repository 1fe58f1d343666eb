"""The only thing a language model sees: K rows, S steps, a token and a role in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from oration.core.errors import BadInput

if TYPE_CHECKING:
    import torch

ABSENT, GIVEN, PREDICT = 0, 1, 2
"""The role of a cell. There is no other mask in the toolkit: prompt, user channel, teacher forcing are all roles."""


@dataclass(frozen=True, eq=False)
class Dense:
    """The vectors of one continuous stream on a grid."""

    row: int
    steps: np.ndarray
    """int64[N]: the step each vector sits at."""
    values: np.ndarray
    """float32[N, D]."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Streams as a layout placed them."""

    tokens: np.ndarray
    """int64[K, S]. An absent cell holds its row's `pad`."""
    role: np.ndarray
    """int8[K, S]: ABSENT, GIVEN or PREDICT."""
    rows: tuple[str, ...]
    """K names."""
    dense: dict[str, Dense] = field(default_factory=dict)
    """Continuous stream -> where its vectors sit."""

    @property
    def steps(self) -> int:
        return self.tokens.shape[1]


@dataclass(frozen=True, eq=False)
class DenseBatch:
    """The vectors of one continuous stream over a batch: the same index arithmetic as `Dense`, with a sequence axis."""

    sequence: torch.Tensor
    row: torch.Tensor
    step: torch.Tensor
    values: torch.Tensor
    """float[N, D]; the three above are long[N]."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Grids side by side, padded to one length; or several grids one after another in a line (packed)."""

    tokens: torch.Tensor
    """long[B, K, S]"""
    role: torch.Tensor
    """int8[B, K, S]; ABSENT in padding."""
    segment: torch.Tensor
    """long[B, S]: which grid of the line a step belongs to (0, 1, ...); -1 is padding. Nothing attends across grids."""
    position: torch.Tensor
    """long[B, S]: the step within its own grid."""
    rows: tuple[str, ...]
    dense: dict[str, DenseBatch] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Batch:
        dense = {
            name: DenseBatch(d.sequence.to(device), d.row.to(device), d.step.to(device), d.values.to(device))
            for name, d in self.dense.items()
        }
        return Batch(
            self.tokens.to(device),
            self.role.to(device),
            self.segment.to(device),
            self.position.to(device),
            self.rows,
            dense,
        )


def pack(lines: Sequence[Sequence[Grid]], pads: Sequence[int], length: int | None = None) -> Batch:
    """Lines of grids -> Batch. `pads` is the pad token of each row; `length` fixes S (default: the longest line).

    Raises:
        BadInput: a line is longer than `length`, or grids have different rows.
    """
    import torch

    if not lines or not all(lines):
        raise BadInput("a batch needs at least one line, and a line at least one grid")
    rows = lines[0][0].rows
    if any(grid.rows != rows for line in lines for grid in line):
        raise BadInput(f"grids of one batch share their rows; expected {rows}, a tuple of one layout")
    longest = max(sum(grid.steps for grid in line) for line in lines)
    if length is not None and longest > length:
        raise BadInput(
            f"a line of {longest} steps does not fit the batch length of {length}; cut it or raise the length"
        )
    size = longest if length is None else length
    tokens = np.broadcast_to(np.asarray(pads, np.int64)[None, :, None], (len(lines), len(rows), size)).copy()
    role = np.zeros((len(lines), len(rows), size), np.int8)
    segment = np.full((len(lines), size), -1, np.int64)
    position = np.zeros((len(lines), size), np.int64)
    found: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for b, line in enumerate(lines):
        at = 0
        for number, grid in enumerate(line):
            span = slice(at, at + grid.steps)
            tokens[b, :, span], role[b, :, span] = grid.tokens, grid.role
            segment[b, span], position[b, span] = number, np.arange(grid.steps)
            for name, dense in grid.dense.items():
                n = len(dense.steps)
                found.setdefault(name, []).append(
                    (np.full(n, b), np.full(n, dense.row), dense.steps + at, dense.values)
                )
            at += grid.steps
    dense_batch = {
        name: DenseBatch(*(torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)))
        for name, parts in found.items()
    }
    return Batch(
        torch.from_numpy(tokens),
        torch.from_numpy(role),
        torch.from_numpy(segment),
        torch.from_numpy(position),
        rows,
        dense_batch,
    )


def collate(grids: Sequence[Grid], pads: Sequence[int]) -> Batch:
    """One grid per line, padded on the right."""
    return pack([[grid] for grid in grids], pads)
