"""Cross-entropy over the cells a language model predicts. Knows roles and blocks of symbols, not layouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import PREDICT, BadInput, Batch, DenseBatch, Loss, Spec, Vocab


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Weighted mean of -log p over all cells whose role is PREDICT.

    The parts of the loss are plain means in nats per symbol, one for each block that occurs: a stream's name, `end`,
    `@stream` for the marks of a `Weave`. Where the head makes vectors, the cell of a continuous item has the head's
    loss of its vector besides (`vector_losses`), and the part named after the stream is the sum of both.
    """

    weights: Mapping[str, float] | tuple[tuple[str, float], ...] = ()
    """(stream, weight): how much a symbol of the stream counts; 1 where nothing is said. Moshi: 100 for level 0."""
    pad_weight: float = 1.0
    """Factor for the filler symbols named in `pads`. Moshi: 0.5 for text padding."""
    pads: tuple[tuple[str, int], ...] = ()
    """(stream, symbol): the symbols that only fill time."""
    share: float = 1.0
    """In training, the share of the steps, drawn anew each time, at which a head whose rows depend on each other runs.
    They stand for the others, so the loss keeps its mean. CSM: 1/16."""

    def __post_init__(self) -> None:
        for name, weight in (*dict(self.weights).items(), ("pad_weight", self.pad_weight)):
            if not 0 <= weight < float("inf"):
                raise BadInput(f"the weight of {name!r} is {weight}, expected a finite number of 0 or more")
        if not 0 < self.share <= 1:
            raise BadInput(
                f"a share of {self.share} of the steps cannot be trained on; expected more than 0, at most 1"
            )

    @classmethod
    def tiny(cls) -> CrossEntropy:
        """Small enough for tests."""
        return cls()

    def build(self, part: Any, specs: Mapping[str, Spec]) -> CrossEntropyModel:
        """`part`: the `LanguageModel` to train.

        Raises:
            BadInput: a weight or a pad for a stream that the model does not have, or a model trained otherwise.
        """
        other = getattr(part, "trained_by", None)
        if other is not None:
            raise BadInput(
                f"cross-entropy cannot train {part.config.name!r}, a {type(part).__name__}, which has no logits for "
                f"the cells of a grid; use the objective {other}"
            )
        return CrossEntropyModel(self, part.vocabs)


class CrossEntropyModel(nn.Module):
    """`CrossEntropy`, built for one model's vocabularies. The part must have `hidden(batch)`, `head` and `rows`."""

    def __init__(self, config: CrossEntropy, vocabs: Mapping[str, Vocab]) -> None:
        super().__init__()
        self.weights = weights = dict(config.weights)
        self.share = config.share
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
            BadInput: the batch has no cell to predict, or one in a row without logits.
        """
        asked = batch.role == PREDICT
        sequence, step = asked.any(1).nonzero(as_tuple=True)
        if not len(sequence):
            raise BadInput("a batch has no cell to predict; check the task's `predict` and the streams of its examples")
        body = part.hidden(batch)
        hidden, tokens, asked = body[sequence, step], batch.tokens[sequence, :, step], asked[sequence, :, step]
        sums = _Sums(len(self.blocks), tokens.device)
        for row, here, logits, scale in self._logits(part, hidden, tokens, asked):
            true = tokens[here, row]
            nats = F.cross_entropy(logits.float(), true, reduction="none")
            sums.add(nats, self.get_buffer(f"weight{row}")[true], self.get_buffer(f"block{row}")[true], scale)
        if part.head.continuous:
            for name, dense in batch.dense.items():
                self._vectors(part, batch, body, name, dense, sums)
        return sums.loss(self.blocks)

    def _logits(
        self, part: Any, hidden: Tensor, tokens: Tensor, asked: Tensor
    ) -> Iterator[tuple[int, Tensor, Tensor, float]]:
        """(row, which of the steps long[n], their logits float[n, V], how many steps each of them stands for)."""
        # The head runs only where it is asked: a prompt or a user's turn costs nothing there, and a row that is
        # predicted at some steps only costs those.
        rows = {row: k for k, row in enumerate(part.rows)}
        for group in part.head.groups:
            steps = asked[:, [rows.pop(row) for row in group]].any(1).nonzero()[:, 0]
            if not len(steps):
                continue
            scale = 1.0
            if len(group) > 1 and self.share < 1 and part.training:
                kept = torch.randperm(len(steps))[: max(1, round(self.share * len(steps)))].sort().values
                steps, scale = steps[kept.to(steps.device)], len(steps) / len(kept)
            logits = part.head(hidden[steps], tokens[steps], group)
            for row in group:
                k = part.rows.index(row)
                here = asked[steps, k].nonzero()[:, 0]
                whole = len(here) == len(steps)
                yield k, steps[here], logits[row] if whole else logits[row][here], scale
        for row, k in rows.items():
            if bool(asked[:, k].any()):
                raise BadInput(
                    f"a task predicts row {row!r}, which the head gives no logits; it has them for "
                    f"{part.head.rows}, so name the row there or do not predict its streams"
                )

    def _vectors(self, part: Any, batch: Batch, body: Tensor, name: str, dense: DenseBatch, sums: _Sums) -> None:
        """Add the losses of one stream's predicted vectors to their cells."""
        here = (batch.role[dense.sequence, dense.row, dense.step] == PREDICT).nonzero()[:, 0]
        if not len(here):
            return
        sequence, step = dense.sequence[here], dense.step[here]
        # In order of time, so that the item before is the one before, if it is of the same grid.
        order = torch.argsort(sequence * body.shape[1] + step)
        here, sequence, step = here[order], sequence[order], step[order]
        segment, before = batch.segment[sequence, step], torch.arange(len(here), device=body.device) - 1
        begins = (sequence != sequence.roll(1)) | (segment != segment.roll(1))
        begins[0] = True
        losses = part.head.vector_losses(
            body[sequence, step], name, dense.values[here], torch.where(begins, -1, before)
        ).float()
        sums.more(losses, self.weights.get(name, 1.0), self.blocks.index(name))


class _Sums:
    """The loss and its parts, while they are being summed."""

    def __init__(self, blocks: int, device: torch.device) -> None:
        self.total, self.mass = torch.zeros((), device=device), torch.zeros((), device=device)
        self.parts = torch.zeros(blocks, 2, device=device)

    def add(self, losses: Tensor, weight: Tensor, block: Tensor, scale: float = 1.0) -> None:
        """Cells: float[n], float[n], long[n]; each stands for `scale` cells."""
        self.total = self.total + (losses * weight).sum() * scale
        self.mass = self.mass + weight.sum() * scale
        self.parts.index_add_(0, block, torch.stack((losses.detach(), torch.ones_like(losses)), 1))

    def more(self, losses: Tensor, weight: float, block: int) -> None:
        """What cells of one block have besides: float[n]."""
        self.total = self.total + losses.sum() * weight
        self.parts[block, 0] += losses.detach().sum()

    def loss(self, blocks: tuple[str, ...]) -> Loss:
        """The weighted mean of all cells, and the plain ones of each block."""
        found = [
            (name, total / count) for name, (total, count) in zip(blocks, self.parts.tolist(), strict=True) if count
        ]
        return Loss(self.total / self.mass.clamp(min=1e-9), dict(found))
