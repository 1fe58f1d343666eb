"""dGSLM's body: a tower for each of two channels, of the same weights, each looking at the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from oration.core import BadInput
from oration.nn.look import Cache, rewind
from oration.nn.towers import TowerStack
from oration.nn.transformer import Layer


@dataclass(frozen=True, kw_only=True)
class TwoTowers:
    """The dialogue Transformer of dGSLM (Nguyen et al. 2022, arXiv:2203.16502, section 3.2; fairseq, speech_dlm).

    It takes a vector per channel at each step, and gives one. The rows of the grid belong to a channel by their prefix,
    and the two channels have the same rows, since they share their weights, embeddings and head too.
    """

    layers: int = 6
    cross: int = 4
    """How many layers, the last ones, look at the other channel."""
    dim: int = 512
    heads: int = 8
    ffn: int = 2048
    dropout: float = 0.1
    bias: bool = True
    positions: Literal["sine", "rotary", "none"] = "sine"
    layer: Layer = field(
        default_factory=lambda: Layer(norm="layer", norm_eps=1e-5, mlp="relu", mlp_bias=True, out_bias=True)
    )
    channels: tuple[str, str] = ("", "user.")
    """Prefixes of the rows of either channel."""

    def __post_init__(self) -> None:
        if not 0 <= self.cross <= self.layers or self.dim % self.heads or (self.dim // self.heads) % 2:
            raise BadInput(
                f"TwoTowers of layers={self.layers}, cross={self.cross}, dim={self.dim}, heads={self.heads} do not "
                "fit; expected at most as many cross layers as layers, and heads of an even width"
            )
        if self.layer.condition or self.layer.head_width is not None:
            raise BadInput("TwoTowers take no condition and no width of a head of their own; leave both out of `layer`")

    def tiny(self: TwoTowers | None = None) -> TwoTowers:
        """Small enough for tests, without dropout; of a value, with its kinds and channels."""
        return replace(self or TwoTowers(), layers=3, cross=2, dim=32, heads=4, ffn=48, dropout=0.0)

    def build(self) -> TwoTowersModel:
        return TwoTowersModel(self)


class TowersPast:
    """The past of `n` dialogues: a cache of 2 n sequences, those of the first channel first."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    @property
    def length(self) -> Tensor:
        """long[n]: steps seen so far."""
        return self.cache.length[: len(self.cache.length) // 2]

    def select(self, index: Tensor) -> TowersPast:
        """The same past for the dialogues `index`."""
        n = len(self.cache.length) // 2
        return TowersPast(self.cache.select(torch.cat((index, index + n))))


class TwoTowersModel(nn.Module):
    """`TwoTowers`, built."""

    causal = True
    window: int | None = None

    def __init__(self, config: TwoTowers) -> None:
        super().__init__()
        self.dim, self.channels = config.dim, config.channels
        self.stack = TowerStack(
            dim=config.dim,
            layers=config.layers,
            cross=config.cross,
            heads=config.heads,
            ffn=config.ffn,
            dropout=config.dropout,
            bias=config.bias,
            layer=config.layer,
            positions=config.positions,
        )

    def forward(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, C, D] -> float[B, S, C, D]; otherwise as `BodyModel`."""
        packed = bool((segment > 0).any())
        both = self.stack(_fold(x), position=position.repeat(2, 1), segment=segment.repeat(2, 1) if packed else None)
        return _unfold(both)

    def past(self, n: int, capacity: int) -> TowersPast:
        """An empty past for `n` dialogues of at most `capacity` steps."""
        return TowersPast(self.stack.cache(2 * n, capacity))

    def extend(self, x: Tensor, past: TowersPast, padding: Tensor | None = None) -> Tensor:
        """float[n, S, C, D] after the past -> float[n, S, C, D]; see `BodyModel`."""
        y = self.stack(_fold(x), cache=past.cache)
        if padding is not None and bool(torch.any(padding > 0)):
            rewind(past.cache, padding.repeat(2))
        return _unfold(y)


def _fold(x: Tensor) -> Tensor:
    """float[B, S, C, D] -> float[C B, S, D]"""
    return x.permute(2, 0, 1, 3).flatten(0, 1)


def _unfold(x: Tensor) -> Tensor:
    """float[2 B, S, D] -> float[B, S, 2, D]"""
    return x.unflatten(0, (2, -1)).permute(1, 2, 0, 3)
