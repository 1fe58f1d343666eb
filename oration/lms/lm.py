"""The language model: a grid in, logits for every cell out, each step from the steps before it.

One class serves every system: a body (`bodies.py`), a head (`heads.py`) and a start (`start.py`) between the embeddings
of the rows. It knows tokens and vectors; which cells are given, what they mean and what may come next is the layout's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from oration.core import BadInput, Batch, DenseBatch, Spec, Vocab
from oration.lms.bodies import Body, Fusion
from oration.lms.heads import Head, Rows, inlet, key
from oration.lms.quick import quick
from oration.lms.start import Fresh, Start
from oration.nn.linear import Weights


class TaskLike(Protocol):
    """What a language model asks of a task (`oration.tasks.Task`)."""

    @property
    def name(self) -> str: ...

    @property
    def predict(self) -> tuple[str, ...]: ...

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]: ...

    def vocabs(
        self, specs: Mapping[str, Spec], beside: Sequence[Any] = (), shared: Mapping[str, str] | None = None
    ) -> dict[str, Vocab]: ...


@dataclass(frozen=True, kw_only=True)
class LM:
    """A language model as a value: what it predicts, and with which body, head and start."""

    name: str
    tasks: tuple[TaskLike, ...]
    body: Body
    head: Head = field(default_factory=Rows)
    start: Start = field(default_factory=Fresh)
    context: int | None = 2048
    """Most steps of one grid (prompt and reply together); None: unbounded, for a body with a window."""
    generator: Any = None
    """How it generates (`oration.generate`); None: step by step, the one way of a causal body."""
    exposes: tuple[str, ...] = ()
    """Streams whose items give the vector they were drawn from to later parts, as `<stream>.hidden`."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """Stream -> another whose symbols it uses too where one row has both: `{"user.text": "text"}`."""
    fusion: Fusion | None = None
    """How rows that are heard join those that are said; None: early, every row is summed at the input."""

    def __post_init__(self) -> None:
        if not self.tasks:
            raise BadInput(
                f"the language model {self.name!r} has no task; give at least one, it says which streams it needs"
            )

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        """The streams its tasks see: the given ones and what the tasks' operations make of them.

        Raises:
            BadInput: two tasks give one name to different streams.
        """
        specs: dict[str, Spec] = {}
        for task in self.tasks:
            after = task.specs(given)
            streams = {name for vocab in task.vocabs(after).values() for name in vocab.ranges}
            for name in sorted(streams & set(after)):
                if specs.setdefault(name, after[name]) != after[name]:
                    raise BadInput(
                        f"task {task.name!r} of {self.name!r} has {name!r} as {after[name]}, another task as "
                        f"{specs[name]}; give the two streams different names"
                    )
        return {**given, **specs}

    def vocabs(self, given: Mapping[str, Spec]) -> dict[str, Vocab]:
        """Row -> vocabulary, over all tasks: what `Task.place` and the generators need beside the specs."""
        return self.tasks[0].vocabs(self.specs(given), self.tasks[1:], self.shared)

    def build(self, specs: Mapping[str, Spec]) -> LanguageModel:
        """The model with its starting weights. `specs`: of the tokenizers' streams."""
        vocabs, known = self.vocabs(specs), self.specs(specs)
        streams = {name for vocab in vocabs.values() for name in vocab.ranges}
        model = self._kind()(self, vocabs, {name: known[name].dim for name in sorted(streams & set(known))})
        if not any(parameter.is_meta for parameter in model.parameters()):  # weightless: only its sizes are asked for
            self.start.apply(model)
        return model

    def _kind(self) -> type[LanguageModel]:
        """What this head and body make: a model that goes step by step, or one that makes whole grids."""
        from oration.lms.channels import ChannelModel
        from oration.lms.ctc import Ctc, CtcModel
        from oration.lms.flow_infill import FlowInfillModel, Velocity
        from oration.lms.fusion import FusedModel
        from oration.lms.infill import InfillModel

        for head, model in ((Ctc, CtcModel), (Velocity, FlowInfillModel)):
            if isinstance(self.head, head):
                return model
        if hasattr(self.body, "channels"):
            return ChannelModel
        if self.fusion is not None and self.fusion.where != "early":
            return FusedModel
        return LanguageModel if getattr(self.body, "causal", True) else InfillModel

    def pinned(self) -> LM:
        """What a checkpoint records: a model that builds without the files it once started from."""
        body: Any = self.body
        return replace(self, body=body.pinned() if hasattr(body, "pinned") else body, start=Fresh())

    def tiny(self) -> LM:
        """The same tasks with parts small enough for tests."""
        small: Any = self
        return replace(small, body=small.body.tiny(), head=small.head.tiny(), start=small.start.tiny())


