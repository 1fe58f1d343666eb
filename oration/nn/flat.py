"""A Transformer that only generates: the arithmetic of its blocks, layer after layer, without their modules around it.

At one step a layer's arithmetic takes some tens of microseconds, and calling a dozen modules takes as long again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.look import Cache, Look, following
from oration.nn.positions import rotate
from oration.nn.transformer import Attention, Block, TransformerStack

Apply = Callable[[Tensor], Tensor]


class Flat(NamedTuple):
    """One block, taken apart."""

    attention_norm: Apply
    qkv: Apply
    out: Apply
    mlp_norm: Apply
    inner: Apply
    down: Apply


class FlatStack(nn.Module):
    """A `TransformerStack` in evaluation. What it cannot take apart (conditions, vectors for layers) it hands on."""

    def __init__(self, stack: TransformerStack) -> None:
        super().__init__()
        self.stack = stack
        self.sizes = stack.heads, stack.kv_heads
        attention: Any = stack.blocks[0].attention
        self.interleaved: bool = attention.interleaved
        self.blocks = [_flat(block) for block in stack.blocks]
        self.norm = _norm(stack.norm)

    @staticmethod
    def fits(stack: nn.Module) -> bool:
        """Whether a stack can be taken apart."""
        return type(stack) is TransformerStack and all(
            type(b) is Block
            and type(b.attention) is Attention
            and type(b.mlp_norm) in (nn.RMSNorm, nn.LayerNorm)
            and b.mlp_scale is None
            for b in stack.blocks
        )

    def cache(self, n: int, capacity: int) -> Cache:
        """As `TransformerStack.cache`."""
        return self.stack.cache(n, capacity)

    def forward(self, x: Tensor, *, cache: Cache | None = None, extra: Tensor | None = None, **rest: Any) -> Tensor:
        """As `TransformerStack`."""
        if cache is None or extra is not None or rest.get("condition") is not None:
            return self.stack(x, cache=cache, extra=extra, **rest)
        stack, steps = self.stack, x.shape[1]
        position, look = following(cache, steps, stack.window)
        if stack.rotary is not None:
            look = replace(look, turn=stack.rotary.forward(position))
        if stack.places is not None:
            x = x + stack.places(position).to(x.dtype)
        n, width = x.shape[0], stack.width
        x = x.reshape(n * steps, -1)
        for number, block in enumerate(self.blocks):
            x = block.out(
                self._attend(block.qkv(block.attention_norm(x)).view(n, steps, -1, width), look, number)
            ).add_(x)
            x = block.down(block.inner(block.mlp_norm(x))).add_(x)
        return self.norm(x).view(n, steps, -1)

    def _attend(self, qkv: Tensor, look: Look, number: int) -> Tensor:
        """float[n, S, H + 2 H', width] -> float[n S, H width]."""
        heads, kv_heads = self.sizes
        turned, v = qkv.transpose(1, 2).split((heads + kv_heads, kv_heads), 1)
        if look.turn is not None:
            turned = rotate(turned, look.turn, self.interleaved)
        y = look.attend(turned[:, :heads], turned[:, heads:], v, number, 0.0)
        return y.view(-1, y.shape[-1])


def _flat(block: Any) -> Flat:
    up = block.gate_up if block.kind in ("swiglu", "geglu") else block.up
    inner = _gated(up.forward, F.silu) if block.kind == "swiglu" else block._inner
    attention = block.attention
    norms = _norm(block.attention_norm), _norm(block.mlp_norm)
    return Flat(norms[0], attention.qkv.forward, attention.out.forward, norms[1], inner, block.down.forward)


def _norm(norm: Any) -> Apply:
    if type(norm) is not nn.RMSNorm:
        return norm.forward
    shape, weight, eps = norm.normalized_shape, norm.weight.detach(), norm.eps
    return lambda x: torch.rms_norm(x, shape, weight, eps)


def _gated(up: Apply, gate: Callable[..., Tensor]) -> Apply:
    def inner(x: Tensor) -> Tensor:
        opened, held = up(x).chunk(2, -1)
        return gate(opened, inplace=True).mul_(held)

    return inner
