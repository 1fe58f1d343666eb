"""The residual unit of DAC's stacks: Snake, a wide convolution, Snake, one of a single frame. Layers only.

Most of its time would go to memory: a Snake is four passes over its input. So without gradients the unit is computed as
one thing, some frames at a time, that stay in a processor's cache from the first pass to the last.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.activations import Snake, sine
from oration.nn.conv import Conv, convolved
from oration.nn.pieces import Pieces, State
from oration.nn.quantize.search import Remembered

CACHE = 1 << 18
"""Numbers worked on at once on a CPU: a megabyte, the second cache of a core."""
LEAST = {True: 256, False: 2048}
"""Frames worked on at once at least, if the wide convolution is depthwise or not: its weights are sorted each time."""
FLAT = 1e-3
"""A Snake of a lower frequency than this is computed as it is written: its frequency cannot be divided by."""


class SnakeUnit(Pieces):
    """x + conv 1 (Snake (conv dilated (Snake x))). Kumar et al. 2023, arXiv:2306.06546, section 3.1."""

    def __init__(self, width: int, kernel: int = 7, *, dilation: int = 1, groups: int = 1) -> None:
        """`groups`: 1, or as many as channels."""
        super().__init__()
        self.inner = nn.ModuleList(
            (
                Snake(width),
                Conv.same(width, width, kernel, dilation=dilation, groups=groups, normed=True),
                Snake(width),
                Conv.same(width, width, 1, normed=True),
            )
        )
        self.span = (kernel - 1) * dilation
        self.left, self.right = self.span // 2, self.span - self.span // 2
        self.aligned, self.looks = False, self.right
        self._remembered = Remembered()

    @property
    def parts(self) -> tuple[Snake, Conv, Snake, Conv]:
        """The layers."""
        return cast("tuple[Snake, Conv, Snake, Conv]", tuple(self.inner))

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        return self._padded(F.pad(x, (0, 0, self.left, self.right)))

    def start(self, batch: int, like: Tensor) -> State:
        return (like.new_zeros(batch, self.left, len(self.parts[0].alpha)),)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        known = torch.cat((state[0], x), 1)
        frames = max(0, known.shape[1] - self.span)
        # A view would keep all of a long block alive until the next.
        return (self._padded(known) if frames else x[:, :0]), (known[:, frames:].clone(),)

    def flush(self, state: State) -> Tensor | None:
        y = self._padded(F.pad(state[0], (0, 0, 0, self.right))) if state[0].shape[1] > self.left else None
        return y if y is not None and y.shape[1] else None

    def _padded(self, known: Tensor) -> Tensor:
        """float[B, T + span, C] -> float[B, T, C]"""
        first, wide, second, narrow = self.parts
        frames, device = known.shape[1] - self.span, known.device.type
        plain = torch.is_grad_enabled() or torch.is_autocast_enabled(device)
        folded = None if plain else self._remembered(self._folded, *self.parameters())
        if folded is None:
            y: Tensor = narrow(second(wide._convolve(first(known))))
            return y + known[:, self.left : self.left + frames]
        size = max(LEAST[wide.depthwise], CACHE // known[:, 0].numel()) if device == "cpu" else frames
        total = known.new_empty(len(known), frames, known.shape[2])
        for at in range(0, frames, size):
            self._fast(total[:, at : at + size], known[:, at : at + size + self.span], *folded)
        return total

    def _fast(
        self, total: Tensor, known: Tensor, alpha: Tensor, kernel: Tensor, bias: Tensor, last: Tensor, shift: Tensor
    ) -> None:
        """Set float[B, T, C] `total`; in bfloat16 only convolutions are less than exact."""
        wide, exact = self.parts[1], alpha.dtype
        x = _waved(known * alpha).to(kernel.dtype)
        y = _waved(convolved(x, kernel, bias, 1, wide.dilation, wide.groups).to(exact)).to(kernel.dtype)
        torch.add(known[:, self.left : self.left + total.shape[1]], shift, out=total)
        for row, other in zip(total, y, strict=True):
            row.addmm_(other, last)

    @torch.no_grad()
    def _folded(self, *_: Tensor) -> tuple[Tensor, ...] | None:
        """The frequencies moved into the weights; None where a Snake is all but flat."""
        first, wide, second, narrow = self.parts
        dtype = wide.weight.dtype
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        one, two = first.alpha.to(exact), second.alpha.to(exact)
        if min(float(one.abs().min()), float(two.abs().min())) < FLAT:
            return None
        kernel = wide._effective().to(exact).permute(0, 2, 1) * two[:, None, None]  # [out, K, in]
        kernel = kernel / (one[:, None, None] if wide.groups > 1 else one)
        last = (narrow._effective()[:, :, 0].to(exact) / two).T
        assert wide.bias is not None and narrow.bias is not None  # noqa: PT018
        parts = (kernel, wide.bias * two, last)
        return one, *(part.to(dtype).contiguous() for part in parts), narrow.bias.detach()


def _waved(x: Tensor) -> Tensor:
    """x becomes x + sin² x."""
    y = sine(x)
    return x.addcmul_(y, y)
