"""Who sees whom: attention over packed grids, within a window, after a cache. Layers only; knows no speech."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SHORT = 32
"""Mean length of packed grids below which one masked attention is faster than many small ones."""


class Cache:
    """Keys and values of past steps, for `n` sequences that each stand at their own position.

    It is a ring: with a window, `capacity` need only hold the window and one push, whatever the length of the input.
    """

    def __init__(
        self,
        layers: int,
        n: int,
        heads: int,
        width: int,
        capacity: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.keys = [torch.zeros(n, heads, capacity, width, device=device, dtype=dtype) for _ in range(layers)]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        self.held = torch.full((n, capacity), -1, dtype=torch.long, device=device)
        """long[n, capacity]: the position each slot holds; -1 is empty."""
        self.length = torch.zeros(n, dtype=torch.long, device=device)
        """long[n]: steps seen so far by each sequence."""

    @property
    def capacity(self) -> int:
        return self.held.shape[1]

    def used(self) -> int:
        """Slots that can hold anything yet (all sequences together)."""
        return min(self.capacity, int(self.length.max()))

    def select(self, index: Tensor) -> Cache:
        """The same past for the sequences `index` (long[m], repeats allowed): one prompt, many continuations."""
        new = object.__new__(Cache)
        new.keys = [keys.index_select(0, index) for keys in self.keys]
        new.values = [values.index_select(0, index) for values in self.values]
        new.held, new.length = self.held[index], self.length[index]
        return new


@dataclass(frozen=True, eq=False)
class Look:
    """Where the steps of one call stand and look."""

    turn: tuple[Tensor, Tensor] | None = None
    """Cosine and sine of rotary positions."""
    mask: Tensor | None = None
    """bool[B or 1, 1, S, T]; None: what `causal` says."""
    causal: bool = True
    condition: Tensor | None = None
    """float[B, S or 1, C] of the adaptive norms."""
    cache: Cache | None = None
    row: Tensor | None = None
    """long[B, 1] and long[B, S]: where in the cache the steps are written."""
    slot: Tensor | None = None
    at: int | None = None
    """The first slot to write to, where it is the same for all."""
    used: int = 0
    """Slots of the cache that can hold anything."""
    spans: tuple[int, ...] = ()
    """Lengths of the pieces, all lines after another, that look at themselves only; the mask is not read then."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, number: int, dropout: float) -> Tensor:
        """float[B, H, S, width] and keys and values of as many heads or fewer -> float[B, S, H width].

        With a cache, the keys and values join those of its layer `number` first.
        """
        if self.cache is not None:
            keys, values = self.cache.keys[number], self.cache.values[number]
            if self.at is not None:
                keys[:, :, self.at : self.used], values[:, :, self.at : self.used] = k, v
            else:
                keys[self.row, :, self.slot] = k.transpose(1, 2).to(keys.dtype)
                values[self.row, :, self.slot] = v.transpose(1, 2).to(values.dtype)
            k, v = keys[:, :, : self.used].to(q.dtype), values[:, :, : self.used].to(q.dtype)
        if self.spans:
            return self._apart(q, k, v, dropout)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=self.mask,
            dropout_p=dropout,
            is_causal=self.causal and self.mask is None,
            enable_gqa=k.shape[1] != q.shape[1],
        )
        return y.transpose(1, 2).flatten(2)

    def _apart(self, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        """As `attend`, piece by piece: a step then costs the length of its own grid, not of its line."""
        causal, shared, own = self.causal, k.shape[1] != q.shape[1], q.dtype
        seen = []
        with torch.autocast("cpu", enabled=False):  # backwards, torch's kernel is faster in float32 than in bfloat16
            pieces = (t.transpose(1, 2).flatten(0, 1).float().split(self.spans) for t in (q, k, v))
            for piece in zip(*pieces, strict=True):
                a, b, c = (t.transpose(0, 1)[None] for t in piece)
                y = F.scaled_dot_product_attention(a, b, c, dropout_p=dropout, is_causal=causal, enable_gqa=shared)
                seen.append(y[0].transpose(0, 1))
            return torch.cat(seen).view(q.shape[0], q.shape[2], -1).to(own)


def apart(segment: Tensor | None, window: int | None) -> tuple[int, ...]:
    """The lengths of the runs in long[B, S], line after line, where looking at each alone is faster; else ()."""
    if segment is None or segment.device.type != "cpu":
        return ()
    line = torch.arange(len(segment))[:, None] * (segment.max() + 2)
    spans = torch.unique_consecutive((line + segment).flatten(), return_counts=True)[1]
    long = window is not None and bool((spans > window).any())
    return () if long or len(spans) * SHORT > segment.numel() else tuple(spans.tolist())


def visible(
    steps: int, segment: Tensor | None, window: int | None, causal: bool, device: torch.device
) -> Tensor | None:
    """bool[B or 1, 1, S, S], True where a step may look; None if plain causal attention (or all) is all there is."""
    if segment is None and (window is None or window >= steps):
        return None
    at = torch.arange(steps, device=device)
    mask = torch.ones(steps, steps, dtype=torch.bool, device=device)
    if causal:
        mask &= at[:, None] >= at[None]
    if window is not None:
        mask &= (at[:, None] - at[None]).abs() < window
    if segment is None:
        return mask[None, None]
    same = segment[:, :, None] == segment[:, None, :]
    # A padding step may look at itself: a row that may look nowhere gives NaN.
    return ((same & mask) | torch.eye(steps, dtype=torch.bool, device=device))[:, None]


def following(cache: Cache, steps: int, window: int | None) -> tuple[Tensor, Look]:
    """The positions, long[n, S], of steps that follow the cache, and where they look. The cache is told of them."""
    n, device = len(cache.length), cache.length.device
    least, most = (int(length) for length in cache.length.aminmax())
    position = cache.length[:, None] + torch.arange(steps, device=device)
    cache.length = cache.length + steps
    used = min(cache.capacity, most + steps)
    if least == most and most + steps <= cache.capacity:  # all stand at one place, and the ring has not come round
        cache.held[:, most:used] = position
        if (steps == 1 or not most) and (window is None or window >= used):
            return position, Look(causal=steps > 1, cache=cache, at=most, used=used)  # every slot is to be seen
        at, row, slot = most, None, None
    else:
        row, slot, at = torch.arange(n, device=device)[:, None], position % cache.capacity, None
        cache.held[row, slot] = position
    held = cache.held[:, None, :used]
    mask = (held >= 0) & (held <= position[:, :, None])
    if window is not None:
        mask &= held > position[:, :, None] - window
    return position, Look(mask=mask[:, None], cache=cache, row=row, slot=slot, at=at, used=used)


def rewind(cache: Cache, steps: Tensor) -> None:
    """Forget the last `steps` (long[n]) of each sequence: the padding of a prompt shorter than its neighbours."""
    cache.length = cache.length - steps
    cache.held[cache.held >= cache.length[:, None]] = -1
