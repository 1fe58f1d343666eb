"""Training durations and pitch from units that are already timed. Knows no sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import Loss, Specs
from oration.vocoders.prosody import ProsodyModel


@dataclass(frozen=True, kw_only=True)
class ProsodyLoss:
    """Cross-entropy (nats) of each run's length and of each frame's pitch bin, given the true lengths."""

    durations: float = 1.0
    """Weight of the durations."""
    pitch: float = 1.0

    @classmethod
    def tiny(cls) -> ProsodyLoss:
        return cls()

    def build(self, part: nn.Module, specs: Specs) -> ProsodyLossModel:
        return ProsodyLossModel(self)


class ProsodyLossModel(nn.Module):
    """No weights of its own."""

    def __init__(self, config: ProsodyLoss) -> None:
        super().__init__()
        self.config = config

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        return {"model": list(part.parameters())}

    def losses(self, part: ProsodyModel, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """Yields (model, loss).

        Args:
            batch: the units long[B, F] padded with -1, `f0` long[B, F * n] if the part gives it, one-item streams
                long[B].
        """
        units = batch[part.stream]
        found = Runs(units, part.config.longest)
        hidden = part.hidden(found.runs, [batch[name] for name in part.needs[1:]], found.valid)
        durations = F.cross_entropy(
            part.duration_logits(hidden).flatten(0, 1).float(), found.targets.flatten(), ignore_index=-1
        )
        total = self.config.durations * durations
        parts: dict[str, Tensor | float] = {"durations": durations.detach()}
        if "f0" in part.gives:
            real = (units >= 0).float()[..., None]
            logits = part.pitch_logits(hidden, found.run, found.since, found.until, real)
            wanted = batch["f0"][:, : logits.shape[1]]
            pitch = F.cross_entropy(
                logits[:, : wanted.shape[1]].flatten(0, 1).float(), wanted.flatten(), ignore_index=-1
            )
            total = total + self.config.pitch * pitch
            parts["pitch"] = pitch.detach()
        yield "model", Loss(total, parts)


class Runs:
    """Units long[B, F], padded with -1 on the right -> their runs, none longer than `longest`."""

    def __init__(self, units: Tensor, longest: int) -> None:
        batch, frames = units.shape
        real = units >= 0
        at = torch.arange(frames, device=units.device).expand(batch, -1)
        edge = torch.ones_like(real)
        edge[:, 1:] = units[:, 1:] != units[:, :-1]
        start = torch.where(edge, at, 0).cummax(1).values
        edge = (at - start) % longest == 0
        start = torch.where(edge, at, 0).cummax(1).values
        self.run = (edge & real).cumsum(1).clamp_min(1) - 1
        """long[B, F]: the run of each frame; in padding, that of the last real frame."""
        count = (edge & real).sum(1)
        size = max(1, int(count.max()))
        lengths = units.new_zeros(batch, size).scatter_add_(1, self.run, real.long())
        number = torch.arange(size, device=units.device).expand(batch, -1)
        last = count[:, None] - 1
        # a run at either end of a crop may go on outside it, so its length is unknown
        inside = (number > 0) & (number < last)
        self.targets = torch.where(inside, lengths - 1, -1)
        """long[B, R]: length - 1 in frames, -1 where it is unknown."""
        first = units.new_zeros(batch, size).scatter_add_(1, self.run, torch.where(edge & real, units, 0))
        self.runs = torch.where(number <= last, first, -1)
        """long[B, R]: the unit of each run, padded with -1."""
        self.valid = (number <= last).float()[..., None]
        """float[B, R, 1]"""
        self.since = (at - start).clamp_max(longest - 1)
        """long[B, F]: frames of the run before this one."""
        self.until = (lengths.gather(1, self.run) - 1 - (at - start)).clamp(0, longest - 1)
        """long[B, F]: frames of the run after this one."""
