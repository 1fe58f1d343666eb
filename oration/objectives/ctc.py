"""CTC over what a language model reads at once. Knows no layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from oration.core import BadInput, Batch, Loss, Spec
from oration.lms.ctc import CtcModel


@dataclass(frozen=True, kw_only=True)
class CtcLoss:
    """-log p of the predicted symbols over all alignments, nats per symbol (Graves et al. 2006; LLaMA-Omni, 2.4).

    The parts: the same under the stream's name, and `too_long`, the share of grids whose symbols do not fit the steps
    that `Ctc.upsample` gives them. Those teach nothing.
    """

    too_long: Literal["skip", "refuse"] = "skip"
    """What happens to them: they are left out and counted, or the first one stops the training."""

    @classmethod
    def tiny(cls) -> CtcLoss:
        """Small enough for tests."""
        return cls()

    def build(self, part: Any, specs: Mapping[str, Spec]) -> CtcLossModel:
        """`part`: the `CtcModel` to train.

        Raises:
            BadInput: another kind of model.
        """
        if not isinstance(part, CtcModel):
            raise BadInput(
                f"CtcLoss trains a language model with the head Ctc, but {part.config.name!r} is a "
                f"{type(part).__name__}; give it that head, or another objective"
            )
        return CtcLossModel(self)


class CtcLossModel(nn.Module):
    """`CtcLoss`, built. It has no weights of its own."""

    def __init__(self, config: CtcLoss) -> None:
        super().__init__()
        self.config = config

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """One optimizer for everything."""
        return {"model": list(part.parameters())}

    def losses(self, part: CtcModel, batch: Batch, progress: float) -> Iterator[tuple[str, Loss]]:
        """One step of one optimizer."""
        yield "model", self(part, batch)

    def forward(self, part: CtcModel, batch: Batch) -> Loss:
        """The loss of one batch.

        Raises:
            BadInput: nothing to predict, a given beginning, or (`refuse`) symbols that do not fit.
        """
        nats, true = part.losses(batch)
        fits = torch.isfinite(nats)
        if not bool((true.lengths > 0).any()):
            raise BadInput(
                f"a batch has no {part.stream!r} to predict; check the task's `predict` and the streams of its examples"
            )
        if self.config.too_long == "refuse" and not bool(fits.all()):
            worst = int((~fits).nonzero()[0, 0])
            raise BadInput(
                f"{int(true.lengths[worst])} symbols of {part.stream!r} need {int(true.steps[worst])} steps, more than "
                f"their grid has at {part.upsample} a given item; raise Ctc(upsample=...), or leave that clip out"
            )
        count = true.lengths[fits].sum()
        total = torch.where(fits, nats, 0.0).sum() / count.clamp(min=1)
        parts = {part.stream: float(total.detach())} if int(count) else {}
        return Loss(total, parts | {"too_long": 1 - float(fits.float().mean())})
