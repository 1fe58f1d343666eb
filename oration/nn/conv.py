"""Convolutions over time, up and down, that run whole or in pieces. Layers only; knows no speech.

Channels-last, float[B, T, C]. The weights have torch's shapes and, with `normed`, torch's weight norm, so that those of
published models fit. Several ways to compute one convolution, chosen by shape, because each is slow for another: a
matrix product over windows for the few frames of a live push, one without windows for single frames, a sum of scaled
copies for depthwise filters that are trained, and for the rest the library's kernel over channels-last memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.convnext import taps
from oration.nn.linear import matrix
from oration.nn.pieces import Pieces, State

Padding = Literal["zeros", "reflect", "replicate"]
FEW = 96
"""Output frames of a whole batch up to which windows are multiplied."""
HEAVY, STILL_FEW = 2**21, 512
"""So large a weight is multiplied by windows up to more frames: the library's kernel sorts its numbers each time."""
NARROW = 32
"""Channels times taps of an output up to which the taps are multiplied apart: the last layer before the sound."""
LARGE = 2**19
"""Numbers of a weight from which on, for few frames, reading it is what takes the time."""


class Weighted(Pieces):
    """A weight in torch's shape and a bias, the weight perhaps as direction and length (Salimans & Kingma 2016)."""

    groups: int

    def __init__(self, shape: tuple[int, int, int], dim: int, fan: int, *, bias: bool, normed: bool) -> None:
        super().__init__()
        bound = fan**-0.5
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(dim).uniform_(-bound, bound)) if bias else None
        drawn = self.weight.detach()
        # On the meta device a norm would load a compiler for nothing.
        length = drawn[:, :1, :1].clone() if drawn.is_meta else drawn.norm(dim=(1, 2), keepdim=True)
        self.gain = nn.Parameter(length) if normed else None
        self._ready: tuple[tuple[int, ...], Tensor] | None = None
        self._few: nn.Module | None = None

    def lay_out(self, made: Callable[[nn.Linear], nn.Module]) -> None:
        """For computing alone: few frames are multiplied by what is `made` of a large weight, in a faster layout."""
        with torch.no_grad():
            kernel = self.kernel()
            if self.groups == 1 and kernel.numel() >= LARGE:
                self._few = made(matrix(kernel.flatten(1), self._shift()))
                self._ready = None

    def _shift(self) -> Tensor | None:
        """The bias of what the kernel gives."""
        return self.bias

    def train(self, mode: bool = True) -> Self:
        """As of any module; the kernel is made anew, whatever an optimizer did to the weight."""
        self._ready = None
        return super().train(mode)

    def kernel(self) -> Tensor:
        """The weight as it counts, in the order that computing wants; remembered where no gradient is asked for."""
        if torch.is_grad_enabled() or self.weight.is_inference():
            return self._arranged(self._effective())
        parts = [self.weight] if self.gain is None else [self.weight, self.gain]
        mark = tuple(number for p in parts for number in (p.data_ptr(), p._version))
        if self._ready is None or self._ready[0] != mark or self._ready[1].device != self.weight.device:
            self._ready = mark, self._folded()
        return self._ready[1]

    def _folded(self) -> Tensor:
        """What is remembered, made without another copy of a large weight beside it."""
        weight = self._arranged(self.weight.detach())
        if self.gain is None:
            return weight.contiguous()
        length = self._arranged(self._length().detach().expand_as(self.weight))
        return torch.mul(weight, length, out=torch.empty_like(weight, memory_format=torch.contiguous_format))

    def _effective(self) -> Tensor:
        if self.gain is None:
            return self.weight
        return self.weight * self._length()

    def _length(self) -> Tensor:
        """What the weight is multiplied by."""
        assert self.gain is not None
        return self.gain / self.weight.norm(dim=(1, 2), keepdim=True)

    def _arranged(self, weight: Tensor) -> Tensor:
        raise NotImplementedError


