"""Flow matching for models that fill in vectors. Knows roles and streams by name, not layouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from oration.core import BadInput, Batch, Loss, Spec
from oration.lms.ctc import grids
from oration.lms.flow_infill import FlowInfillModel


@dataclass(frozen=True, kw_only=True)
class MaskedFlow:
    """Voicebox's objective (Le et al. 2023, arXiv:2306.15687, 3.1 and 3.2): mean squared error of the velocity.

    Of each grid one span of the predicted items is hidden, or all of them. The hidden vectors are mixed with noise at a
    random time, and the model is asked for the straight way from the noise to the vectors (Lipman et al. 2023).
    """

    least: float = 0.7
    """The share that the span hides is drawn from here to 1 (section 4.1 of the paper)."""
    whole: float = 0.3
    """How often everything is hidden."""
    drop: float = 0.2
    """How often everything known is left out, so that a generator may use classifier-free guidance."""

    def __post_init__(self) -> None:
        if not (0 < self.least <= 1 and 0 <= self.whole <= 1 and 0 <= self.drop < 1):
            raise BadInput(f"{self!r}: expected a least share above 0, whole from 0 to 1, and drop from 0 to below 1")

    @classmethod
    def tiny(cls) -> MaskedFlow:
        """Small enough for tests."""
        return cls()

    def build(self, part: Any, specs: Mapping[str, Spec]) -> MaskedFlowModel:
        """`part`: the `FlowInfillModel` to train.

        Raises:
            BadInput: another kind of model.
        """
        if not isinstance(part, FlowInfillModel):
            raise BadInput(
                f"MaskedFlow trains a language model with the head Velocity, but {part.config.name!r} is a "
                f"{type(part).__name__}; give it that head, or another objective"
            )
        return MaskedFlowModel(self)


class MaskedFlowModel(nn.Module):
    """`MaskedFlow`, built. It has no weights of its own; all chance comes from torch's global generator."""

    def __init__(self, config: MaskedFlow) -> None:
        super().__init__()
        self.config = config

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """One optimizer for everything."""
        return {"model": list(part.parameters())}

    def losses(self, part: FlowInfillModel, batch: Batch, progress: float) -> Iterator[tuple[str, Loss]]:
        """One step of one optimizer."""
        yield "model", self(part, batch)

    def forward(self, part: FlowInfillModel, batch: Batch) -> Loss:
        """The loss of one batch.

        Raises:
            BadInput: the batch has nothing to predict.
        """
        asked = part.asked(batch)
        if not bool(asked.any()):
            raise BadInput("a batch has no cell to predict; check the task's `predict` and the streams of its examples")
        number = grids(batch)
        chance = torch.rand(int(number.max()) + 1, 5).to(asked.device)
        hide = asked & self._span(asked.any(1), number, batch.position, chance)[:, None]
        drop = None
        if self.training and self.config.drop:
            drop = part.holds(batch) & ~hide & (chance[:, 3] < self.config.drop)[number][:, None]
        time = chance[:, 4][number]
        noisy, wanted = {}, {}
        for name in part.hidden_items(batch, hide):
            at = batch.dense[name]
            true = part.scaled(name, at.values.float())
            noise, now = torch.randn(true.shape).to(true), time[at.sequence, at.step][:, None]
            noisy[name] = (1 - (1 - part.numbers.sigma) * now) * noise + now * true
            wanted[name] = true - (1 - part.numbers.sigma) * noise
        found, errors, parts = part.velocity(batch, noisy, time, hide, drop), [], {}
        for name, hidden in part.hidden_items(batch, hide).items():
            error = (found[name][hidden].float() - wanted[name][hidden]).square().mean(1)
            errors.append(error)
            if len(error):
                parts[name] = float(error.detach().mean())
        return Loss(torch.cat(errors).mean(), parts)

    def _span(self, mine: Tensor, number: Tensor, position: Tensor, chance: Tensor) -> Tensor:
        """bool[B, S]: the span of each grid that is hidden. `mine`: the steps that have items."""
        at, where = number[mine], position[mine]
        first = torch.full_like(chance[:, 0], 2**24).scatter_reduce(0, at, where.float(), "amin")
        last = torch.full_like(chance[:, 0], -1).scatter_reduce(0, at, where.float(), "amax")
        items = last - first + 1
        share = self.config.least + (1 - self.config.least) * chance[:, 0]
        share = torch.where(chance[:, 1] < self.config.whole, 1.0, share)
        long = (share * items).round().clamp(min=1)
        begin = first + (chance[:, 2] * (items - long + 1)).floor()
        return (position >= begin[number]) & (position < (begin + long)[number])
