"""Layers over time that run whole, or in pieces of any cutting with the same result. Layers only; knows no speech.

Everything is channels-last, float[B, T, C]. A layer of one frame at a time (a linear layer, a norm) is any `nn.Module`.
One that looks at other frames is a `Pieces`, and carries what it must remember from push to push in a state:

    whole      y = layer(x)
    in pieces  state = layer.start(batch, x)
               y1, state = layer.push(x1, state)     as much as is complete by now
               y2, state = layer.push(x2, state)
               y3 = layer.flush(state)               the rest; y is y1, y2, y3 end to end
               or for y in layer.rest(state): ...    the same rest, piece by piece

A state is what `push` was given back, never changed in place by it, except where a class says so. It is a tree of
tensors whose first axis is the batch, so the streams of many sessions go through one push. A stream that has no piece
this time is given any and keeps its state, `choose(active, after, before)`: also a layer that writes into what it
remembers (`Windowed`) leaves the state before good for that.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from oration.core import BadInput

State = Any
"""Nested tuples of tensors [B, ...]; those of layers that look ahead hold numbers too."""


class Pieces(nn.Module):
    """A layer over time. `aligned` layers give, for every `down` frames of a push, `up` frames at once."""

    up: int = 1
    down: int = 1
    aligned: bool = True
    """Only layers that never look ahead are aligned; the states of those alone may be reset stream by stream."""

    delay: int = 0
    """Outputs by which a layer made aligned by `late` is late."""

    def start(self, batch: int, like: Tensor) -> State:
        """What is remembered before the first push of `batch` streams, on the device and of the dtype of `like`."""
        raise NotImplementedError

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """float[B, T, C] -> float[B, T', C'], the outputs that are complete, and what to remember."""
        raise NotImplementedError

    def flush(self, state: State) -> Tensor | None:
        """The rest as if nothing followed, float[B, T', C'], or None."""
        raise NotImplementedError

    def rest(self, state: State) -> Iterator[Tensor]:
        """What `flush` gives, in pieces: where much was held, they are made one by one."""
        y = self.flush(state)
        if y is not None:
            yield y

    def reset(self, state: State, slots: Tensor, like: Tensor) -> State:
        """The state with the streams where bool[B] `slots` is True at their start again (aligned layers)."""
        return choose(slots, self.start(len(slots), like), state)


def late(layer: nn.Module) -> Pieces:
    """The same layer, aligned: what it would give after a look ahead it gives that much later instead.

    Weights are shared. Possible where only the last layer of a chain looks ahead, and only to cut off its beginning:
    what was cut off comes first, `delay` outputs of no meaning, and everything else that much later.

    Raises:
        BadInput: a layer that truly needs what follows.
    """
    if isinstance(layer, Pieces) and layer.aligned:
        return layer
    made = copy.copy(layer)
    if isinstance(made, Chain) and all(getattr(one, "aligned", True) for one in [*made.layers][:-1]):
        last = late(made.layers[-1])
        made.__dict__["_modules"] = {"layers": nn.ModuleList([*[*made.layers][:-1], last])}
        made.aligned, made.delay = True, last.delay
        return made
    delay = getattr(made, "cut", None)
    if not isinstance(made, Pieces) or delay is None:
        raise BadInput(
            f"{type(layer).__name__} looks ahead, so it cannot answer every frame at once; stream a recording through "
            "live() and speaker() instead, or take a causal codec"
        )
    made.aligned, made.delay = True, delay
    return made


def ahead(layer: nn.Module) -> float | None:
    """How many of its input frames a layer waits for beyond those that it answers; None if it does not say."""
    if isinstance(layer, Chain):
        total, frame = 0.0, 1.0  # input frames that a frame between its layers lasts
        for one in layer.layers:
            own = ahead(one)
            if own is None:
                return None
            total += own * frame
            if isinstance(one, Pieces):
                frame *= one.down / one.up
        return total
    if isinstance(layer, Beside):
        return 0.0
    if isinstance(layer, Residual):
        both = [ahead(one) for one in (layer.inner, layer.shortcut) if one is not None]
        return None if None in both else max(one for one in both if one is not None)
    if not isinstance(layer, Pieces) or layer.aligned:
        return 0.0
    said: float | None = getattr(layer, "looks", None)
    return said


def choose(where: Tensor, left: State, right: State) -> State:
    """Stream by stream, `left` where bool[B] `where` is True and `right` elsewhere: two states of one shape."""
    if left is right:
        return left
    if isinstance(left, Tensor):
        return torch.where(where.view(-1, *(1,) * (left.ndim - 1)), left, right)
    if isinstance(left, tuple):
        return tuple(choose(where, a, b) for a, b in zip(left, right, strict=True))
    return left


def join(parts: list[Tensor | None]) -> Tensor | None:
    """Pieces end to end; None if there are none."""
    found = [part for part in parts if part is not None]
    return (found[0] if len(found) == 1 else torch.cat(found, 1)) if found else None


class Chain(Pieces):
    """Layers one after another."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        own = [layer for layer in layers if isinstance(layer, Pieces)]
        up, down = 1, 1
        for layer in own:
            up, down = up * layer.up, down * layer.down
        self.up, self.down = up, down
        self.aligned = all(layer.aligned for layer in own)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T', C']"""
        for layer in self.layers:
            x = layer(x)
        return x

    def start(self, batch: int, like: Tensor) -> State:
        return tuple(layer.start(batch, like) if isinstance(layer, Pieces) else None for layer in self.layers)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        after = []
        for layer, old in zip(self.layers, state, strict=True):
            if isinstance(layer, Pieces):
                x, new = layer.push(x, old)
                after.append(new)
            else:
                x = layer(x)
                after.append(None)
        return x, tuple(after)

    def flush(self, state: State) -> Tensor | None:
        rest: Tensor | None = None
        for layer, old in zip(self.layers, state, strict=True):
            if isinstance(layer, Pieces):
                done = None
                if rest is not None:
                    done, old = layer.push(rest, old)
                rest = join([done, layer.flush(old)])
            elif rest is not None:
                rest = layer(rest)
        return rest

    def rest(self, state: State) -> Iterator[Tensor]:
        found: Iterable[Tensor] = ()
        for layer, old in zip(self.layers, state, strict=True):
            found = _onward(layer, old, found)
        return iter(found)

    def reset(self, state: State, slots: Tensor, like: Tensor) -> State:
        pairs = zip(self.layers, state, strict=True)
        return tuple(layer.reset(old, slots, like) if isinstance(layer, Pieces) else None for layer, old in pairs)


def _onward(layer: nn.Module, state: State, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
    """What a layer makes of the last pieces, and then its own rest."""
    for x in pieces:
        if isinstance(layer, Pieces):
            y, state = layer.push(x, state)
            if y.shape[1]:
                yield y
        else:
            yield layer(x)
    if isinstance(layer, Pieces):
        yield from layer.rest(state)


class Residual(Pieces):
    """inner(x) + shortcut(x); what the shortcut knows first waits for what the inner layers give later."""

    def __init__(self, inner: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.inner = inner if isinstance(inner, Pieces) else Chain(inner)
        self.shortcut = Chain(shortcut) if shortcut is not None and not isinstance(shortcut, Pieces) else shortcut
        self.up, self.down = self.inner.up, self.inner.down
        self.aligned = self.inner.aligned and (self.shortcut is None or bool(self.shortcut.aligned))

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T', C']"""
        y = self.inner(x)
        # Layers without padding give fewer frames than they were given: the first ones are those that count.
        return y + (x if self.shortcut is None else self.shortcut(x))

    def start(self, batch: int, like: Tensor) -> State:
        shortcut = None if self.shortcut is None else self.shortcut.start(batch, like)  # type: ignore[operator]
        return self.inner.start(batch, like), shortcut, None

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        inner, shortcut, waiting = state
        y, inner = self.inner.push(x, inner)
        if self.shortcut is not None:
            x, shortcut = self.shortcut.push(x, shortcut)  # type: ignore[operator]
        if waiting is not None:
            x = torch.cat((waiting, x), 1)
        ready = y.shape[1]
        waiting = x[:, ready:] if x.shape[1] > ready else None
        return y + x[:, :ready], (inner, shortcut, waiting)

    def flush(self, state: State) -> Tensor | None:
        inner, shortcut, waiting = state
        rest = self.inner.flush(inner)
        other = None if self.shortcut is None else self.shortcut.flush(shortcut)  # type: ignore[operator]
        skipped = join([waiting, other])
        return None if rest is None or skipped is None else rest + skipped[:, : rest.shape[1]]

    def reset(self, state: State, slots: Tensor, like: Tensor) -> State:
        inner, shortcut, waiting = state
        if self.shortcut is not None:
            shortcut = self.shortcut.reset(shortcut, slots, like)  # type: ignore[operator]
        return self.inner.reset(inner, slots, like), shortcut, waiting


