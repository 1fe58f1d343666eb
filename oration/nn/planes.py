"""Convolutions over time and frequency, of whole recordings. Layers only; knows no speech.

Unlike elsewhere a plane is float[B, C, F, T], which is how the weights of published models want it. Every convolution
is followed by a norm over the whole plane, so that nothing is known before the end.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]
"""Of frequency and of time."""


class Plane(nn.Module):
    """A convolution of mirrored edges, then a norm over all of it; ceil(T / stride) frames."""

    def __init__(self, width: int, dim: int, kernel: Pair, *, stride: Pair = (1, 1), groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, dim, kernel, stride, groups=groups)
        self.norm = nn.GroupNorm(1, dim)
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """float[B, C, F, T] -> float[B, C', F', T']"""
        (above, below), (left, right) = (
            _sides(kernel - stride) for kernel, stride in zip(self.kernel, self.stride, strict=True)
        )
        # What the last stride lacks is put before the first, as in the release.
        left += -x.shape[3] % self.stride[1]
        return self.norm(self.conv(mirrored(x, (above, below), (left, right))))


class PlaneUpsample(nn.Module):
    """A transposed convolution that overlaps by one stride, a norm over all of it, and the overlap cut around."""

    def __init__(self, width: int, dim: int, ratio: Pair, *, groups: int = 1, more: int = 0) -> None:
        """`more`: rows at the upper end of frequency that are not cut."""
        super().__init__()
        self.conv = nn.ConvTranspose2d(width, dim, (2 * ratio[0], 2 * ratio[1]), ratio, groups=groups)
        self.norm = nn.GroupNorm(1, dim)
        (self.above, self.below), (self.left, self.right) = (_sides(r) for r in ratio)
        self.below -= more

    def forward(self, x: Tensor) -> Tensor:
        """float[B, C, F, T] -> float[B, C', F * ratio + more, T * ratio]"""
        y: Tensor = self.norm(self.conv(x))
        rows, frames = y.shape[2:]
        return y[:, :, self.above : rows - self.below, self.left : frames - self.right]


class PlaneUnit(nn.Module):
    """A residual unit: over three rows and frames, then one, beside a convolution of one."""

    def __init__(self, dim: int, kernel: int, compress: int, groups: int) -> None:
        super().__init__()
        inside = dim // compress
        narrow = max(1, min(groups // compress, inside))
        self.layers = nn.Sequential(
            nn.ELU(),
            Plane(dim, inside, (kernel, kernel), groups=narrow),
            nn.ELU(),
            Plane(inside, dim, (1, 1), groups=narrow),
        )
        self.shortcut = Plane(dim, dim, (1, 1), groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, C, F, T] -> float[B, C, F, T]"""
        y: Tensor = self.shortcut(x) + self.layers(x)
        return y


def mirrored(x: Tensor, rows: Pair, frames: Pair) -> Tensor:
    """Padded with the mirror image; what is shorter than its image is first followed by zeros."""
    low, short = max(0, max(rows) + 1 - x.shape[2]), max(0, max(frames) + 1 - x.shape[3])
    y = F.pad(F.pad(x, (0, short, 0, low)), (*frames, *rows), mode="reflect")
    return y[:, :, : y.shape[2] - low, : y.shape[3] - short]


def _sides(total: int) -> Pair:
    return total - total // 2, total // 2
