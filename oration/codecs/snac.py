"""SNAC: coarse codes at low rates, fine ones at high rates. Siuzdak et al. 2024, arXiv:2410.14411, section 3.

DAC's stacks with depthwise convolutions, noise in the decoder and, for music, attention in windows; what the paper
leaves out is as in the released package (snac 1.2.1) and the released configurations.

    encoder  conv 7 | 3 units, Snake, stride 2 | ...                    | attention | depthwise conv 7
    decoder  depthwise conv 7, conv 1 | attention | Snake, stride 8, noise, 3 units | ...  | Snake, conv 7, tanh
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.codecs.codec import Codec
from oration.codecs.dac import down, units, up
from oration.core import BadInput
from oration.nn.activations import Snake
from oration.nn.conv import Conv
from oration.nn.pieces import Chain, Pieces, State, join
from oration.nn.positions import Rotary, rotate
from oration.nn.quantize import MultiScaleRvq

DRAWN = 8192
"""Frames of noise drawn at once."""


@dataclass(frozen=True, kw_only=True)
class SnacEncoder:
    """float[B, T, 1] -> float[B, T / hop, dim]"""

    width: int = 48
    """Next to the sound; it doubles with each stride."""
    strides: tuple[int, ...] = (2, 4, 8, 8)
    depthwise: bool = True
    window: int | None = None
    """Frames that attend to each other; None: no attention."""
    head: int = 64
    """Width of an attention head."""

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.width * 2 ** len(self.strides)

    def tiny(self) -> SnacEncoder:
        """The same structure, narrow."""
        return replace(self, width=2, head=16)

    def build(self) -> Chain:
        width = self.width
        layers: list[nn.Module] = [Conv.same(1, width, 7, normed=True)]
        for stride in self.strides:
            groups = width if self.depthwise else 1
            layers.append(Chain(*units(width, groups), Snake(width, over=True), down(width, stride)))
            width *= 2
        if self.window is not None:
            layers.append(WindowAttention(width, self.window, self.head))
        return Chain(*layers, Conv.same(width, width, 7, groups=width if self.depthwise else 1, normed=True))


@dataclass(frozen=True, kw_only=True)
class SnacDecoder:
    """float[B, F, dim] -> float[B, F * hop, 1]"""

    dim: int = 768
    """Width of a vector."""
    width: int = 1024
    """Of the first layers; it halves with each stride."""
    strides: tuple[int, ...] = (8, 8, 4, 2)
    depthwise: bool = True
    window: int | None = None
    """Frames that attend to each other; None: no attention."""
    head: int = 64
    """Width of an attention head."""
    noise: bool = True
    """There are layers that add noise."""
    seed: int | None = 0
    """Of the noise where nothing is trained; None: silence in its place."""

    def tiny(self) -> SnacDecoder:
        """The same structure, narrow."""
        return replace(self, dim=2 * 2 ** len(self.strides), width=2 * 2 ** len(self.strides), head=16)

    def build(self) -> Chain:
        width = self.width
        layers: list[nn.Module] = []
        if self.depthwise:
            layers.append(Conv.same(self.dim, self.dim, 7, groups=self.dim, normed=True))
        layers.append(Conv.same(self.dim, width, 1 if self.depthwise else 7, normed=True))
        if self.window is not None:
            layers.append(WindowAttention(width, self.window, self.head))
        for number, stride in enumerate(self.strides):
            block: list[nn.Module] = [Snake(width, over=True), up(width, stride, full=True)]
            width //= 2
            if self.noise:
                block.append(Noise(width, None if self.seed is None else self.seed * len(self.strides) + number))
            layers.append(Chain(*block, *units(width, width if self.depthwise else 1)))
        return Chain(*layers, Snake(width, over=True), Conv.same(width, 1, 7, normed=True), nn.Tanh())


class Noise(Pieces):
    """x + noise * W x, one draw a frame for all channels (section 3.3).

    Training draws from torch's generator. Otherwise frame t is given the t-th number of a fixed sequence, so that the
    same codes give the same sound in any cutting and any batch.
    """

    def __init__(self, dim: int, seed: int | None) -> None:
        super().__init__()
        self.linear = Conv(dim, dim, 1, bias=False, normed=True)
        self.seed = seed
        self._drawn: tuple[int, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        if self.training:
            return x + torch.randn(*x.shape[:2], 1, device=x.device, dtype=x.dtype) * self.linear(x)
        return self._add(x, 0)

    def start(self, batch: int, like: Tensor) -> State:
        return 0

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self._add(x, state), state + x.shape[1]

    def flush(self, state: State) -> Tensor | None:
        return None

    def sequence(self, first: int, frames: int) -> Tensor:
        """The noise of `frames` frames from frame `first` on, float[frames]; zeros where there is no seed."""
        if self.seed is None:
            return torch.zeros(frames)
        found, at = [], first
        while at < first + frames:
            number = at // DRAWN
            if self._drawn is None or self._drawn[0] != number:
                drawn = np.random.default_rng((self.seed, number)).standard_normal(DRAWN, np.float32)
                self._drawn = number, torch.from_numpy(drawn)
            stop = min(first + frames, (number + 1) * DRAWN)
            found.append(self._drawn[1][at - number * DRAWN : stop - number * DRAWN])
            at = stop
        return torch.cat(found) if found else torch.zeros(0)

    def _add(self, x: Tensor, first: int) -> Tensor:
        if self.seed is None or not x.shape[1]:
            return x
        noise = self.sequence(first, x.shape[1]).to(x)
        return torch.addcmul(x, self.linear(x), noise[:, None])


class WindowAttention(Pieces):
    """x + attention among the frames of each window, which do not overlap; the last may be shorter."""

    def __init__(self, dim: int, window: int, head: int = 64) -> None:
        super().__init__()
        if dim % head:
            raise BadInput(f"attention of width {dim} has heads of width {head}, expected one that divides it")
        self.window, self.heads = window, dim // head
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.rotary = Rotary(head)
        self.aligned = False

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, C] -> float[B, T, C]"""
        done = x.shape[1] // self.window * self.window
        if not done:
            return self._attend(x, x.shape[1])
        y = self._attend(x[:, :done], self.window)
        return y if done == x.shape[1] else torch.cat((y, self._attend(x[:, done:], x.shape[1] - done)), 1)

    def start(self, batch: int, like: Tensor) -> State:
        return (like.new_zeros(batch, 0, self.norm.normalized_shape[0]),)

    def push(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        held = join([state[0], x])
        assert held is not None
        done = held.shape[1] // self.window * self.window
        return (self._attend(held[:, :done], self.window) if done else x[:, :0]), (held[:, done:],)

    def flush(self, state: State) -> Tensor | None:
        return self(state[0]) if state[0].shape[1] else None

    def _attend(self, x: Tensor, window: int) -> Tensor:
        """Windows of `window` frames, of which x has a whole number."""
        batch, frames, _ = x.shape
        if not frames:
            return x
        qkv = self.qkv(self.norm(x)).view(batch * frames // window, window, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        turn = tuple(part.to(x.dtype) for part in self.rotary(torch.arange(window, device=x.device)[None]))
        heard = F.scaled_dot_product_attention(rotate(query, turn), rotate(key, turn), value)  # type: ignore[arg-type]
        return x + self.out(heard.transpose(1, 2).reshape(x.shape))


def snac(rate: int, encoder: SnacEncoder, width: int, scales: tuple[int, ...]) -> Codec:
    """A codec of the released kind; `scales`: frames of an item, level by level."""
    decoder = SnacDecoder(dim=encoder.dim, width=width, strides=encoder.strides[::-1], window=encoder.window)
    quantizer = MultiScaleRvq(strides=scales, size=4096, dim=8)
    return Codec(
        encoder=(encoder,), quantizer=quantizer, decoder=(decoder,), dim=encoder.dim, rate=rate,
        window=encoder.window or 1,
    )  # fmt: skip


SNAC_24K = snac(24_000, SnacEncoder(), 1024, (4, 2, 1))
"""hubertsiuzdak/snac_24khz, for speech: 12, 23 and 47 Hz, 0.98 kbit/s."""
SNAC_32K = snac(32_000, SnacEncoder(width=64, strides=(2, 3, 8, 8), window=32), 1536, (8, 4, 2, 1))
"""hubertsiuzdak/snac_32khz, for music: 10 to 83 Hz, 1.9 kbit/s."""
SNAC_44K = replace(SNAC_32K, rate=44_100)
"""hubertsiuzdak/snac_44khz, for music: 14 to 115 Hz, 2.6 kbit/s."""
