"""Recurrent layers over time that run whole, or in pieces of any cutting. Layers only; knows no speech."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from ctypes import c_int64, c_void_p
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.compiled import compiled
from oration.nn.linear import matrix
from oration.nn.native import PANEL, NativeLinear, status
from oration.nn.pieces import Pieces, State
from oration.nn.quantize.search import Remembered
from oration.nn.spool import Spool, tidy

SOURCE = Path(__file__).parent / "c" / "lstm.c"
HELD = 1 << 20
"""Numbers that a layer both ways holds in memory; what is longer goes to a temporary file (4 MB in float32)."""
THREADS = 2
"""Threads up to which the steps in C, by one of them, are not slower than torch's by all."""


@functools.cache
def steps() -> Any:
    """`oration_lstm`, compiled when it is first asked for; None where there is no compiler."""
    library = compiled(SOURCE).library if status().library is not None else None
    if library is None:
        return None
    library.oration_lstm.argtypes = (*([c_void_p] * 5), *([c_int64] * 4))
    return library.oration_lstm


class Lstm(Pieces):
    """An LSTM (Hochreiter & Schmidhuber 1997), its input added to what it gives.

    Both ways, the last frame counts for the first: everything is held, and comes at the end. A long recording is held
    in a temporary file, and so is what a layer makes of it, forwards and backwards: memory does not grow with it.
    """

    def __init__(self, dim: int, layers: int = 1, *, skip: bool = True, both_ways: bool = False) -> None:
        """`both_ways`: another LSTM reads backwards, and 2 * dim come out; the input is added to each half."""
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, layers, batch_first=True, bidirectional=both_ways)
        self.skip, self.both_ways = skip, both_ways
        self.dim = dim * (1 + both_ways)
        self.aligned = not both_ways
        self._laid = [Remembered() for _ in range(layers * (1 + both_ways))]

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
            return x.new_zeros(len(x), 0, self.dim), self._hold(x, state)
        if not x.shape[1]:
            return x, state
        # A state begins with the batch; torch wants the layers first.
        y, (hidden, cell) = self._run(x, tuple(part.transpose(0, 1).contiguous() for part in state))
        return y, (hidden.transpose(0, 1), cell.transpose(0, 1))

    def flush(self, state: State) -> Tensor | None:
        found = [*self.rest(state)]
        return torch.cat(found, 1) if found else None

    def rest(self, state: State) -> Iterator[Tensor]:
        if isinstance(state[0], Spool):
            yield from self._both_ways(*state)
        elif self.both_ways and any(part.shape[1] for part in state[0]):
            yield self(torch.cat(state[0], 1))

    def _run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self._in_c(x) and x.shape[1]:
            y, after = self._layers(x, state)
        else:
            y, after = self.lstm(x, state)
        if self.skip:
            y = y + (torch.cat((x, x), 2) if self.both_ways else x)
        return y, after

    def _layers(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """As `nn.LSTM`, a layer after another and each way for itself."""
        after = []
        for layer in range(self.lstm.num_layers):
            ways = []
            for back in range(1 + self.both_ways):
                at = layer * (1 + self.both_ways) + back
                y, last = self._way(at, x, None if state is None else (state[0][at], state[1][at]))
                ways.append(y)
                after.append(last)
            x = torch.cat(ways, 2) if self.both_ways else ways[0]
        hidden, cell = zip(*after, strict=True)
        return x, (torch.stack(hidden), torch.stack(cell))

    # ---- one layer, one way ----

    def _in_c(self, x: Tensor) -> bool:
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16):
            return False
        return 4 * self.lstm.hidden_size % PANEL == 0 and torch.get_num_threads() <= THREADS and steps() is not None

    def _way(self, at: int, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Layer `at` (every other one backwards, both ways) on float[B, T, C] after a state float[B, C] each, or none.

        Backwards, the state is that after the frame that follows the last.
        """
        weights, back = self.lstm.all_weights[at], self.both_ways and at % 2 == 1
        hidden, cell = (x.new_zeros(2, len(x), self.lstm.hidden_size)) if state is None else state
        if not self._in_c(x):
            given = x.flip(1) if back else x
            before = (hidden[None], cell[None])
            y, hidden, cell = torch.lstm(given, before, list[Tensor](weights), True, 1, 0.0, False, False, True)
            return (y.flip(1) if back else y), (hidden[0], cell[0])
        recurrent, bias = self._laid[at](_laid, *weights[1:])
        gates = F.linear(x, weights[0], bias).float().contiguous()
        # They are written over.
        h, c = (part.to(torch.float32, copy=True).contiguous() for part in (hidden, cell))
        y = torch.empty(*x.shape[:2], self.lstm.hidden_size)
        told = ctypes.addressof(recurrent.told), *(part.data_ptr() for part in (gates, h, c, y))
        if steps()(*told, len(x), x.shape[1], y.shape[2], int(back)):
            raise MemoryError("there is no memory for the steps of an LSTM")
        return y.to(x.dtype), (h.to(x.dtype), c.to(x.dtype))

    # ---- more than memory holds ----

    def _hold(self, x: Tensor, state: State) -> State:
        """Both ways: what was pushed, in memory, or in a spool beside how many frames it has.

        The spool is written to behind the frames that a state knows of, which is therefore still good afterwards.
        """
        if isinstance(state[0], Spool):
            spool, known = state
            spool.put(known, x)
            return spool, known + x.shape[1]
        parts = (*state[0], x)
        if x.requires_grad or sum(part.numel() for part in parts) <= HELD:
            return (parts,)
        after: State = (Spool(x), 0)
        for part in parts:
            after = self._hold(part, after)
        return after

    def _both_ways(self, held: Spool, frames: int) -> Iterator[Tensor]:
        tidy()
        given, top = [held], 2 * self.lstm.num_layers - 2
        for layer in range(0, top, 2):
            given = [self._passed(layer + back, given, frames) for back in range(2)]
        behind, state = self._passed(top + 1, given, frames), None
        tidy()
        for at, stop in _cut(held, frames):
            y, state = self._way(top, _got(given, at, stop), state)
            y = torch.cat((y, behind.get(at, stop)), 2)
            yield y + _got([held, held], at, stop) if self.skip else y

    def _passed(self, way: int, given: list[Spool], frames: int) -> Spool:
        """What a layer one way makes of all frames."""
        spool, state, cuts = None, None, _cut(given[0], frames)
        for at, stop in reversed(cuts) if way % 2 else cuts:
            y, state = self._way(way, _got(given, at, stop), state)
            spool = spool or Spool(y)
            spool.put(at, y)
        assert spool is not None
        return spool


def _laid(recurrent: Tensor, *biases: Tensor) -> tuple[NativeLinear, Tensor]:
    """The recurrent weight as C wants it, and the sum of the biases."""
    return NativeLinear(matrix(recurrent), "bf16" if recurrent.dtype == torch.bfloat16 else "fp32"), sum(biases)  # type: ignore[return-value]


def _cut(spool: Spool, frames: int) -> list[tuple[int, int]]:
    """Stretches that fit memory."""
    step = max(1, HELD // (spool.batch * spool.width))
    return [(at, min(frames, at + step)) for at in range(0, frames, step)]


def _got(spools: list[Spool], at: int, stop: int) -> Tensor:
    return torch.cat([spool.get(at, stop) for spool in spools], 2)