class Conv(Weighted):
    """A strided, dilated, grouped convolution over what is padded by `left` frames before and `right` after.

    The default is causal: all padding before, so that ceil(T / stride) frames come out, each as soon as its stride is
    there (`whole` pads the end for that; without it the last incomplete stride is dropped).
    """

    def __init__(
        self,
        width: int,
        dim: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        left: int | None = None,
        right: int = 0,
        whole: bool = True,
        padding: Padding = "zeros",
        bias: bool = True,
        normed: bool = False,
    ) -> None:
        """`left`: None is as many as a causal convolution of this stride needs."""
        super().__init__((dim, width // groups, kernel), dim, width // groups * kernel, bias=bias, normed=normed)
        self.size, self.stride, self.dilation, self.groups = kernel, stride, dilation, groups
        self.span = (kernel - 1) * dilation + 1
        self.left = self.span - stride if left is None else left
        self.right, self.whole, self.padding = right, whole, padding
        self.depthwise = groups == width == dim and stride == 1 and groups > 1
        self.down, self.looks = stride, max(0, self.span - self.left - stride)
        # Mirrored frames before the first are those that follow it: nothing can be said until they are there.
        # More before than that, and an output needs only the first frames of its stride.
        before = self.left == self.span - stride or (self.span - stride < self.left < self.span and not whole)
        self.aligned = before and right == 0 and (padding != "reflect" or self.left == 0)

    @classmethod
    def same(
        cls, width: int, dim: int, kernel: int, *, dilation: int = 1, groups: int = 1, normed: bool = False
    ) -> Conv:
        """As many frames ahead as back, zeros around: what torch calls `padding="same"`."""
        span = (kernel - 1) * dilation
        left, right = span // 2, span - span // 2
        return cls(width, dim, kernel, dilation=dilation, groups=groups, normed=normed, left=left, right=right)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T', C']"""
        return self._convolve(self._pad(x, self.left, self.right + self._extra(x.shape[1] + self.left)))

    def start(self, batch: int, like: Tensor) -> State:
        if self.padding == "zeros":
            return (like.new_zeros(batch, self.left, self._width),)
        if self.padding == "replicate":
            fresh = torch.ones(batch, dtype=torch.bool, device=like.device)
            return like.new_zeros(batch, self.left, self._width), fresh
        return like.new_zeros(batch, 0, self._width), False, like.new_zeros(batch, 0, self._width)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.padding == "zeros":
            known, kept = self._consume(self._after(state[0], x))
            return known, (kept,)
        if not x.shape[1]:
            return self._nothing(x), state
        if self.padding == "replicate":
            kept, fresh = state
            first = torch.where(fresh[:, None, None], x[:, :1], kept[:, :1]) if self.left else kept
            past = torch.where(fresh[:, None, None], first, kept) if self.left else kept
            y, kept = self._consume(self._after(past, x))
            return y, (kept, torch.zeros_like(fresh))
        return self._push_mirrored(x, state)

    def flush(self, state: State) -> Tensor | None:
        if self.padding == "reflect" and not state[1]:
            held = state[0]
            return self(held) if held.shape[1] else None
        known = state[0]
        if self.padding == "replicate" and bool(state[1].any()):
            return None
        end = self.right + self._extra(known.shape[1])
        if self.padding != "reflect":
            known = self._pad(known, 0, end)
        elif end:
            known = torch.cat((known, self._pad(state[2], 0, end)[:, state[2].shape[1] :]), 1)
        y = self._convolve(known)
        return y if y.shape[1] else None

    @property
    def _width(self) -> int:
        return self.weight.shape[1] * self.groups

    def _nothing(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], 0, self.weight.shape[0])

    @staticmethod
    def _after(kept: Tensor, x: Tensor) -> Tensor:
        return torch.cat((kept, x), 1) if kept.shape[1] else x

    def _push_mirrored(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Held until the padding before the start is known; the last frames are kept for the padding after the end."""
        held, begun, tail = state
        reach = self.right + (self.stride - 1 if self.whole else 0)
        x = self._after(held, x)
        if not begun and x.shape[1] <= max(self.left, reach):
            return self._nothing(x), (x, False, tail)
        fresh = x[:, held.shape[1] :] if begun else x
        tail = torch.cat((tail, fresh), 1)[:, -(reach + 1) :]
        y, kept = self._consume(x if begun else self._pad(x, self.left, 0))
        return y, (kept, True, tail)

    def _extra(self, known: int) -> int:
        """How many frames the end lacks for the last stride to count."""
        return -(known + self.right - self.span) % self.stride if self.whole else 0

    def _pad(self, x: Tensor, left: int, right: int) -> Tensor:
        if not left and not right:
            return x
        if self.padding == "zeros":
            return F.pad(x, (0, 0, left, right))
        if self.padding == "replicate":
            before, after = x[:, :1].expand(-1, left, -1), x[:, -1:].expand(-1, right, -1)
            return torch.cat((before, x, after), 1)
        # A recording shorter than its mirror image is first followed by silence, as EnCodec has it.
        short = max(0, max(left, right) + 1 - x.shape[1])
        x = F.pad(x, (0, 0, 0, short)) if short else x
        last = x.shape[1] - 1
        x = torch.cat((x[:, 1 : left + 1].flip(1), x, x[:, last - right : last].flip(1)), 1)
        return x[:, : x.shape[1] - short]

    def _consume(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs that are complete, and the frames still needed."""
        frames = max(0, (known.shape[1] - self.span) // self.stride + 1)
        kept = known[:, frames * self.stride :]
        # A view would keep all of a long block alive until the next.
        return self._convolve(known), kept.clone() if known.shape[1] > 4 * kept.shape[1] else kept

    def _arranged(self, weight: Tensor) -> Tensor:
        return weight[:, 0].T if self.depthwise else weight.permute(0, 2, 1)  # [K, C], else [out, K, in]

    def _convolve(self, known: Tensor) -> Tensor:
        """float[B, T, C], padded -> float[B, (T - span) // stride + 1, C']"""
        frames = (known.shape[1] - self.span) // self.stride + 1
        if frames <= 0:
            return self._nothing(known)
        if self._few is not None and known.shape[0] * frames <= FEW:
            return self._few(_view(known, frames, self.size, self.stride, self.dilation, known.shape[2]).flatten(2))
        kernel = self.kernel()
        if self.depthwise and (torch.is_grad_enabled() or known.shape[0] * frames <= FEW):
            y = taps(known, kernel.to(known.dtype), self.dilation)
            return y if self.bias is None else y + self.bias.to(y.dtype)
        if self.depthwise:
            kernel = kernel.T[:, :, None]
        return convolved(known, kernel, self.bias, self.stride, self.dilation, self.groups)


def convolved(
    known: Tensor, kernel: Tensor, bias: Tensor | None, stride: int = 1, dilation: int = 1, groups: int = 1
) -> Tensor:
    """float[B, T, C] under float[C', K, C / groups] -> float[B, (T - span) // stride + 1, C'], nothing padded."""
    dim, size, width = kernel.shape
    frames = (known.shape[1] - (size - 1) * dilation - 1) // stride + 1
    if size == 1 and stride == 1 and groups == 1:
        return F.linear(known, kernel[:, 0], bias)
    rows = known.shape[0] * frames
    if groups == 1 and (
        rows <= FEW or (rows <= STILL_FEW and kernel.numel() >= HEAVY and not known.is_cuda and not known.requires_grad)
    ):
        # One matrix, not one for each of the batch.
        windows = _view(known, frames, size, stride, dilation, width).reshape(rows, size * width)
        return F.linear(windows, kernel.flatten(1), bias).unflatten(0, (known.shape[0], frames))
    if groups == 1 and dim * size <= NARROW and not torch.is_grad_enabled():
        # The products of every frame with every tap, then the sum of those that meet: a diagonal.
        y = F.linear(known, kernel.flatten(0, 1)).unflatten(2, (dim, size)).transpose(2, 3).contiguous()
        y = _view(y.flatten(2), frames, size, stride, dilation, dim, diagonal=True).sum(2)
        return y if bias is None else y + bias
    # A view of channels-last memory as an image of one row: nothing is moved.
    image = known.transpose(1, 2)[:, :, None]
    flat = kernel.permute(0, 2, 1)[:, :, None]
    y = F.conv2d(image, flat, bias, (1, stride), 0, (1, dilation), groups)
    return y[:, :, 0].transpose(1, 2)


def _view(
    x: Tensor, frames: int, size: int, stride: int, dilation: int, width: int, *, diagonal: bool = False
) -> Tensor:
    """float[B, T, C] -> float[B, frames, size, width]: windows; or of each tap its own `width` of the C channels."""
    x = x.contiguous()
    batch, step, _ = x.stride()
    tap = dilation * step + (width if diagonal else 0)
    return x.as_strided((len(x), frames, size, width), (batch, stride * step, tap, 1))


class Upsample(Weighted):
    """A transposed convolution: `stride` frames for each, overlapping neighbours added, cut `left` and `right`.

    Computed as a convolution over the frames that overlap, which gives a whole stride at once: nothing is added up
    afterwards, and it is faster than the library's kernel. The default is causal: the overlap is cut at the end.
    """

    def __init__(
        self,
        width: int,
        dim: int,
        kernel: int,
        *,
        stride: int,
        groups: int = 1,
        left: int = 0,
        right: int | None = None,
        bias: bool = True,
        normed: bool = False,
    ) -> None:
        """`right`: None is what causes T * stride frames; less than nothing is not there to be cut."""
        super().__init__((width, dim // groups, kernel), dim, width // groups * kernel, bias=bias, normed=normed)
        self.size, self.stride, self.groups, self.dim = kernel, stride, groups, dim
        self.overlap = kernel - stride
        self.reach = -(-kernel // stride) - 1
        self.parts = -(-kernel // stride)
        self.left = left
        self.right = self.overlap - left if right is None else right
        self.up, self.looks = stride, left / stride
        self.aligned = left == 0 and self.right == self.overlap

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T * stride + overlap - left - right, C']"""
        if self.aligned:
            return self._spread(F.pad(x, (0, 0, self.reach, 0)))
        y = self._spread(F.pad(x, (0, 0, self.reach, self.reach)))
        return y[:, self.left : x.shape[1] * self.stride + self.overlap - max(0, self.right)]

    def start(self, batch: int, like: Tensor) -> State:
        before = like.new_zeros(batch, self.reach, len(self.weight))
        return (before,) if self.aligned else (before, self.left, False)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not x.shape[1]:
            return x.new_zeros(x.shape[0], 0, self.dim), state
        known = torch.cat((state[0], x), 1) if self.reach else x
        y, kept = self._spread(known), known[:, x.shape[1] :].clone()
        if self.aligned:
            return y, (kept,)
        skip = state[1]
        return y[:, skip:], (kept, max(0, skip - x.shape[1] * self.stride), True)

    def flush(self, state: State) -> Tensor | None:
        if self.aligned or not state[2] or not self.reach:
            return None
        y = self._spread(F.pad(state[0], (0, 0, 0, self.reach)))
        y = y[:, state[1] : self.overlap - max(0, self.right)]
        return y if y.shape[1] else None

    def _arranged(self, weight: Tensor) -> Tensor:
        """[stride * out, parts, in]: a convolution that gives a whole stride at once; else as it is."""
        if self.groups == 1:
            weight = F.pad(weight, (0, (self.reach + 1) * self.stride - self.size))
            return weight.unflatten(2, (-1, self.stride)).flip(2).permute(3, 1, 2, 0).flatten(0, 1)
        return weight[:, 0].T if self.groups == self.dim == len(weight) else weight

    def _shift(self) -> Tensor | None:
        return None if self.bias is None else self.bias.repeat(self.stride)

    def _spread(self, known: Tensor) -> Tensor:
        """The strides of all frames of float[B, reach + T, C] but the first `reach` -> float[B, T * stride, C']"""
        frames = known.shape[1] - self.reach
        if self._few is not None and known.shape[0] * frames <= FEW:
            y = self._few(_view(known, frames, self.reach + 1, 1, 1, known.shape[2]).flatten(2))
            return y.view(len(known), frames * self.stride, self.dim)
        kernel = self.kernel()
        if self.groups == 1:
            return convolved(known, kernel, self._shift()).reshape(len(known), frames * self.stride, self.dim)
        if kernel.ndim == 2:
            kernel = F.pad(kernel.to(known.dtype), (0, 0, 0, (self.reach + 1) * self.stride - self.size))
            parts = kernel.unflatten(0, (-1, self.stride))
            shifted = [known[:, self.reach - p : self.reach - p + frames, None] for p in range(self.reach + 1)]
            y = shifted[0] * parts[0]
            for part in range(1, self.reach + 1):
                y = torch.addcmul(y, shifted[part], parts[part])
            y = y.flatten(1, 2)
        else:
            y = F.conv_transpose1d(known.transpose(1, 2), kernel, None, self.stride, groups=self.groups).transpose(1, 2)
            first = self.reach * self.stride
            y = F.pad(y[:, first : first + frames * self.stride], (0, 0, 0, max(0, self.stride - self.size)))
        return y if self.bias is None else y + self.bias.to(y.dtype)
