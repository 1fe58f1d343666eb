"""Streams -> one vector per frame of a generator. Knows no sound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import torch
from torch import Tensor, nn

from oration.core import BadInput, Spec, Specs


def repeats(needs: tuple[str, ...], specs: Specs, frame_rate: Fraction) -> dict[str, int]:
    """How many frames an item of each stream lasts; 0 for a stream of one item (`Spec.rate` None): all frames.

    Raises:
        BadInput: a stream that is not there, or whose rate does not divide the frame rate.
    """
    found = {}
    for name in needs:
        if name not in specs:
            raise BadInput(f"nothing gives {name!r}, needed by the vocoder; known streams: {sorted(specs)}")
        rate = specs[name].rate
        ratio = Fraction(0) if rate is None else frame_rate / Fraction(rate)
        if ratio.denominator != 1:
            raise BadInput(
                f"stream {name!r} comes at {float(Fraction(rate or 0)):g} Hz, expected a divisor of the vocoder's "
                f"{float(frame_rate):g} frames a second; change the vocoder's hop"
            )
        found[name] = int(ratio)
    if not any(found.values()):
        raise BadInput(f"a vocoder needs one stream with a rate, which says how long the sound is, but got {needs}")
    return found


def smooth_table(size: int, dim: int) -> Tensor:
    """float[size, dim]: embeddings in which neighbouring symbols begin alike; the last, "none", stands apart."""
    place = torch.arange(size)[:, None] / max(1, size - 1)
    waves = torch.arange(1, 9)[None] * math.pi * place
    features = torch.cat((place * 2 - 1, waves.cos(), waves.sin()), -1)
    table = features @ torch.randn(features.shape[1], dim) / features.shape[1] ** 0.5
    table[-1] = torch.randn(dim)
    return table


class Condition(nn.Module):
    """The embeddings of its streams, each repeated to the frame rate and all added, or laid side by side."""

    def __init__(
        self,
        needs: tuple[str, ...],
        specs: Mapping[str, Spec],
        *,
        dim: int,
        frame_rate: Fraction,
        beside: bool = False,
        ordered: tuple[str, ...] = ("f0",),
    ) -> None:
        """One table for each stream, of width `dim`.

        Args:
            beside: lay the embeddings side by side instead of adding them.
            ordered: the streams whose symbols are bins of a quantity; their embeddings start smooth.
        """
        super().__init__()
        self.beside = beside
        self.dim = dim * len(needs) if beside else dim
        self.repeats = repeats(needs, specs, frame_rate)
        self.tables = nn.ModuleDict()
        for name in needs:
            spec = specs[name]
            table = nn.Linear(spec.dim, dim) if spec.dim else nn.Embedding(spec.size, dim)
            if name in ordered and not spec.dim:
                table.weight = nn.Parameter(smooth_table(spec.size, dim))
            self.tables[_key(name)] = table

    def frames(self, streams: Mapping[str, Tensor]) -> int:
        """Frames that all streams with a rate can give."""
        return min(streams[name].shape[1] * n for name, n in self.repeats.items() if n)

    def forward(self, streams: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Streams -> float[B, F, dim] and which frames are real, float[B, F, 1] (None: all).

        Args:
            streams: regular discrete streams long[B, items] padded with -1, continuous ones float[B, items, D],
                one-item streams long[B] or float[B, D].
        """
        frames = self.frames(streams)
        parts = []
        valid: Tensor | None = None
        for name, n in self.repeats.items():
            value, table = streams[name], self.tables[_key(name)]
            if not value.is_floating_point():
                real = (value >= 0)[..., None]
                if n and not bool(real.all()):
                    here = real.repeat_interleave(n, 1)[:, :frames].float()
                    valid = here if valid is None else valid * here
                value = value.clamp_min(0)
            vectors = table(value)
            parts.append(vectors.repeat_interleave(n, 1)[:, :frames] if n else vectors[:, None].expand(-1, frames, -1))
        total = torch.cat(parts, -1) if self.beside else torch.stack(parts).sum(0)
        return (total, None) if valid is None else (total * valid, valid)


def _key(name: str) -> str:
    """A module's name may hold no dot."""
    return name.replace(".", "/")
