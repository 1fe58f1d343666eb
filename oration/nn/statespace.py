"""Mamba-2: attention's quadratic form for training, a state of fixed size for generating. Layers only; knows no speech.

Dao & Gu 2024, arXiv:2405.21060; the layer as in their code and in transformers' Mamba2Model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(eq=False)
class Memory:
    """What one layer remembers of `n` sequences."""

    inputs: Tensor
    """float[n, K - 1, C]: the last inputs of its convolution."""
    state: Tensor
    """float[n, H, P, N], or float[n, C] of a gated recurrence."""

    def select(self, index: Tensor) -> Memory:
        """The same for the sequences `index`."""
        return Memory(self.inputs[index], self.state[index])


class ShortConv(nn.Module):
    """A causal convolution of a few taps over each channel, which sees its own segment only."""

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, taps).uniform_(-(taps**-0.5), taps**-0.5))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, segment: Tensor | None, memory: Memory | None, true: Tensor | None) -> Tensor:
        """float[B, S, C] -> float[B, S, C]. `memory` is read and told; `true`, long[B]: steps without padding."""
        taps, steps = self.weight.shape[1], x.shape[1]
        before = x.new_zeros(x.shape[0], taps - 1, x.shape[2]) if memory is None else memory.inputs.to(x.dtype)
        whole = torch.cat((before, x), 1)
        if memory is not None:
            last = torch.full_like(x[:, 0, 0], steps, dtype=torch.long) if true is None else true
            at = last[:, None] + torch.arange(taps - 1, device=x.device)
            memory.inputs = whole.gather(1, at[..., None].expand(-1, -1, x.shape[2]))
        y = self.bias.to(x.dtype).expand_as(x)
        for back in range(taps):
            seen = whole[:, taps - 1 - back : taps - 1 - back + steps]
            if segment is not None and back:
                same = F.pad(segment[:, back:] == segment[:, :-back], (min(back, steps), 0))[:, :steps]
                seen = seen * same[..., None]
            y = y + seen * self.weight[:, taps - 1 - back].to(x.dtype)
        return y


def scan(
    x: Tensor,
    decay: Tensor,
    keys: Tensor,
    queries: Tensor,
    *,
    segment: Tensor | None = None,
    state: Tensor | None = None,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """state[s] = exp(decay[s]) state[s - 1] + x[s] keys[s]^T; y[s] = state[s] queries[s] -> y, and the last state.

    Steps of a chunk see each other as in attention, and those before through the state (section 6). With chunks of one
    step it is the recurrence itself.

    Args:
        x: float[B, S, H, P].
        decay: float[B, S, H], at most 0.
        keys: float[B, S, G, N], shared by groups of H / G heads; `queries` alike.
        segment: long[B, S]; the state begins anew with each. Not with a `state`.
        state: float[B, H, P, N] before the first step; None: zeros.
    """
    shared = x.shape[2] // keys.shape[2]
    state = x.new_zeros(*x.shape[:1], *x.shape[2:], keys.shape[3]) if state is None else state
    carried, found = None if segment is None else segment[:, 0], []
    for at in range(0, x.shape[1], chunk):
        here = slice(at, at + chunk)
        k, q = (t[:, here].repeat_interleave(shared, 2) for t in (keys, queries))
        total = decay[:, here].cumsum(1)
        past, future, kept = total, total[:, -1:] - total, total[:, -1]
        between = total[:, :, None] - total[:, None]
        order = torch.ones(between.shape[1:3], dtype=torch.bool, device=x.device).tril()[None, :, :, None]
        if segment is not None and carried is not None:
            s = segment[:, here]
            order = order & (s[:, :, None] == s[:, None])[..., None]
            past = past.masked_fill((s != carried[:, None])[..., None], -math.inf)
            future = future.masked_fill((s != s[:, -1:])[..., None], -math.inf)
            kept = kept.masked_fill((s[:, -1] != carried)[:, None], -math.inf)
            carried = s[:, -1]
        weight = torch.einsum("blhn,bshn->blsh", q, k) * between.masked_fill(~order, -math.inf).exp()
        inside = torch.einsum("blsh,bshp->blhp", weight, x[:, here])
        before = torch.einsum("blhn,bhpn->blhp", q, state) * past.exp()[..., None]
        found.append(inside + before)
        added = torch.einsum("bshn,bshp->bhpn", k * future.exp()[..., None], x[:, here])
        state = state * kept.exp()[..., None, None] + added
    return torch.cat(found, 1), state


class Mamba2(nn.Module):
    """x -> the mixing half of a layer: a projection, a short convolution, the scan, a gate."""

    def __init__(
        self, dim: int, *, heads: int, width: int, state: int, groups: int = 1, taps: int = 4, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.heads, self.width, self.state, self.groups, self.eps = heads, width, state, groups, eps
        self.inner, self.mixed = heads * width, heads * width + 2 * groups * state
        self.inward = nn.Linear(dim, self.inner + self.mixed + heads, bias=False)
        self.conv = ShortConv(self.mixed, taps)
        # Steps of 1 ms to 100 ms of a second of a hundred steps, as softplus gives them (their code).
        step = torch.empty(heads).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        self.step = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        self.decay = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(heads))
        self.norm = nn.Parameter(torch.ones(self.inner))
        self.out = nn.Linear(self.inner, dim, bias=False)

    def memory(self, n: int) -> Memory:
        """An empty one, for `n` sequences."""
        taps, like = self.conv.weight.shape[1], self.norm
        state = like.new_zeros(n, self.heads, self.width, self.state, dtype=torch.float32)
        return Memory(like.new_zeros(n, taps - 1, self.mixed), state)

    def forward(
        self, x: Tensor, segment: Tensor | None = None, memory: Memory | None = None, true: Tensor | None = None
    ) -> Tensor:
        """float[B, S, D] -> float[B, S, D].

        Args:
            segment: long[B, S]; each begins anew.
            memory: the past, which the steps follow; it is brought up to date.
            true: long[B]: how many of the steps are no padding; the rest leaves no trace.
        """
        gate, mixed, step = self.inward(x).split((self.inner, self.mixed, self.heads), -1)
        mixed = F.silu(self.conv(mixed, segment, memory, true))
        with torch.autocast(x.device.type, enabled=False):  # sums over many steps, in full precision
            y = self._scan(mixed.float(), step.float(), segment, memory, true)
            y = (y.flatten(2) * F.silu(gate.float())).unflatten(-1, (self.groups, -1))
            y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.out((y.flatten(2) * self.norm).to(x.dtype))

    def _scan(
        self, mixed: Tensor, step: Tensor, segment: Tensor | None, memory: Memory | None, true: Tensor | None
    ) -> Tensor:
        sizes = (self.inner, self.groups * self.state, self.groups * self.state)
        x, keys, queries = mixed.split(sizes, -1)
        x = x.unflatten(-1, (self.heads, self.width))
        keys, queries = (t.unflatten(-1, (self.groups, self.state)) for t in (keys, queries))
        step = F.softplus(step + self.step)
        if true is not None:
            step = step.masked_fill((torch.arange(x.shape[1], device=x.device) >= true[:, None])[..., None], 0.0)
        y, state = scan(
            x * step[..., None],
            -self.decay.exp() * step,
            keys,
            queries,
            segment=segment,
            state=None if memory is None else memory.state,
        )
        if memory is not None:
            memory.state = state
        return y + self.skip[:, None] * x
