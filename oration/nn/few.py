"""Layers over time that only compute, laid out for the few frames of a live push. Layers only; knows no speech.

At two frames a layer costs what reading its weights and calling its operations costs. So weights lie in the order that
is read fastest or have fewer bits, and a Transformer's factors, activations and sums are part of its products.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.conv import Conv, Upsample
from oration.nn.linear import FULL, PackedLinear, Weights, frozen, matrix
from oration.nn.native import NativeLinear, usable
from oration.nn.windowed import Ring, Windowed


@torch.no_grad()
def few(module: nn.Module, weights: Weights) -> None:
    """Lay out all layers inside a module. It then gives what it gave, but for rounding, and cannot be trained or saved.

    Raises:
        BadInput: another precision than `fp32`, `bf16` and `int8`.
    """
    for name, child in module.named_children():
        if type(child) is Windowed and cast(Any, child.stack.blocks[0]).attention.interleaved:
            setattr(module, name, FewWindowed(child, weights))
        elif type(child) is nn.Linear:
            setattr(module, name, _laid(child, weights))
        elif isinstance(child, (Conv, Upsample)):
            child.lay_out(partial(_laid, weights=weights))
        else:
            few(child, weights)


class FewWindowed(Windowed):
    """A `Windowed` with its blocks taken apart, their rotary pairs neighbours. All that it is given runs in pieces."""

    def __init__(self, layer: Windowed, weights: Weights) -> None:
        nn.Module.__init__(self)
        self.window, self.rotary, self.norm = layer.window, layer.rotary, layer.stack.norm
        self.layers, self.heads, self.kv_heads, self.width = layer.layers, layer.heads, layer.kv_heads, layer.width
        self.into, self.out = (
            None if linear is None else _laid(cast(nn.Linear, linear), weights) for linear in (layer.into, layer.out)
        )
        self.blocks = [_taken(block, weights) for block in layer.stack.blocks]

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, width] -> float[B, T, dim]"""
        return self.push(x, self.start(len(x), x))[0]

    def _blocks(self, x: Tensor, look: Ring) -> Tensor:
        (batch, steps, dim), heads, keys, width = x.shape, self.heads, self.kv_heads, self.width
        rows, all_, half = batch * steps, (heads + 2 * keys) * width, width // 2
        assert look.position is not None
        angle = look.position.view(rows, 1, 1).double() * self.rotary.frequency.double()
        turns = torch.complex(angle.cos(), angle.sin()).to(torch.complex64)
        x = F.pad(x.reshape(rows, dim), (0, 0, 0, max(0, FULL - rows)))
        seen = x.new_zeros(len(x), heads * width)
        there = seen[:rows].view(batch, steps, heads, width)
        for number, block in enumerate(self.blocks):
            # One view each instead of a chain of them: at two rows a view costs as much as a sum.
            qkv = block.qkv(block.attention_norm(x))
            qkv.view(torch.complex64).as_strided((rows, heads + keys, half), (all_ // 2, half, 1)).mul_(turns)
            q = qkv.as_strided((batch, heads, steps, width), (steps * all_, width, all_, 1))
            kv = qkv.as_strided((batch, 2 * keys, steps, width), (steps * all_, width, all_, 1), heads * width)
            there.copy_(look.see(q, kv, number).transpose(1, 2))
            x = block.out(seen, x)
            x = block.down(block.inner(block.mlp_norm(x)), x)
        return self.norm(x[:rows].view(batch, steps, dim))


class _Taken(NamedTuple):
    """A block, its factors part of the weights."""

    attention_norm: Callable[[Tensor], Tensor]
    qkv: Callable[[Tensor], Tensor]
    out: Callable[[Tensor, Tensor], Tensor]
    mlp_norm: Callable[[Tensor], Tensor]
    inner: Callable[[Tensor], Tensor]
    down: Callable[[Tensor, Tensor], Tensor]


def _taken(block: Any, weights: Weights) -> _Taken:
    gated = block.kind in ("swiglu", "geglu")
    name = "gate_up" if gated else "up"
    first = _laid(getattr(block, name), weights)
    if block.kind == "gelu":
        inner = first.gelu if isinstance(first, PackedLinear) else lambda x: F.gelu(first(x))
    else:
        setattr(block, name, first)
        inner = block._inner
    out = _plus(block.attention.out, block.attention_scale, weights)
    down = _plus(block.down, block.mlp_scale, weights)
    qkv = _laid(block.attention.qkv, weights).forward
    norms = _norm(block.attention_norm), _norm(block.mlp_norm)
    del block.attention, block.down
    return _Taken(norms[0], qkv, out, norms[1], inner, down)


def _norm(norm: nn.Module) -> Callable[[Tensor], Tensor]:
    if type(norm) is not nn.LayerNorm:
        return norm.forward
    shape, weight, bias, eps = norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return lambda x: torch.layer_norm(x, shape, weight, bias, eps)


def _laid(layer: nn.Linear, weights: Weights) -> nn.Module:
    return NativeLinear(layer, weights) if usable(layer) else frozen(layer, weights, alone=False)


def _plus(layer: nn.Linear, scale: Tensor | None, weights: Weights) -> Callable[[Tensor, Tensor], Tensor]:
    """x, other -> other + scale * layer(x)"""
    if scale is not None:
        bias = None if layer.bias is None else layer.bias * scale
        layer = matrix(layer.weight * scale[:, None], bias)
    made = _laid(layer, weights)
    return made.plus if isinstance(made, PackedLinear) else lambda x, other: made(x).add_(other)
