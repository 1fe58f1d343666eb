"""ConvNeXt blocks over time, with a look-ahead that can be bounded. Layers only; knows no speech.

Everything is channels-last, float[B, T, C]: the linear layers then need no transposition, and a depthwise convolution
is a few scaled additions of the signal to itself.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.pieces import Pieces, State, join


class _Taps(torch.autograd.Function):
    """y[t] = sum over i of w[i] * p[t + i * dilation], each channel on its own.

    Written out because the library's depthwise convolution needs four times as long on a CPU, forward and backward.
    """

    @staticmethod
    def forward(ctx: Any, padded: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(padded, weight)
        ctx.dilation = dilation
        return _filtered(padded, weight, dilation)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        grad = grads[0]
        padded, weight = ctx.saved_tensors
        grad_padded, grad_weight = torch.zeros_like(padded), torch.empty_like(weight)
        for i in range(len(weight)):
            span = slice(i * ctx.dilation, i * ctx.dilation + grad.shape[1])
            grad_padded[:, span].addcmul_(grad, weight[i])
            grad_weight[i] = (grad * padded[:, span]).sum((0, 1))
        return grad_padded, grad_weight, None


def taps(padded: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """A depthwise convolution of float[B, T, C] with float[K, C] -> float[B, T - (K - 1) * dilation, C]"""
    if not torch.is_grad_enabled():  # a live push has more to do than to be remembered for gradients
        return _filtered(padded, weight, dilation)
    return _Taps.apply(padded, weight, dilation)


def _filtered(padded: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """`taps`, without gradients of its own."""
    steps = padded.shape[1] - (len(weight) - 1) * dilation
    y = padded[:, :steps] * weight[0]
    for i in range(1, len(weight)):
        y.addcmul_(padded[:, i * dilation : i * dilation + steps], weight[i])
    return y


class DepthwiseConv(Pieces):
    """One filter per channel, zero padded at both ends; it looks `right` steps ahead (None: half its span)."""

    def __init__(self, dim: int, kernel: int, *, dilation: int = 1, right: int | None = None) -> None:
        super().__init__()
        self.span = (kernel - 1) * dilation
        self.right = self.span // 2 if right is None else right
        self.left, self.dilation = self.span - self.right, dilation
        self.aligned, self.looks = self.right == 0, self.right
        self.weight = nn.Parameter(torch.empty(kernel, dim).uniform_(-1, 1) / kernel**0.5)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        return self.padded(F.pad(x, (0, 0, self.left, self.right)))

    def padded(self, x: Tensor) -> Tensor:
        """float[B, T + span, C] -> float[B, T, C]"""
        if x.is_cuda:
            weight = self.weight.T[:, None]
            return F.conv1d(x.mT, weight, self.bias, dilation=self.dilation, groups=len(weight)).mT
        return taps(x, self.weight.to(x.dtype), self.dilation) + self.bias.to(x.dtype)

    def start(self, batch: int, like: Tensor) -> State:
        return (like.new_zeros(batch, self.left, self.weight.shape[1]),)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        known, frames = self.known(x, state)
        return (self.padded(known) if frames else x[:, :0]), (known[:, frames:],)

    def known(self, x: Tensor, state: State) -> tuple[Tensor, int]:
        """All steps that are still needed, the first of them `left` before the next output; how many outputs."""
        known = torch.cat((state[0], x), 1)
        return known, max(0, known.shape[1] - self.span)

    def flush(self, state: State) -> Tensor | None:
        if not self.right:
            return None
        known = F.pad(state[0], (0, 0, 0, self.right))
        return self.padded(known) if known.shape[1] > self.span else None


class ConvNeXtBlock(nn.Module):
    """x + scale * mlp(norm(depthwise x)). Liu et al. 2022, arXiv:2201.03545, section 2; over time as in Vocos."""

    def __init__(
        self, dim: int, inner: int, kernel: int, *, dilation: int = 1, right: int | None = None, scale: float = 0.1
    ) -> None:
        super().__init__()
        self.conv = DepthwiseConv(dim, kernel, dilation=dilation, right=right)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.up = nn.Linear(dim, inner)
        self.down = nn.Linear(inner, dim)
        self.scale = nn.Parameter(torch.full((dim,), scale))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """float[B, T, C] -> float[B, T, C]. `valid`, float[B, T, 1]: steps where it is 0 count as beyond the end."""
        return self.after(x, self.conv(x if valid is None else x * valid))

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        """The input and what the filters made of it -> the output."""
        return x + self.scale * self.down(F.gelu(self.up(self.norm(y))))

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """As `Pieces`, with the state of `conv`: the input that an output is added to is still in it."""
        known, frames = self.conv.known(x, state)
        if not frames:
            return x[:, :0], (known,)
        left = self.conv.left
        return self.after(known[:, left : left + frames], self.conv.padded(known)), (known[:, frames:],)


class ConvNeXt(Pieces):
    """Blocks one after another, together looking `ahead` steps ahead (0: causal; None: half of what they span)."""

    def __init__(
        self,
        dim: int,
        inner: int,
        layers: int,
        kernel: int = 7,
        dilations: tuple[int, ...] | None = None,
        ahead: int | None = 0,
    ) -> None:
        """`dilations`: one per block; None: 1 everywhere."""
        super().__init__()
        dilations = dilations or (1,) * layers
        if len(dilations) != layers:
            raise BadInput(f"{layers} ConvNeXt blocks have {len(dilations)} dilations, {dilations}; give one each")
        rights = share_ahead([(kernel, dilation) for dilation in dilations], ahead)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(dim, inner, kernel, dilation=dilation, right=right, scale=1 / layers)
            for dilation, right in zip(dilations, rights, strict=True)
        )
        self.ahead = sum(rights)
        self.aligned, self.looks = self.ahead == 0, self.ahead

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        for block in self.blocks:
            x = block(x)
        return x

    def start(self, batch: int, like: Tensor) -> State:
        return tuple(block.conv.start(batch, like) for block in self.blocks)  # type: ignore[operator, union-attr]

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        after = []
        for block, old in zip(self.blocks, state, strict=True):
            x, new = block.push(x, old)  # type: ignore[operator]
            after.append(new)
        return x, tuple(after)

    def flush(self, state: State) -> Tensor | None:
        rest: Tensor | None = None
        for block, old in zip(self.blocks, state, strict=True):
            known = old[0]
            end = known.new_zeros(len(known), block.conv.right, known.shape[2])  # type: ignore[union-attr, arg-type]
            rest = block.push(join([rest, end]), old)[0]  # type: ignore[operator]
        return rest if rest is not None and rest.shape[1] else None


def share_ahead(spans: list[tuple[int, int]], ahead: int | None) -> list[int]:
    """How far each of a stack of convolutions looks ahead if all together may `ahead` steps (None: half of each).

    Those with the smallest dilation are served first, so that neighbouring steps are always seen from both sides.

    Args:
        spans: (kernel, dilation) of each convolution.

    >>> share_ahead([(7, 4), (7, 1), (7, 1)], None), share_ahead([(7, 4), (7, 1), (7, 1)], 11)
    ([12, 3, 3], [4, 3, 3])
    """
    rights = [0] * len(spans)
    left = sum((kernel - 1) // 2 * dilation for kernel, dilation in spans) if ahead is None else ahead
    for at in sorted(range(len(spans)), key=lambda i: (spans[i][1], i)):
        kernel, dilation = spans[at]
        rights[at] = min((kernel - 1) // 2, left // dilation) * dilation
        left -= rights[at]
    return rights
