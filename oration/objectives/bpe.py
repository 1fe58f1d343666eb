"""Learning a byte-level BPE from transcripts: nothing to differentiate, so the loop only brings the texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oration.core import BadInput, Loss, Spec
from oration.tokenizers.text import TextPiecesModel


@dataclass(frozen=True, kw_only=True)
class Bpe:
    """Fits the merges of `TextPieces`; give it the feed `Texts` and a budget of one step.

    The loss is the number of pieces a byte: 1 before training, and what it saves of a language model's steps after.
    """

    least: int = 2
    """A pair that occurs less often is not merged."""

    @classmethod
    def tiny(cls) -> Bpe:
        return cls()

    def build(self, part: nn.Module, specs: Mapping[str, Spec]) -> BpeModel:
        """Nothing to remember.

        Raises:
            BadInput: the part is no text pieces, or has them from a file.
        """
        if not isinstance(part, TextPiecesModel) or part.numbers.file is not None:
            raise BadInput(
                f"BPE is learned by text pieces without a file, but the part is {type(part).__name__}; "
                "train TextPieces(size=...) with it"
            )
        return BpeModel(self)


class BpeModel(nn.Module):
    """The fit. A step sees all texts, so another step changes nothing."""

    def __init__(self, numbers: Bpe) -> None:
        super().__init__()
        self.numbers = numbers

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """Nothing for an optimizer."""
        return {"model": []}

    @torch.no_grad()
    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """One loss a batch of `Texts`: `text` uint8[N], the texts end to end, and `bytes` long[n], how long each is."""
        assert isinstance(part, TextPiecesModel)
        lengths = batch["bytes"].tolist()
        content = batch["text"].cpu().numpy().tobytes()
        ends = batch["bytes"].cumsum(0).tolist()
        texts = [content[end - length : end].decode() for end, length in zip(ends, lengths, strict=True)]
        if self.training:
            part.learn(texts, self.numbers.least)
        pieces = sum(len(part.of(text)[part.numbers.stream]) for text in texts)
        yield "model", Loss(torch.tensor(pieces / max(1, len(content))), {"symbols": float(len(part.code))})
