"""Cross-entropy over the cells a language model predicts. Knows roles and blocks of symbols, not layouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import PREDICT, BadInput, Batch, Loss, Spec, Vocab


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Weighted mean of -log p over all cells whose role is PREDICT.

    The parts of the loss are plain means in nats per symbol, one for each block that occurs: a stream's name, `end`,
    `@stream` for the marks of a `Weave`.
    """

    weights: Mapping[str, float] | tuple[tuple[str, float], ...] = ()
    """(stream, weight): how much a symbol of the stream counts; 1 where nothing is said. Moshi: 100 for level 0."""
    pad_weight: float = 1.0
    """Factor for the filler symbols named in `pads`. Moshi: 0.5 for text padding."""
    pads: tuple[tuple[str, int], ...] = ()
    """(stream, symbol): the symbols that only fill time."""

    def __post_init__(self) -> None:
        for name, weight in (*dict(self.weights).items(), ("pad_weight", self.pad_weight)):
            if not 0 <= weight < float("inf"):
                raise BadInput(f"the weight of {name!r} is {weight}, expected a finite number of 0 or more")

    @classmethod
    def tiny(cls) -> CrossEntropy:
        """Small enough for tests."""
        return cls()

    def build(self, part: Any, specs: Mapping[str, Spec]) -> CrossEntropyModel:
        """`part`: the `LanguageModel` to train.

        Raises:
            BadInput: a weight or a pad for a stream that the model does not have.
        """
        return CrossEntropyModel(self, part.vocabs)


class CrossEntropyModel(nn.Module):
    """`CrossEntropy`, built for one model's vocabularies. The part must have `hidden(batch)`, `head` and `rows`."""

    def __init__(self, config: CrossEntropy, vocabs: Mapping[str, Vocab]) -> None:
        super().__init__()
        weights = dict(config.weights)
        self.blocks = tuple(dict.fromkeys(name for vocab in vocabs.values() for name, _ in vocab.blocks))
        for name in (*weights, *(stream for stream, _ in config.pads)):
            if name not in self.blocks:
                raise BadInput(
                    f"cross-entropy weighs the stream {name!r}, which the model does not have; it has {self.blocks}"
                )
        for row, vocab in enumerate(vocabs.values()):
            weight = torch.cat([torch.full((size,), float(weights.get(name, 1.0))) for name, size in vocab.blocks])
            block = torch.cat([torch.full((size,), self.blocks.index(name)) for name, size in vocab.blocks])
            for stream, symbol in config.pads:
                if stream in vocab.ranges:
                    weight[vocab.offset(stream) + symbol] *= config.pad_weight
            self.register_buffer(f"weight{row}", weight, persistent=False)
            self.register_buffer(f"block{row}", block, persistent=False)

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """One optimizer for everything."""
        return {"model": [*part.parameters(), *self.parameters()]}

    def losses(self, part: Any, batch: Batch, progress: float) -> Iterator[tuple[str, Loss]]:
        """One step of one optimizer."""
        yield "model", self(part, batch)

    def forward(self, part: Any, batch: Batch) -> Loss:
        """The loss of one batch.

        Raises:
            BadInput: the batch has no cell to predict.
        """
        # The head runs only at steps where some row is predicted: a prompt or a user's turn costs nothing there.
        asked = batch.role == PREDICT
        sequence, step = asked.any(1).nonzero(as_tuple=True)
        tokens, asked = batch.tokens[sequence, :, step], asked[sequence, :, step]
        logits = part.head(part.hidden(batch)[sequence, step], tokens)
        total, mass = tokens.new_zeros((), dtype=torch.float32), tokens.new_zeros((), dtype=torch.float32)
        sums = torch.zeros(len(self.blocks), 2, device=tokens.device)
        for k, row in enumerate(part.rows):
            here = asked[:, k]
            true = tokens[here, k]
            nats = F.cross_entropy(logits[row][here].float(), true, reduction="none")
            weight: Tensor = self.get_buffer(f"weight{k}")[true]
            total, mass = total + (nats * weight).sum(), mass + weight.sum()
            sums.index_add_(
                0, self.get_buffer(f"block{k}")[true], torch.stack((nats.detach(), torch.ones_like(nats)), 1)
            )
        if not len(sequence):
            raise BadInput("a batch has no cell to predict; check the task's `predict` and the streams of its examples")
        found = [(name, s, n) for name, (s, n) in zip(self.blocks, sums.tolist(), strict=True) if n]
        return Loss(total / mass.clamp(min=1e-9), {name: s / n for name, s, n in found})
