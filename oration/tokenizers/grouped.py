"""Several frames of an encoder as one vector: side by side, or their mean. An encoder around an encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.audio.mel import LiveLogMel, LogMel
from oration.core import BadInput
from oration.tokenizers.features import MfccFeatures


class Encoder(Protocol):
    """The configuration of an encoder; its module keeps the promise `Features`, with `features` for a batch."""

    @property
    def build(self) -> Callable[[], Any]: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """`frames` neighbours of `encoder` as one vector, so many times rarer."""

    encoder: Encoder = field(default_factory=MfccFeatures)
    frames: int = 10
    mean: bool = False
    """Average them, instead of laying them side by side."""

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise BadInput(f"a group has frames >= 1, but got {self.frames}; 1 leaves an encoder as it is")

    def tiny(self) -> Grouped:
        """As many frames of a tiny encoder."""
        return replace(self, encoder=smallest(self.encoder))

    def build(self) -> GroupedModel:
        return GroupedModel(self.encoder.build(), self.frames, mean=self.mean)


@lru_cache(maxsize=64)
def shape(encoder: Encoder) -> tuple[Fraction, int]:
    """How many vectors a second an encoder gives, and how wide they are, without building its weights."""
    with torch.device("meta"):
        built = encoder.build()
    return Fraction(built.rate, built.hop), int(built.dim)


def smallest(part: Any) -> Any:
    """The tiny form of a part, if it has one."""
    return part.tiny() if hasattr(part, "tiny") else part


class GroupedModel(nn.Module):
    """An encoder and how its frames are put together. The last group is filled up with silence."""

    def __init__(self, encoder: Any, frames: int, *, mean: bool = False) -> None:
        super().__init__()
        self.encoder, self.frames, self.mean = encoder, frames, mean
        self.rate, self.hop = int(encoder.rate), int(encoder.hop) * frames

    @property
    def dim(self) -> int:
        return int(self.encoder.dim) * (1 if self.mean else self.frames)

    def features(self, samples: Tensor) -> Tensor:
        """float[B, T] -> float[B, F, dim], F = ceil(T / hop). Zeros after a shorter recording change nothing."""
        return self.group(self.encoder.features(F.pad(samples, (0, -samples.shape[1] % self.hop))))

    def group(self, frames: Tensor) -> Tensor:
        """float[..., F * frames, D] -> float[..., F, dim]"""
        grouped = frames.unflatten(-2, (-1, self.frames))
        return grouped.mean(-2) if self.mean else grouped.flatten(-2)

    def live(self) -> LiveGroups:
        """The streaming form, as late as the encoder's own."""
        return LiveGroups(self)


class LiveGroups:
    """One recording through a `GroupedModel`, in pieces of any length."""

    def __init__(self, model: GroupedModel) -> None:
        self.model, self.inner = model, model.encoder.live()
        self.taken = 0
        self.waiting: Tensor | None = None

    def push(self, samples: Tensor) -> Tensor:
        """float[T] -> float[f, dim]"""
        self.taken += len(samples)
        return self._group(self.inner.push(samples))

    def _group(self, frames: Tensor) -> Tensor:
        if self.waiting is not None:
            frames = torch.cat([self.waiting, frames])
        whole = len(frames) // self.model.frames * self.model.frames
        self.waiting = frames[whole:]
        return self.model.group(frames[:whole]) if whole else frames.new_zeros(0, self.model.dim)

    def flush(self) -> Tensor:
        """The last vectors, float[f, dim]. Afterwards it is ready for another recording."""
        silence = torch.zeros(-self.taken % self.model.hop)
        rest = self._group(torch.cat([self.inner.push(silence), self.inner.flush()]))
        self.taken, self.waiting = 0, None
        return rest


class MelFrames(nn.Module):
    """A log-mel as an encoder: float[F, bands], one frame a hop."""

    def __init__(self, mel: LogMel) -> None:
        super().__init__()
        self.mel, self.rate, self.hop, self.dim = mel, mel.rate, mel.hop, mel.bands

    def features(self, samples: Tensor) -> Tensor:
        """float[B, T] -> float[B, F, bands]"""
        return self.mel(samples)

    def live(self) -> LiveLogMel:
        """The streaming form, without delay."""
        return self.mel.live()
