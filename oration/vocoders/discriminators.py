"""Nets that tell recordings from their imitations. They are needed for training only.

Each gives, for every part of itself, a score map and the activations before it (for feature matching). Any of them go
together: HiFi-GAN has periods and scales, EnCodec spectra, DAC periods and bands of spectra.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from oration.core import BadInput

Judgement = tuple[Tensor, list[Tensor]]
"""Score of each place (high: real), any shape; and the activations of each layer."""


@dataclass(frozen=True, kw_only=True)
class MultiPeriod:
    """Looks at every p-th sample, for several p: the shape of a pitch period. Kong et al. 2020, arXiv:2010.05646, 2.3.

    The paper's are `HIFI_GAN_PERIODS`; these are for a CPU.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    channels: tuple[int, ...] = (8, 16, 32, 64)
    strides: tuple[int, ...] = (3, 3, 3, 3)
    kernel: int = 5

    def __post_init__(self) -> None:
        _layers_agree(channels=self.channels, strides=self.strides)

    @classmethod
    def tiny(cls) -> MultiPeriod:
        return cls(periods=(2, 3), channels=(4, 4), strides=(3, 3))

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
        half = config.kernel // 2
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv1d(before, after, config.kernel, stride, half))
            for (before, after), stride in zip(itertools.pairwise((1, *config.channels)), config.strides, strict=True)
        )
        self.score = weight_norm(nn.Conv1d(config.channels[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Judgement:
        seen = _activations(self.layers, x, 0.1)
        return self.score(seen[-1]), seen


@dataclass(frozen=True, kw_only=True)
class MultiScale:
    """Looks at the wave, and at it smoothed to half and to a quarter of its rate. Kong et al. 2020, 2.3.

    The one of MelGAN (Kumar et al. 2019, arXiv:1910.06711, 2.2) is `MELGAN_SCALES`.
    """

    scales: int = 3
    """Each has half the samples of the one before."""
    channels: tuple[int, ...] = (128, 128, 256, 512, 1024, 1024, 1024)
    kernels: tuple[int, ...] = (15, 41, 41, 41, 41, 41, 5)
    strides: tuple[int, ...] = (1, 2, 2, 4, 4, 1, 1)
    groups: tuple[int, ...] = (1, 4, 16, 16, 16, 16, 1)
    spectral: bool = True
    """Spectral instead of weight norm where the wave is not smoothed."""
    slope: float = 0.1
    """Of the leaky ReLU below zero."""

    def __post_init__(self) -> None:
        _layers_agree(channels=self.channels, kernels=self.kernels, strides=self.strides, groups=self.groups)

    @classmethod
    def tiny(cls) -> MultiScale:
        return cls(scales=2, channels=(4, 8), kernels=(15, 41), strides=(1, 4), groups=(1, 4))

    def build(self) -> MultiScaleModel:
        return MultiScaleModel(self)


class MultiScaleModel(nn.Module):
    """One net for each scale."""

    def __init__(self, config: MultiScale) -> None:
        super().__init__()
        self.nets = nn.ModuleList(_ScaleNet(config, config.spectral and not i) for i in range(config.scales))

    def forward(self, wave: Tensor) -> list[Judgement]:
        """float[B, T] -> one judgement for each scale."""
        found, x = [], wave[:, None]
        for i, net in enumerate(self.nets):
            x = F.avg_pool1d(x, 4, 2, 2) if i else x
            found.append(net(x))
        return found


class _ScaleNet(nn.Module):
    def __init__(self, config: MultiScale, spectral: bool) -> None:
        super().__init__()
        norm = spectral_norm if spectral else weight_norm
        shapes = zip(config.kernels, config.strides, config.groups, strict=True)
        self.slope = config.slope
        self.layers = nn.ModuleList(
            norm(nn.Conv1d(before, after, kernel, stride, kernel // 2, groups=groups))
            for (before, after), (kernel, stride, groups) in zip(
                itertools.pairwise((1, *config.channels)), shapes, strict=True
            )
        )
        self.score = norm(nn.Conv1d(config.channels[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Judgement:
        seen = _activations(self.layers, x, self.slope)
        return self.score(seen[-1]), seen


@dataclass(frozen=True, kw_only=True)
class MultiResolutionStft:
    """Looks at complex spectra of several resolutions. Défossez et al. 2022, arXiv:2210.13438, 3.4.

    The paper's, with layers that reach further in time, is `ENCODEC_SPECTRA`; this one is for a CPU.
    """

    ffts: tuple[int, ...] = (1024, 512, 256)
    """Samples of each window; the hop is a quarter."""
    channels: int = 16
    kernels: tuple[tuple[int, int], ...] = ((3, 9), (3, 5), (3, 5), (3, 5))
    """Frames and bins that a layer sees."""
    strides: tuple[int, ...] = (2, 2, 2, 2)
    """Bins from one output of a layer to the next."""
    dilations: tuple[int, ...] = (1, 1, 1, 1)
    """Frames from one that a layer sees to the next."""
    slope: float = 0.1
    """Of the leaky ReLU below zero."""
    bands: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    """Parts of the spectrum with layers of their own, as shares of half the rate."""

    def __post_init__(self) -> None:
        _layers_agree(kernels=self.kernels, strides=self.strides, dilations=self.dilations)

    @classmethod
    def tiny(cls) -> MultiResolutionStft:
        return cls(ffts=(128,), channels=4, kernels=((3, 9), (3, 5)), strides=(2, 2), dilations=(1, 1))

    def build(self) -> MultiResolutionStftModel:
        return MultiResolutionStftModel(self)


@dataclass(frozen=True, kw_only=True)
class MultiBandStft(MultiResolutionStft):
    """Looks at each band of complex spectra apart, at several resolutions. Kumar et al. 2023, arXiv:2306.06546, 3.3."""

    ffts: tuple[int, ...] = (2048, 1024, 512)
    channels: int = 32
    kernels: tuple[tuple[int, int], ...] = ((3, 9), (3, 9), (3, 9), (3, 9), (3, 3))
    strides: tuple[int, ...] = (1, 2, 2, 2, 1)
    dilations: tuple[int, ...] = (1, 1, 1, 1, 1)
    bands: tuple[tuple[float, float], ...] = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))

    @classmethod
    def tiny(cls) -> MultiBandStft:
        return cls(
            ffts=(128,), channels=4, kernels=((3, 9), (3, 3)), strides=(2, 1), dilations=(1, 1),
            bands=((0.0, 0.25), (0.25, 1.0)),
        )  # fmt: skip


class MultiResolutionStftModel(nn.Module):
    """One net for each resolution."""

    def __init__(self, config: MultiResolutionStft) -> None:
        super().__init__()
        self.nets = nn.ModuleList(_StftNet(config, fft) for fft in config.ffts)

    def forward(self, wave: Tensor) -> list[Judgement]:
        """float[B, T] -> one judgement for each resolution."""
        return [net(wave) for net in self.nets]


class _StftNet(nn.Module):
    def __init__(self, config: MultiResolutionStft, fft: int) -> None:
        super().__init__()
        self.fft, self.slope = fft, config.slope
        bins = fft // 2 + 1
        self.bands = [(int(low * bins), int(high * bins)) for low, high in config.bands]
        self.window: Tensor
        # unit energy, so that every resolution sees values of the same order
        self.register_buffer("window", torch.hann_window(fft) / (0.375 * fft) ** 0.5, persistent=False)
        self.stacks = nn.ModuleList(nn.ModuleList(_stft_layers(config)) for _ in self.bands)
        self.score = weight_norm(nn.Conv2d(config.channels, 1, 3, padding=1))

    def spectrum(self, wave: Tensor) -> Tensor:
        """float[B, T] -> float[B, 2, frames, bins]: real and imaginary part, float32."""
        with torch.autocast(wave.device.type, enabled=False):
            wave = F.pad(wave.float(), (self.fft // 2, self.fft // 2))
            spectrum = torch.fft.rfft(wave.unfold(1, self.fft, self.fft // 4) * self.window)
            return torch.view_as_real(spectrum).permute(0, 3, 1, 2)

    def forward(self, wave: Tensor) -> Judgement:
        spectrum, seen, last = self.spectrum(wave), list[Tensor](), list[Tensor]()
        for (low, high), layers in zip(self.bands, self.stacks, strict=True):
            # channels last in memory, as the spectrum already is: what convolutions of two axes are fastest with
            band = spectrum[..., low:high].contiguous(memory_format=torch.channels_last)
            found = _activations(cast(nn.ModuleList, layers), band, self.slope)
            seen += found
            last.append(found[-1])
        return self.score(torch.cat(last, -1) if len(last) > 1 else last[0]), seen


def _stft_layers(config: MultiResolutionStft) -> list[nn.Module]:
    layers: list[nn.Module] = []
    shapes = zip(config.kernels, config.strides, config.dilations, strict=True)
    for i, ((frames, bins), stride, dilation) in enumerate(shapes):
        padding = (dilation * (frames // 2), bins // 2)
        before = config.channels if i else 2
        layers.append(
            weight_norm(
                nn.Conv2d(before, config.channels, (frames, bins), (1, stride), padding, dilation=(dilation, 1))
            )
        )
    return layers


def _activations(layers: Iterable[nn.Module], x: Tensor, slope: float) -> list[Tensor]:
    """What each layer gives, one after another."""
    seen = []
    for layer in layers:
        x = F.leaky_relu(layer(x), slope)
        seen.append(x)
    return seen


def _layers_agree(**numbers: tuple[Any, ...]) -> None:
    """Raise BadInput where a net has more of one number than of another."""
    if len({len(each) for each in numbers.values()}) > 1:
        raise BadInput(
            f"a discriminator needs one of each number for each layer, but has {numbers}; make them equally long"
        )


HIFI_GAN_PERIODS = MultiPeriod(channels=(32, 128, 512, 1024, 1024), strides=(3, 3, 3, 3, 1))
"""Of HiFi-GAN, arXiv:2010.05646, and of DAC, arXiv:2306.06546."""
HIFI_GAN_SCALES = MultiScale()
MELGAN_SCALES = MultiScale(
    channels=(16, 64, 256, 1024, 1024, 1024),
    kernels=(15, 41, 41, 41, 41, 5),
    strides=(1, 4, 4, 4, 4, 1),
    groups=(1, 4, 16, 64, 256, 1),
    spectral=False,
    slope=0.2,
)
"""Kumar et al. 2019, arXiv:1910.06711, appendix A."""
ENCODEC_SPECTRA = MultiResolutionStft(
    ffts=(2048, 1024, 512, 256, 128),
    channels=32,
    kernels=((3, 9), (3, 9), (3, 9), (3, 9), (3, 3)),
    strides=(1, 2, 2, 2, 1),
    dilations=(1, 1, 2, 4, 1),
    slope=0.2,
)
"""Défossez et al. 2022, arXiv:2210.13438, section 3.4 and figure 2."""
DAC_BANDS = MultiBandStft()
