"""Filling a dictionary of vectors and symbols from what is heard: nothing to differentiate, one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oration.core import BadInput, Loss, Spec
from oration.vocoders.recall import RecallModel


@dataclass(frozen=True, kw_only=True)
class Remember:
    """Fills `Recall` with a fair sample of all segments; the feed is `Crops` with its vectors and its symbols.

    The loss is the share of symbols that the dictionary, as it was before the batch, gets wrong.
    """

    @classmethod
    def tiny(cls) -> Remember:
        return cls()

    def build(self, part: nn.Module, specs: Mapping[str, Spec]) -> RememberModel:
        """Nothing to remember beyond the part itself.

        Raises:
            BadInput: the part is no dictionary.
        """
        if not isinstance(part, RecallModel):
            raise BadInput(f"Remember fills a Recall, but the part is {type(part).__name__}; name that one")
        return RememberModel()


class RememberModel(nn.Module):
    """The filling."""

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """Nothing for an optimizer."""
        return {"model": []}

    @torch.no_grad()
    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """One loss a batch: vectors float[B, F, D] and symbols long[B, F * each], -1 in padding."""
        assert isinstance(part, RecallModel)
        symbols = batch[part.config.gives]
        whole = symbols.shape[1] // part.each
        vectors = batch[part.needs[0]][:, :whole].float().flatten(0, 1)
        values = symbols[:, : whole * part.each].reshape(-1, part.each)
        complete = (values >= 0).all(1)
        vectors, values = vectors[complete], values[complete]
        wrong = (part.look_up(vectors) != values).float().mean() if len(vectors) else vectors.new_zeros(())
        if self.training:
            for vector, value in zip(vectors, values, strict=True):
                self._keep(part, vector, value)
        yield "model", Loss(wrong, {"entries": float(min(int(part.seen), len(part.keys)))})

    @staticmethod
    def _keep(part: RecallModel, vector: Tensor, value: Tensor) -> None:
        """Reservoir sampling (Vitter 1985, algorithm R): every segment seen is kept with the same probability."""
        seen, room = int(part.seen), len(part.keys)
        at = seen if seen < room else int(torch.randint(seen + 1, (1,)))
        if at < room:
            part.keys[at], part.values[at] = vector, value
        part.seen += 1
