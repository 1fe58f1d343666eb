"""A model that fills in: hidden cells of a whole grid, from everything else that stands on it.

SoundStorm (Borsos et al. 2023, arXiv:2305.09636) and the non-autoregressive part of VALL-E (Wang et al. 2023,
arXiv:2301.02111, 4.2.2) are this model under two objectives. It knows roles, rows and streams by name, not layouts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from oration.core import GIVEN, PREDICT, BadInput, Batch, Vocab
from oration.lms.heads import key
from oration.lms.lm import LanguageModel, State

if TYPE_CHECKING:
    from oration.lms.lm import LM


class Whole(LanguageModel):
    """A model of whole grids: it has no steps. What it needs to know of cells, whatever it does with them."""

    def __init__(self, config: LM, vocabs: Mapping[str, Vocab], widths: Mapping[str, int]) -> None:
        super().__init__(config, vocabs, widths)
        self.streams = tuple(widths)
        self.widths = {name: width for name, width in widths.items() if width}
        """Continuous stream -> width of its vectors."""
        for k, vocab in enumerate(vocabs.values()):
            owner = [
                self.streams.index(name) if name in widths else -1 for name, size in vocab.blocks for _ in range(size)
            ]
            self.register_buffer(f"owner{k}", torch.tensor(owner), persistent=False)

    @property
    def predicted(self) -> tuple[str, ...]:
        """The streams that some task predicts."""
        return tuple(dict.fromkeys(name for task in self.config.tasks for name in task.predict))

    def holds(self, batch: Batch, streams: Collection[str] | None = None) -> Tensor:
        """bool[B, K, S]: the cells with a symbol of these streams (None: of any), and not a mark or nothing."""
        wanted = torch.tensor([streams is None or name in streams for name in self.streams] + [False])
        wanted = wanted.to(batch.tokens.device)  # of marks, the owner is -1: the last
        found = [wanted[self.get_buffer(f"owner{k}")[batch.tokens[:, k]]] for k in range(len(self.rows))]
        return torch.stack(found, 1) & (batch.segment >= 0)[:, None]

    def asked(self, batch: Batch) -> Tensor:
        """bool[B, K, S]: the symbols to predict. Where a stream ends is known, so marks are never among them."""
        return self.holds(batch) & (batch.role == PREDICT)

    def cell_nats(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """float64[B, K, S] and bool[B, K, S]: log p of each cell in nats, and the cells that have one."""
        raise NotImplementedError

    def start(self, n: int, capacity: int) -> State:
        """There is nothing to start.

        Raises:
            BadInput: always.
        """
        raise BadInput(
            f"{self.config.name!r} ({type(self).__name__}) makes whole grids and does not go step by step; give its "
            "LM a generator: Confidence, Levels, Ode or Once"
        )


class InfillModel(Whole):
    """`LM` with a body that is not causal. Logits of step s come from step s, where hidden cells show a learned vector.

    One level may be asked for: its row's vector is added to every step, or scales and shifts the norms of a body with
    `Layer(condition=...)`. The vector `first` stands for given cells that are left out (classifier-free guidance).
    """

    def __init__(self, config: LM, vocabs: Mapping[str, Vocab], widths: Mapping[str, int]) -> None:
        super().__init__(config, vocabs, widths)
        if getattr(self.body, "causal", True):
            raise BadInput(
                f"{config.name!r} is to fill in, but its body looks back only; build the body with causal=False"
            )
        self.masks = nn.ParameterDict({key(row): nn.Parameter(torch.randn(self.dim) * 0.02) for row in vocabs})
        self.condition = int(getattr(getattr(config.body, "layer", None), "condition", 0))
        """Width of the vector that the body's norms take; 0: none, so what would go there is added to every step."""
        self.stages = nn.Embedding(len(vocabs), self.condition or self.dim)
        if not self.condition:
            nn.init.normal_(cast(Tensor, self.stages.weight), std=0.02)

    def hidden(
        self, batch: Batch, hide: Tensor | None = None, stage: Tensor | None = None, drop: Tensor | None = None
    ) -> Tensor:
        """Batch -> float[B, S, D].

        Args:
            hide: bool[B, K, S], cells that show the vector of their row instead of what they hold; None: all `asked`.
            stage: long[B, S], the number of the row asked for in each step's grid; -1 or None: all at once.
            drop: bool[B, K, S], given cells that are left out.
        """
        hide = self.asked(batch) if hide is None else hide
        stage = torch.full_like(batch.segment, -1) if stage is None else stage
        mark = self.stages(stage.clamp(min=0)) * (stage >= 0)[..., None]
        return self.look(batch, self.filled(batch, hide, drop), mark)

    def filled(self, batch: Batch, hide: Tensor, drop: Tensor | None = None) -> Tensor:
        """float[B, S, D]: every column as one vector, as `columns`, but for the cells that are not to be seen."""
        self._check(batch)
        gone = hide if drop is None else hide | drop
        x: Any = 0
        for k, row in enumerate(self.rows):
            cell = self.embeddings[key(row)](batch.tokens[:, k])
            if drop is not None:
                cell = torch.where(drop[:, k, :, None], self.first, cell)
            x = x + torch.where(hide[:, k, :, None], self.masks[key(row)], cell)
        for name, at in batch.dense.items():
            vectors = self.values[key(name)](self.scaled(name, at.values).to(self.first.dtype)).to(x.dtype)
            seen = ~gone[at.sequence, at.row, at.step]
            x = x.index_put((at.sequence, at.step), vectors * seen[:, None], accumulate=True)
        return x

    def scaled(self, name: str, values: Tensor) -> Tensor:
        """The vectors of a continuous stream as the model takes them, float[N, W]."""
        return values

    def look(self, batch: Batch, x: Tensor, mark: Tensor) -> Tensor:
        """The body, told `mark` (float[B, S or 1, C]), what the whole grid is about."""
        if self.condition:
            return self.body(x, batch.position, batch.segment, condition=mark.to(x.dtype))
        return self.body(x + mark, batch.position, batch.segment)

    def row_logits(self, hidden: Tensor, tokens: Tensor, k: int) -> Tensor:
        """float[N, D] and the columns long[N, K] -> float[N, V] of row k, which may depend on the rows above it."""
        row = self.rows[k]
        return self.head(hidden, tokens, (row,))[row]

    def level(self, batch: Batch, k: int, hide: Tensor, drop: Tensor | None = None) -> Tensor:
        """float[N, V]: what is expected in the hidden cells of row k, in the order of `hide[:, k].nonzero()`.

        Args:
            hide: bool[B, K, S]. For a level by level model, all of what is asked in the rows below belongs to it.
        """
        hidden = self.hidden(batch, hide, torch.full_like(batch.segment, k), drop)
        sequence, step = hide[:, k].nonzero(as_tuple=True)
        return self.row_logits(hidden[sequence, step], batch.tokens[sequence, :, step], k)

    def condition_of(self, batch: Batch) -> Tensor:
        """bool[B, K, S]: the given symbols that guidance leaves out: of the streams a task names, or of all."""
        named = {name for task in self.config.tasks for name in getattr(task, "condition", ())}
        return self.holds(batch, named or None) & (batch.role == GIVEN)

    @torch.no_grad()
    def cell_nats(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """float64[B, K, S] and bool[B, K, S]: log p of each cell, and the cells that have one.

        A level is expected all at once, from what is given and the levels above it: the product over its cells is a
        pseudo-likelihood, which is what VALL-E's model of the levels factors into (arXiv:2301.02111, equation 2).
        """
        asked = self.asked(batch)
        nats = torch.zeros(asked.shape, dtype=torch.float64, device=asked.device)
        for k in range(len(self.rows)):
            if not bool(asked[:, k].any()):
                continue
            hide = asked.clone()
            hide[:, :k] = False
            logp = self.level(batch, k, hide).float().log_softmax(-1)
            true = batch.tokens[:, k][asked[:, k]]
            nats[:, k][asked[:, k]] = logp.gather(-1, true[:, None])[:, 0].double()
        return nats, asked
