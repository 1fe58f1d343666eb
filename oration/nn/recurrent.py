"""Recurrent layers over time that run whole, or in pieces of any cutting. Layers only; knows no speech."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oration.nn.pieces import Pieces, State


class Lstm(Pieces):
    """An LSTM (Hochreiter & Schmidhuber 1997), its input added to what it gives.

    Both ways, the last frame counts for the first: everything is held, and comes at `flush`.
    """

    def __init__(self, dim: int, layers: int = 1, *, skip: bool = True, both_ways: bool = False) -> None:
        """`both_ways`: another LSTM reads backwards, and 2 * dim come out; the input is added to each half."""
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, layers, batch_first=True, bidirectional=both_ways)
        self.skip, self.both_ways = skip, both_ways
        self.dim = dim * (1 + both_ways)
        self.aligned = not both_ways

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C], or float[B, T, 2 * C] both ways"""
        return self._run(x, None)[0]

    def start(self, batch: int, like: Tensor) -> State:
        if self.both_ways:
            return ((),)
        zeros = like.new_zeros(batch, self.lstm.num_layers, self.lstm.hidden_size)
        return zeros, zeros

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.both_ways:
            return x.new_zeros(len(x), 0, self.dim), ((*state[0], x),)
        if not x.shape[1]:
            return x, state
        # A state begins with the batch; torch wants the layers first.
        y, (hidden, cell) = self._run(x, tuple(part.transpose(0, 1).contiguous() for part in state))
        return y, (hidden.transpose(0, 1), cell.transpose(0, 1))

    def flush(self, state: State) -> Tensor | None:
        held = torch.cat(state[0], 1) if self.both_ways and state[0] else None
        return None if held is None or not held.shape[1] else self(held)

    def _run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, after = self.lstm(x, state)
        if self.skip:
            y = y + (torch.cat((x, x), 2) if self.both_ways else x)
        return y, after
