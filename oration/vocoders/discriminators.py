"""Nets that tell recordings from their imitations. They are needed for training only.

Each gives, for every part of itself, a score map and the activations before it (for feature matching).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

Judgement = tuple[Tensor, list[Tensor]]
"""Score of each place (high: real), any shape; and the activations of each layer."""


@dataclass(frozen=True, kw_only=True)
class MultiPeriod:
    """Looks at every p-th sample, for several p: the shape of a pitch period. Kong et al. 2020, arXiv:2010.05646, 2.3.

    The paper's channels are (32, 128, 512, 1024, 1024); these are for a CPU.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    channels: tuple[int, ...] = (8, 16, 32, 64)
    kernel: int = 5
    stride: int = 3

    @classmethod
    def tiny(cls) -> MultiPeriod:
        return cls(periods=(2, 3), channels=(4, 4))

    def build(self) -> MultiPeriodModel:
        return MultiPeriodModel(self)


class MultiPeriodModel(nn.Module):
    """One net for each period."""

    def __init__(self, config: MultiPeriod) -> None:
        super().__init__()
        self.periods = config.periods
        self.nets = nn.ModuleList(_PeriodNet(config) for _ in config.periods)

    def forward(self, wave: Tensor) -> list[Judgement]:
        """float[B, T] -> one judgement for each period."""
        found = []
        for period, net in zip(self.periods, self.nets, strict=True):
            whole = F.pad(wave, (0, -wave.shape[1] % period))
            # every phase of the period is a signal of its own
            phases = whole.unflatten(1, (-1, period)).transpose(1, 2).flatten(0, 1)
            found.append(net(phases[:, None]))
        return found


class _PeriodNet(nn.Module):
    def __init__(self, config: MultiPeriod) -> None:
        super().__init__()
        sizes = (1, *config.channels)
        half = config.kernel // 2
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv1d(before, after, config.kernel, config.stride, half))
            for before, after in itertools.pairwise(sizes)
        )
        self.score = weight_norm(nn.Conv1d(sizes[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Judgement:
        seen = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            seen.append(x)
        return self.score(x), seen


@dataclass(frozen=True, kw_only=True)
class MultiResolutionStft:
    """Looks at complex spectra of several resolutions. Défossez et al. 2022, arXiv:2210.13438, 3.4."""

    ffts: tuple[int, ...] = (1024, 512, 256)
    """Samples of each window; the hop is a quarter."""
    channels: int = 16
    layers: int = 4

    @classmethod
    def tiny(cls) -> MultiResolutionStft:
        return cls(ffts=(128,), channels=4, layers=2)

    def build(self) -> MultiResolutionStftModel:
        return MultiResolutionStftModel(self)


class MultiResolutionStftModel(nn.Module):
    """One net for each resolution."""

    def __init__(self, config: MultiResolutionStft) -> None:
        super().__init__()
        self.nets = nn.ModuleList(_StftNet(fft, config.channels, config.layers) for fft in config.ffts)

    def forward(self, wave: Tensor) -> list[Judgement]:
        """float[B, T] -> one judgement for each resolution."""
        return [net(wave) for net in self.nets]


class _StftNet(nn.Module):
    def __init__(self, fft: int, channels: int, layers: int) -> None:
        super().__init__()
        self.fft = fft
        self.window: Tensor
        # unit energy, so that every resolution sees values of the same order
        self.register_buffer("window", torch.hann_window(fft) / (0.375 * fft) ** 0.5, persistent=False)
        first = weight_norm(nn.Conv2d(2, channels, (3, 9), (1, 2), (1, 4)))
        rest = (weight_norm(nn.Conv2d(channels, channels, (3, 5), (1, 2), (1, 2))) for _ in range(layers - 1))
        self.layers = nn.ModuleList((first, *rest))
        self.score = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, wave: Tensor) -> Judgement:
        with torch.autocast(wave.device.type, enabled=False):
            hop = self.fft // 4
            wave = F.pad(wave.float(), (self.fft // 2, self.fft // 2))
            spectrum = torch.fft.rfft(wave.unfold(1, self.fft, hop) * self.window)
            x = torch.view_as_real(spectrum).permute(0, 3, 1, 2)
        seen = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            seen.append(x)
        return self.score(x), seen