@dataclass(eq=False)
class State:
    """The past of `n` sequences, each at its own position."""

    past: Any
    """The body's `Past`."""
    room: int | None
    """Steps that still fit, whichever sequence is longest; None: any number (the body has a window)."""

    @property
    def length(self) -> Tensor:
        """long[n]: columns fed so far, which is the number of the step to come; -1 before the first call."""
        return self.past.length - 1

    def select(self, index: Tensor) -> State:
        """The same past for the sequences `index` (long[m], repeats allowed): forks, and what is left of a batch."""
        return State(self.past.select(index), self.room)

    def take(self, steps: int) -> None:
        """Account for `steps` about to be fed.

        Raises:
            BadInput: they do not fit.
        """
        if self.room is not None:
            if steps > self.room:
                raise BadInput(
                    f"{steps} more steps do not fit the state, which has room for {self.room}; start a larger one"
                )
            self.room -= steps


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Without dropout for a while, then as before."""
    if not module.training:
        yield
        return
    module.eval()
    try:
        yield
    finally:
        module.train()


class LanguageModel(nn.Module):
    """`LM`, built. Logits of step s come from steps < s; step 0 from a learned start vector."""

    def __init__(self, config: LM, vocabs: Mapping[str, Vocab], widths: Mapping[str, int]) -> None:
        super().__init__()
        self.config, self.vocabs, self.rows, self.context = config, dict(vocabs), tuple(vocabs), config.context
        self.body: Any = config.body.build()
        self.dim: int = self.body.dim
        limit = getattr(self.body, "context", None)
        if limit is not None and (self.context is None or self.context > limit):
            raise BadInput(
                f"{config.name!r} has a context of {self.context} steps, but its body knows {limit} positions; "
                f"set context={limit} or less"
            )
        self.embeddings = nn.ModuleDict({key(row): nn.Embedding(v.size, self.dim) for row, v in vocabs.items()})
        self.values = nn.ModuleDict({key(n): inlet(config.head, n, d, self.dim) for n, d in widths.items() if d})
        self.first = nn.Parameter(torch.randn(self.dim) * 0.02)
        for row, vocab in vocabs.items():
            weight: Any = self.embeddings[key(row)].weight
            nn.init.normal_(weight, std=0.02)
            with torch.no_grad():
                weight[vocab.offset("pad")] = 0
        dense = ({name: d for name, d in widths.items() if d},) if getattr(config.head, "continuous", False) else ()
        self.head: Any = config.head.build(self.dim, self.vocabs, self.embeddings, *dense)
        self._find_dense(widths)

    def _find_dense(self, widths: Mapping[str, int]) -> None:
        self._dense = {
            name: [(k, *v.ranges[name]) for k, v in enumerate(self.vocabs.values()) if name in v.ranges]
            for name, width in widths.items()
            if width
        }

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Batch -> row -> float[B, S, V]: what the model expects at each step, knowing the true steps before it.

        Raises:
            BadInput: rows of another layout, or a grid longer than the context.
        """
        return self.head(self.hidden(batch), batch.tokens.transpose(1, 2))

    def hidden(self, batch: Batch) -> Tensor:
        """Batch -> float[B, S, D]: the body's vectors, from which the head makes the logits of the same step."""
        self._check(batch)
        x = self.columns(batch.tokens, batch.dense)
        x = torch.cat((self.begin(x.shape[0])[:, : x.shape[1]], x[:, :-1]), 1)
        begins = (batch.position == 0).view(*batch.position.shape, *[1] * (x.ndim - 2))
        return self.body(torch.where(begins, self.begin(1), x), batch.position, batch.segment)

    def begin(self, n: int) -> Tensor:
        """float[n, 1, D]: the vector before the first column of each sequence."""
        return self.first.expand(n, 1, -1)

    def columns(self, tokens: Tensor, dense: Mapping[str, DenseBatch]) -> Tensor:
        """long[B, K, S] -> float[B, S, D]: every column as one vector, the sum over its rows and its dense streams."""
        x = sum(self.embeddings[key(row)](tokens[:, k]) for k, row in enumerate(self.rows))
        assert isinstance(x, Tensor)
        for name, at in dense.items():
            vectors = self.values[key(name)](at.values.to(self.first.dtype)).to(x.dtype)
            x = x.index_put((at.sequence, at.step), vectors, accumulate=True)
        return x

    def start(self, n: int, capacity: int) -> State:
        """A state for `n` sequences of at most `capacity` steps, the one to come included.

        With a window, `capacity` may be smaller than that: the window and the longest prefill are enough.

        Raises:
            BadInput: `capacity` is above the model's context.
        """
        if self.context is not None and capacity > self.context:
            raise BadInput(
                f"{capacity} steps do not fit {self.config.name!r}, whose context is {self.context}; "
                "shorten the prompt or ask for fewer steps"
            )
        return State(self.body.past(n, capacity), capacity if self.body.window is None else None)

    def prefill(self, state: State, batch: Batch) -> Tensor:
        """Feed whole grids, one a line (of unequal lengths) -> float[n, D], the hidden vector of the step after each.

        On a fresh state they begin the sequences; on a used one they follow what was fed.
        """
        h, lengths = self._fed(state, batch)
        return h[torch.arange(h.shape[0], device=h.device), lengths - 1]

    def follow(self, state: State, batch: Batch) -> Tensor:
        """As `prefill` -> float[n, S, D], the hidden vectors of the step after each; of a fresh state, step 0 first."""
        return self._fed(state, batch)[0]

    def _fed(self, state: State, batch: Batch) -> tuple[Tensor, Tensor]:
        """The hidden vectors after each step, and long[n], how many of them are true."""
        self._check(batch, plain=True)
        x, lengths = self.columns(batch.tokens, batch.dense), (batch.segment >= 0).sum(1)
        began = state.past.length > 0
        if not bool(began.all()):
            if bool(began.any()):
                raise BadInput("prefill begins all sequences of a state or none; some of these were already begun")
            x, lengths = torch.cat((self.begin(x.shape[0]), x), 1), lengths + 1
        elif bool((lengths == 0).any()):
            raise BadInput("a grid without steps cannot follow what was fed; leave that sequence out")
        state.take(x.shape[1])
        return self.body.extend(x, state.past, x.shape[1] - lengths), lengths

    def advance(self, state: State, column: Tensor | None, dense: Mapping[str, Tensor] | None = None) -> Tensor:
        """Feed one column, long[n, K] -> float[n, D], the hidden vector of the step to come. None: the first step.

        Args:
            dense: stream -> float[n, D]: the vectors of the continuous items in the column; rows of sequences that have
                none there are ignored.
        """
        if column is None:
            x = self.begin(state.past.length.shape[0])
        else:
            x = self.columns(column[:, :, None], self._dense_of(column, dense or {}))
        state.take(1)
        return self.body.extend(x, state.past)[:, 0]

    def next(self, state: State, column: Tensor | None, dense: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Feed one column (None: the first step) -> row -> float[n, V] for the step to come. For independent heads.

        A generator that also serves heads whose rows depend on each other uses `advance` and `head.begin`.
        """
        drawn = self.head.begin(self.advance(state, column, dense))
        return {row: drawn.logits(row) for row in self.rows}

    def fast(self, weights: Weights = "fp32") -> LanguageModel:
        """The same model for inference: linear layers laid out for speed, or in fewer bits (see `oration.nn.linear`).

        It shares its other weights with this one, which goes on as it was; after training, ask anew.

        Raises:
            BadInput: another precision.
        """
        return quick(self, weights)

    def check_vocabs(self, saved: Mapping[str, Vocab]) -> None:
        """Compare with the vocabularies a checkpoint was written with.

        Raises:
            BadInput: they differ.
        """
        for row in dict.fromkeys((*saved, *self.vocabs)):
            ours, theirs = self.vocabs.get(row), saved.get(row)
            if ours != theirs:
                raise BadInput(
                    f"row {row!r} of {self.config.name!r} was saved with {theirs and theirs.blocks}, but the recipe "
                    f"gives {ours and ours.blocks}; load it with the recipe and tokenizers it was trained with"
                )

    def _dense_of(self, column: Tensor, dense: Mapping[str, Tensor]) -> dict[str, DenseBatch]:
        found = {}
        for name, places in self._dense.items():
            inside = torch.stack([(column[:, k] >= first) & (column[:, k] < last) for k, first, last in places])
            which, at = inside.nonzero(as_tuple=True)
            if not len(at):
                continue
            if name not in dense:
                raise BadInput(f"a column holds an item of {name!r} but no vector for it; pass dense={{{name!r}: ...}}")
            row = torch.tensor([k for k, _, _ in places], device=at.device)[which]
            found[name] = DenseBatch(at, row, torch.zeros_like(at), dense[name][at])
        return found

    def _check(self, batch: Batch, *, plain: bool = False) -> None:
        if batch.rows != self.rows:
            raise BadInput(
                f"a batch of rows {batch.rows} does not fit {self.config.name!r}, which has {self.rows}; "
                "place its grids with vocabs=model.vocabs"
            )
        if plain and bool((batch.segment > 0).any()):
            raise BadInput("prefill takes one grid a line, but this batch is packed; use oration.core.collate")
        longest = int(batch.position.max()) + 1 if batch.position.numel() else 0
        if self.context is not None and longest > self.context:
            raise BadInput(
                f"a grid of {longest} steps does not fit {self.config.name!r}, whose context is {self.context}; "
                "cut the example or raise the context"
            )