class Beside(Pieces):
    """Two layers of one rate on the same frames, their outputs side by side; neither looks ahead."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right = (one if isinstance(one, Pieces) else Chain(one) for one in (left, right))
        rates = {one.up / one.down for one in (self.left, self.right)}
        if len(rates) > 1 or not (self.left.aligned and self.right.aligned):
            raise BadInput("layers beside each other give as many frames at once, but one looks ahead or is faster")
        self.up, self.down = max((one.up, one.down) for one in (self.left, self.right))

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T', C1 + C2]"""
        return torch.cat((self.left(x), self.right(x)), -1)

    def start(self, batch: int, like: Tensor) -> State:
        return self.left.start(batch, like), self.right.start(batch, like)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        left, before = self.left.push(x, state[0])
        right, after = self.right.push(x, state[1])
        return torch.cat((left, right), -1), (before, after)

    def flush(self, state: State) -> Tensor | None:
        left, right = self.left.flush(state[0]), self.right.flush(state[1])
        return None if left is None or right is None else torch.cat((left, right), -1)

    def reset(self, state: State, slots: Tensor, like: Tensor) -> State:
        return self.left.reset(state[0], slots, like), self.right.reset(state[1], slots, like)


@torch.no_grad()
def whole(layer: Pieces, x: Tensor, block: int) -> Tensor:
    """`layer(x)` in blocks of `block` frames: memory for the result and one block of work.

    Also faster for long inputs: what fits the processor's caches and the allocator's pool is not fetched again.
    """
    state, parts = layer.start(len(x), x), list[Tensor | None]()
    for at in range(0, x.shape[1], block):
        y, state = layer.push(x[:, at : at + block], state)
        parts.append(y)
    y_all = join([*parts, *layer.rest(state)])
    return layer(x) if y_all is None else y_all
