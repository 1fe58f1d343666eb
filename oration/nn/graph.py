"""A Transformer that generates on a GPU: one step is recorded once as a CUDA graph and then replayed.

At one step of a small model a GPU computes for some tens of microseconds a layer and waits for Python several times as
long. A replay waits for nothing. Layers only; knows no speech.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oration.nn.flat import FlatStack
from oration.nn.look import Cache
from oration.nn.positions import rotate
from oration.nn.transformer import TransformerStack

WARM = 2
"""Steps computed one by one before the recording, so that every kernel is chosen by then."""


class GraphStack(FlatStack):
    """A `FlatStack` whose single steps look at the whole cache through a mask, so that no shape ever changes."""

    def __init__(self, stack: TransformerStack, dtype: torch.dtype) -> None:
        super().__init__(stack)
        self.dtype = dtype
        self._steps: weakref.WeakKeyDictionary[Cache, _Step] = weakref.WeakKeyDictionary()

    def cache(self, n: int, capacity: int) -> Cache:
        """As `TransformerStack.cache`, in the precision of the weights."""
        stack, device = self.stack, next(self.stack.parameters()).device
        return Cache(len(stack.blocks), n, stack.kv_heads, stack.width, capacity, device=device, dtype=self.dtype)

    def forward(self, x: Tensor, *, cache: Cache | None = None, extra: Tensor | None = None, **rest: Any) -> Tensor:
        """As `TransformerStack`."""
        own = x.dtype
        if cache is None or x.shape[1] != 1 or extra is not None or rest.get("condition") is not None:
            more = {"extra": None if extra is None else extra.to(self.dtype)}
            return super().forward(x.to(self.dtype), cache=cache, **more, **rest).to(own)
        step = self._steps.get(cache)
        if step is None or step.length is not cache.length:
            step = self._steps[cache] = _Step(self, cache, x)
        return step(x).to(own)

    def one(self, x: Tensor, cache: Cache) -> Tensor:
        """float[n, 1, D], the step after the cache -> float[n, 1, D]. The cache is changed in place."""
        stack, (heads, kv_heads), n = self.stack, self.sizes, x.shape[0]
        position = cache.length[:, None]
        slot = position % cache.capacity
        cache.held.scatter_(1, slot, position)
        mask = (cache.held >= 0) & (cache.held <= position)
        if stack.window is not None:
            mask &= cache.held > position - stack.window
        turn = None if stack.rotary is None else stack.rotary.forward(position)
        if stack.places is not None:
            x = x + stack.places(position).to(x.dtype)
        x = x[:, 0].to(self.dtype)
        at = slot[:, None, :, None].expand(-1, kv_heads, -1, stack.width)
        for number, block in enumerate(self.blocks):
            qkv = block.qkv(block.attention_norm(x)).view(n, 1, -1, stack.width).transpose(1, 2)
            turned, v = qkv.split((heads + kv_heads, kv_heads), 1)
            if turn is not None:
                turned = rotate(turned, turn, self.interleaved)
            keys, values = cache.keys[number], cache.values[number]
            keys.scatter_(2, at, turned[:, heads:])
            values.scatter_(2, at, v)
            y = F.scaled_dot_product_attention(
                turned[:, :heads], keys, values, attn_mask=mask[:, None, None], enable_gqa=kv_heads != heads
            )
            x = x + block.out(y.flatten(1))
            x = x + block.down(block.inner(block.mlp_norm(x)))
        cache.length.add_(1)
        return self.norm(x)[:, None]


class _Step:
    """The recording for one cache."""

    def __init__(self, stack: GraphStack, cache: Cache, x: Tensor) -> None:
        self.stack, self.left, self.length = stack, WARM, cache.length
        self.cache = weakref.proxy(cache)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.x = torch.empty_like(x)
        self.y = x

    def __call__(self, x: Tensor) -> Tensor:
        if self.left or not x.is_cuda:
            self.left = max(0, self.left - 1)
            return self.stack.one(x, self.cache)
        self.x.copy_(x)
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):  # recording computes nothing
                self.y = self.stack.one(self.x, self.cache)
        self.graph.replay()
        return self.y.clone()
