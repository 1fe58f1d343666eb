"""How likely a language model finds an example. Knows roles and blocks of symbols, not layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from oration.core import PREDICT, BadInput, Example, Spec, collate
from oration.lms import LanguageModel, evaluating
from oration.tasks import Task


@dataclass(frozen=True)
class Likelihood:
    """Log-likelihood of some symbols."""

    nats: float
    """Sum of log p, at most 0."""
    count: int
    """How many symbols."""

    @property
    def mean(self) -> float:
        """Nats per symbol; NaN of no symbols."""
        return self.nats / self.count if self.count else float("nan")


@dataclass(frozen=True)
class Score:
    """The likelihood of one example's predicted cells, by block: a stream's name, `end`, `@stream` for marks."""

    parts: Mapping[str, Likelihood]

    @property
    def total(self) -> Likelihood:
        """All predicted symbols together: the log-likelihood of what is not given."""
        return Likelihood(sum(p.nats for p in self.parts.values()), sum(p.count for p in self.parts.values()))

    def __getitem__(self, block: str) -> Likelihood:
        return self.parts.get(block, Likelihood(0.0, 0))


@torch.inference_mode()
def score(
    lm: LanguageModel,
    task: Task,
    examples: Sequence[Example],
    specs: Mapping[str, Spec],
    known: Sequence[Mapping[str, int]] | None = None,
    *,
    batch: int = 16,
) -> list[Score]:
    """The log-likelihood of each example (prepared: operations done), batched by length.

    Args:
        specs: of the streams after the task's operations.
        known: for each example, how many first items of each predicted stream are prompt and not scored.
        batch: examples run at once; it does not change the result.

    Raises:
        BadInput: `known` of another length than `examples`, or an example longer than the model's context.
    """
    if known is not None and len(known) != len(examples):
        raise BadInput(f"score got {len(known)} prompts (`known`) for {len(examples)} examples; give one for each")
    grids = [task.place([example], specs, known[i] if known else None, lm.vocabs) for i, example in enumerate(examples)]
    pads = [vocab.offset("pad") for vocab in lm.vocabs.values()]
    order = sorted(range(len(grids)), key=lambda i: grids[i].steps)
    scores: dict[int, Score] = {}
    for at in range(0, len(order), batch):
        chosen = order[at : at + batch]
        scores.update(zip(chosen, _score([grids[i] for i in chosen], lm, pads), strict=True))
    return [scores[i] for i in range(len(examples))]


def _score(grids: list, lm: LanguageModel, pads: list[int]) -> list[Score]:
    device = lm.first.device
    batch = collate(grids, pads).to(device)
    asked = batch.role == PREDICT
    sequence, step = asked.any(1).nonzero(as_tuple=True)
    tokens, asked = batch.tokens[sequence, :, step], asked[sequence, :, step]
    with evaluating(lm):
        logits = lm.head(lm.hidden(batch)[sequence, step], tokens)
    found: list[dict[str, Likelihood]] = [{} for _ in grids]
    for k, (row, vocab) in enumerate(lm.vocabs.items()):
        here = asked[:, k]
        true = tokens[here, k]
        nats = logits[row][here].float().log_softmax(-1).gather(-1, true[:, None])[:, 0].double()
        for block, (first, last) in vocab.ranges.items():
            inside = (true >= first) & (true < last)
            sums = torch.zeros(len(grids), 2, dtype=torch.float64, device=device)
            sums.index_add_(0, sequence[here][inside], torch.stack((nats, torch.ones_like(nats)), 1)[inside])
            for parts, (total, count) in zip(found, sums.tolist(), strict=True):
                if count:
                    before = parts.get(block, Likelihood(0.0, 0))
                    parts[block] = Likelihood(before.nats + total, before.count + int(count))
    return [Score(parts) for parts in found]
