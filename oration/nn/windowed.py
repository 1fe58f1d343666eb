"""A causal Transformer over time that looks back through a window, whole or in pieces. Layers only; knows no speech.

What it remembers is a ring of keys and values of the last steps, so that neither memory nor time of a push grows with
the stream.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.nn.look import Look
from oration.nn.pieces import Pieces, State
from oration.nn.transformer import TransformerStack

ROOM = 64
"""Steps computed at once in a push: the ring holds so many beside the window."""


class Windowed(Pieces):
    """A `TransformerStack` with a window as `Pieces`, with a projection before and after where the widths differ.

    The state is a ring for each layer, float[B, 2 H, window + ROOM, width], keys before values, and how many steps each
    stream has seen, long[B]. `push` writes into the rings, which all states of a run share; only the count is new. What
    it overwrites lies outside the window of the count before, so after a push of up to `ROOM` steps the state before it
    is still good: a stream that had no frame keeps its old count (`choose`) and goes on as if nothing had happened.
    """

    def __init__(self, stack: TransformerStack, *, width: int, dim: int) -> None:
        """`width` and `dim`: of the frames that come and go."""
        super().__init__()
        if stack.window is None or not stack.causal or stack.rotary is None:
            raise ValueError("a Transformer that runs in pieces is causal and has a window and rotary positions")
        self.window, self.rotary = stack.window, stack.rotary
        self.layers, self.heads, self.kv_heads, self.width = len(stack.blocks), stack.heads, stack.kv_heads, stack.width
        self.into: nn.Module | None = nn.Linear(width, stack.dim, bias=False) if width != stack.dim else None
        self.stack = stack
        self.out: nn.Module | None = nn.Linear(stack.dim, dim, bias=False) if dim != stack.dim else None

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, width] -> float[B, T, dim]"""
        return self._leave(self.stack(self._enter(x)))

    def start(self, batch: int, like: Tensor) -> State:
        shape = (batch, 2 * self.kv_heads, self.window + ROOM, self.width)
        rings = tuple(like.new_zeros(shape) for _ in range(self.layers))
        return rings, torch.zeros(batch, dtype=torch.long, device=like.device)

    @torch.no_grad()
    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        rings, seen = state
        x, parts = self._enter(x), []
        for piece in x.split(ROOM, 1) if x.shape[1] else ():
            parts.append(self._blocks(piece, self._look(piece, rings, seen)))
            seen = seen + piece.shape[1]
        y = parts[0] if len(parts) == 1 else torch.cat([x[:, :0], *parts], 1)
        return self._leave(y), (rings, seen)

    def flush(self, state: State) -> Tensor | None:
        return None

    def reset(self, state: State, slots: Tensor, like: Tensor) -> State:
        rings, seen = state
        return rings, seen.masked_fill(slots, 0)

    def _enter(self, x: Tensor) -> Tensor:
        return x if self.into is None else self.into(x)

    def _leave(self, x: Tensor) -> Tensor:
        return x if self.out is None else self.out(x)

    def _look(self, x: Tensor, rings: State, seen: Tensor) -> Ring:
        """Where the steps float[B, S, D] stand and look."""
        (batch, steps, _), size = x.shape, self.window + ROOM
        position = seen[:, None] + torch.arange(steps, device=x.device)
        slots = torch.arange(size, device=x.device)
        # What a slot holds is so far behind a step; what seems further than the window was written over since or never.
        behind = (position[:, :, None] - slots) % size
        mask = torch.where(behind < (position + 1).clamp(max=self.window)[:, :, None], 0.0, float("-inf"))
        heads = torch.arange(0, batch * 2 * self.kv_heads * size, size, device=x.device).view(batch, -1, 1)
        line = (heads + (position % size)[:, None]).flatten()
        return Ring(mask=mask[:, None].to(x.dtype), position=position, rings=rings, line=line)

    def _blocks(self, x: Tensor, look: Ring) -> Tensor:
        look = replace(look, turn=self.rotary(look.position))
        for number, block in enumerate(self.stack.blocks):
            x = block(x, look, number)
        return self.stack.norm(x)


@dataclass(frozen=True, eq=False)
class Ring(Look):
    """A look at the rings of a `Windowed`, which new steps are written to first."""

    rings: State = None
    position: Tensor | None = None
    """long[B, S]"""
    line: Tensor | None = None
    """long[B 2H S]: the rows of the rings, one head of a stream after another, that the steps are written to."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, number: int, dropout: float) -> Tensor:
        return self.see(q, torch.cat((k, v), 1), number).transpose(1, 2).flatten(2)

    def see(self, q: Tensor, kv: Tensor, number: int) -> Tensor:
        """float[B, H, S, width], keys and values float[B, 2 H', S, width] -> float[B, H, S, width]"""
        ring = self.rings[number]
        assert self.line is not None
        ring.flatten(0, 2).index_copy_(0, self.line, kv.to(ring.dtype).flatten(0, 2))
        k, v = ring.to(q.dtype).chunk(2, 1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, enable_gqa=k.shape[1] != q.shape[1])
