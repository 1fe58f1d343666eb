"""Activations between an upsampling and a downsampling, so that the overtones they add do not fold back. Layers only.

Karras et al. 2021, arXiv:2106.12423, section 3; in time, with a Kaiser-windowed sinc of 12 taps, as BigVGAN has it
(Lee et al. 2023, arXiv:2206.04658, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from oration.nn.pieces import Chain, Pieces, State

TAPS = 12
WIDTH = 0.3
"""Half of the transition band, in cycles a sample at twice the rate."""


def lowpass() -> list[float]:
    """The filter that halves a band, of sum 1. The window is as Kaiser's rule has it for `WIDTH`."""
    ripple = 2.285 * (TAPS // 2 - 1) * math.pi * 4 * WIDTH + 7.95  # dB
    taps = np.kaiser(TAPS, 0.1102 * (ripple - 8.7)) * np.sinc((np.arange(TAPS) - (TAPS - 1) / 2) / 2)
    found: list[float] = (taps / taps.sum()).tolist()
    return found


class Filter(Pieces):
    """The same fixed filters over time for all channels; beyond both ends the first and the last frame go on."""

    def __init__(self, filters: Sequence[Sequence[float]], stride: int, left: int, right: int) -> None:
        """`filters`: P of K taps, each of which gives one of P frames for every `stride` frames."""
        super().__init__()
        self.filters = filters
        self.stride, self.left, self.right = stride, left, right
        self.up, self.down, self.aligned = len(filters), stride, False

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T * P / stride, C]"""
        return self._filtered(self._ended(self._begun(x))) if x.shape[1] else x

    def start(self, batch: int, like: Tensor) -> State:
        return None

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not x.shape[1]:
            return x, state
        known = self._begun(x) if state is None else torch.cat((state, x), 1)
        return self._filtered(known), known[:, self._frames(known) * self.stride :].clone()

    def flush(self, state: State) -> Tensor | None:
        return None if state is None else self._filtered(self._ended(state))

    def _begun(self, x: Tensor) -> Tensor:
        return torch.cat((x[:, :1].expand(-1, self.left, -1), x), 1)

    def _ended(self, x: Tensor) -> Tensor:
        return torch.cat((x, x[:, -1:].expand(-1, self.right, -1)), 1)

    def _frames(self, known: Tensor) -> int:
        return max(0, (known.shape[1] - len(self.filters[0])) // self.stride + 1)

    def _filtered(self, known: Tensor) -> Tensor:
        frames = self._frames(known)
        if not frames:
            return known[:, :0]
        reach = (frames - 1) * self.stride + 1
        phases = []
        for taps in self.filters:
            used = [(at, tap) for at, tap in enumerate(taps) if tap]
            (first, scale), *rest = used
            y = known[:, first : first + reach : self.stride] * scale
            for at, tap in rest:
                y = y.add_(known[:, at : at + reach : self.stride], alpha=tap)
            phases.append(y)
        return phases[0] if len(phases) == 1 else torch.stack(phases, 2).flatten(1, 2)


class AntiAliased(Chain):
    """`activation`, frame by frame, at twice the rate."""

    def __init__(self, activation: nn.Module) -> None:
        taps = lowpass()
        twice = [2 * tap for tap in taps]
        # Frame t is heard at 2t through the odd taps, at 2t + 1 through the even ones, of the frames around it.
        up = Filter(([*twice[::-2], 0.0], [0.0, *twice[-2::-2]]), 1, 3, 3)
        super().__init__(up, activation, Filter((taps,), 2, TAPS // 2 - 1, TAPS // 2))
