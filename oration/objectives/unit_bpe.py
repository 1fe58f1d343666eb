"""Learning pieces of units: nothing to differentiate, so the loop only brings the sequences (feed `Whole`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oration.core import BadInput, Loss, Spec, Stream
from oration.tokenizers.unit_pieces import UnitPiecesModel


@dataclass(frozen=True, kw_only=True)
class UnitBpe:
    """Fits the merges of `UnitPieces`; give it the feed `Whole` of the stream it `needs`, and a budget of one step.

    The loss is the number of pieces a unit: 1 before training, and what it saves of a language model's steps after.
    """

    least: int = 2
    """A pair that occurs less often is not merged."""

    @classmethod
    def tiny(cls) -> UnitBpe:
        return cls()

    def build(self, part: nn.Module, specs: Mapping[str, Spec]) -> UnitBpeModel:
        """Nothing to remember.

        Raises:
            BadInput: the part is no unit pieces, or its units have another number of symbols than their stream.
        """
        if not isinstance(part, UnitPiecesModel):
            raise BadInput(f"UnitBpe fits pieces of units, but the part is {type(part).__name__}; name a UnitPieces")
        (name,) = part.needs
        if name in specs and specs[name].size != part.numbers.units:
            raise BadInput(
                f"UnitPieces has units={part.numbers.units}, but {name!r} has {specs[name].size} symbols; set that"
            )
        return UnitBpeModel(self)


class UnitBpeModel(nn.Module):
    """The fit. A step sees all sequences, so another step changes nothing."""

    def __init__(self, numbers: UnitBpe) -> None:
        super().__init__()
        self.numbers = numbers

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """Nothing for an optimizer."""
        return {"model": []}

    @torch.no_grad()
    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """One loss a batch of `Whole`."""
        assert isinstance(part, UnitPiecesModel)
        (name,) = part.needs
        whole = torch.split(batch[name], batch[f"{name}/lengths"].tolist())
        sequences = [part.units({name: Stream(ids.cpu().numpy())}) for ids in whole]
        if self.training:
            part.learn((sequence.ids for sequence in sequences), self.numbers.least)
        pieces = sum(len(part.code.encode(sequence.ids)) for sequence in sequences)
        units = max(1, sum(map(len, sequences)))
        learned = float(len(part.code.pieces))
        yield "model", Loss(torch.tensor(pieces / units), {"symbols": learned, "units": float(units)})
