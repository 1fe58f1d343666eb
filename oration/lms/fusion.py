"""What a speaking model hears while it speaks, kept apart from what it says until it is fused.

The two later ways of LSLM (Ma et al. 2024, arXiv:2408.02622, section 3.3); the early one is what every model does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from oration.core import BadInput, DenseBatch, Vocab
from oration.lms.bodies import Transformer
from oration.lms.heads import key
from oration.lms.lm import LanguageModel

if TYPE_CHECKING:
    from oration.lms.lm import LM


class FusedModel(LanguageModel):
    """`LM`, built with a middle or late `Fusion`: a column is two vectors, what is said and what is heard."""

    def __init__(self, config: LM, vocabs: Mapping[str, Vocab], widths: Mapping[str, int]) -> None:
        fusion = config.fusion
        assert fusion is not None
        absent = set(fusion.rows) - set(vocabs)
        if absent or not fusion.rows:
            raise BadInput(
                f"the fusion of {config.name!r} names the rows {fusion.rows}, but the model has {tuple(vocabs)}; "
                "name the rows that are heard"
            )
        if fusion.where == "middle" and not isinstance(config.body, Transformer):
            raise BadInput(
                f"middle fusion adds to every layer, which {type(config.body).__name__} does not let it; take "
                "Transformer as the body of " + repr(config.name) + ", or another fusion"
            )
        super().__init__(config, vocabs, widths)
        self.body = FusedBody(self.body, middle=fusion.where == "middle")
        self._heard = [row in fusion.rows for row in self.rows]

    def columns(self, tokens: Tensor, dense: Mapping[str, DenseBatch]) -> Tensor:
        """long[B, K, S] -> float[B, S, 2, D]: the sum over the rows that are said, and over those that are heard."""
        x = tokens.new_zeros(tokens.shape[0], tokens.shape[2], 2, self.dim, dtype=self.first.dtype)
        for k, row in enumerate(self.rows):
            x[:, :, int(self._heard[k])] += self.embeddings[key(row)](tokens[:, k])
        heard = torch.tensor(self._heard, dtype=torch.long, device=tokens.device)
        for name, at in dense.items():
            vectors = self.values[key(name)](at.values.to(x.dtype)).to(x.dtype)
            x = x.index_put((at.sequence, at.step, heard[at.row]), vectors, accumulate=True)
        return x

    def begin(self, n: int) -> Tensor:
        """float[n, 1, 2, D]: the start vector, and silence."""
        return torch.stack((self.first, torch.zeros_like(self.first))).expand(n, 1, 2, -1)


class FusedBody(nn.Module):
    """A body that takes what is said and what is heard, float[B, S, 2, D], and gives float[B, S, D]."""

    causal = True

    def __init__(self, inner: Any, *, middle: bool) -> None:
        super().__init__()
        self.inner, self.middle = inner, middle
        self.dim, self.window = inner.dim, inner.window

    def forward(self, x: Tensor, position: Tensor, segment: Tensor) -> Tensor:
        """float[B, S, 2, D] -> float[B, S, D]; see `BodyModel`."""
        said, heard = x.unbind(2)
        if self.middle:
            return self.inner(said, position, segment, extra=heard)
        return self.inner(said, position, segment) + heard

    def past(self, n: int, capacity: int) -> Any:
        """An empty past."""
        return self.inner.past(n, capacity)

    def extend(self, x: Tensor, past: Any, padding: Tensor | None = None) -> Tensor:
        """float[n, S, 2, D] after the past -> float[n, S, D]; see `BodyModel`."""
        said, heard = x.unbind(2)
        if self.middle:
            return self.inner.extend(said, past, padding, extra=heard)
        return self.inner.extend(said, past, padding) + heard
