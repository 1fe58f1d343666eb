"""The depth head: a small Transformer over the rows of one column, each row knowing those drawn above it.

The RQ-Transformer of Lee et al. 2022 (arXiv:2203.01941) in the forms that speech LMs gave it. Knows no layout.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput, Vocab
from oration.lms.heads import key
from oration.nn.look import Cache
from oration.nn.native import Blocks, Parts, readable
from oration.nn.positions import Rope, Rotary, rotate


@dataclass(frozen=True, kw_only=True)
class Depth:
    """A depth Transformer: Moshi (Défossez et al. 2024, arXiv:2410.00037, 3.4.1), UniAudio (Yang et al. 2023,
    arXiv:2310.00704, 3.2), CSM (Sesame 2025).

    With as many rows as levels, a column costs one short sequence, whatever the number of steps before it.
    """

    layers: int
    dim: int
    heads: int
    ffn: int
    """Width of the gated MLP (SwiGLU)."""
    kv_heads: int | None = None
    """None: as many as `heads`."""
    rows: tuple[str, ...] | None = None
    """The rows it predicts. None: all but the independent ones. Other rows are never predicted and cost nothing."""
    independent: tuple[str, ...] = ()
    """Rows predicted from the body's vector alone, by a projection; what they hold is seen by the rows below them.
    Moshi's text, CSM's level 0."""
    weights_per_row: bool = False
    """Weights of its own for each place of the short sequence (Moshi); norms are shared."""
    inputs: Literal["sum", "sequence"] = "sum"
    """`sum`: a place holds the body's vector plus the embedding of the row above, from a table of the head (Moshi,
    UniAudio). `sequence`: the body's vector comes first, then the language model's embedding of one row after another,
    all through one projection (CSM)."""
    rope_base: float | Rope | None = 10_000.0
    """Base of the rotary positions along the rows; None: no positions (Moshi, whose weights tell the rows apart)."""
    norm_eps: float = 1e-6
    final_norm: bool = True
    """A norm before the projections to symbols; Moshi has none."""
    continuous: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.dim % self.heads or (self.dim // self.heads) % 2 or self.heads % (self.kv_heads or self.heads):
            raise BadInput(
                f"a Depth head of dim={self.dim}, heads={self.heads}, kv_heads={self.kv_heads} does not divide; "
                "expected heads of an even width and a whole number of heads for each of kv_heads"
            )

    def tiny(self) -> Depth:
        """The same structure, small enough for tests."""
        kv_heads = 1 if self.kv_heads and self.kv_heads < self.heads else None
        return replace(self, layers=2, dim=16, heads=2, kv_heads=kv_heads, ffn=24)

    def build(self, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict) -> DepthModel:
        """`embeddings`: row (as `key`) -> nn.Embedding of the language model.

        Raises:
            BadInput: it names a row that the model does not have, or one twice.
        """
        return DepthModel(self, dim, vocabs, embeddings)


class Each(nn.Module):
    """A linear layer without bias for each place of a short sequence, or one for all of them."""

    def __init__(self, count: int, inward: int, outward: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inward, outward, bias=False) for _ in range(count))

    def forward(self, x: Tensor, first: int) -> Tensor:
        """float[N, M, in] at the places `first` and on -> float[N, M, out]."""
        if len(self.layers) == 1:
            return self.layers[0](x)
        if x.shape[1] == 1:
            return self.layers[first](x)
        return torch.stack([self.layers[first + i](x[:, i]) for i in range(x.shape[1])], 1)


Turn = tuple[Tensor, Tensor] | None
"""Cosine and sine of rotary positions; None: no positions."""
Past = tuple[Tensor, Tensor] | None
"""Keys and values of a layer at all places, float[N, kv_heads, places, width]; None: not kept."""


class DepthBlock(nn.Module):
    """One pre-norm layer: attention over the places above, then a gated MLP."""

    def __init__(self, config: Depth, count: int) -> None:
        super().__init__()
        dim, kv_heads = config.dim, config.kv_heads or config.heads
        self.heads, self.kv_heads, self.width = config.heads, kv_heads, dim // config.heads
        self.attention_norm = nn.RMSNorm(dim, eps=config.norm_eps)
        self.qkv = Each(count, dim, (config.heads + 2 * kv_heads) * self.width)
        self.out = Each(count, dim, dim)
        self.mlp_norm = nn.RMSNorm(dim, eps=config.norm_eps)
        self.gate_up = Each(count, dim, 2 * config.ffn)
        self.down = Each(count, config.ffn, dim)

    def forward(self, x: Tensor, first: int, turn: Turn, past: Past) -> Tensor:
        """float[N, M, dim] at the places `first` and on; `past`: keys and values of the places, filled up here."""
        x = x + self.out(self._attend(self.attention_norm(x), first, turn, past), first)
        gate, up = self.gate_up(self.mlp_norm(x), first).chunk(2, -1)
        return x + self.down(F.silu(gate) * up, first)

    def _attend(self, x: Tensor, first: int, turn: Turn, past: Past) -> Tensor:
        many, mask = x.shape[1], None
        heads = self.qkv(x, first).unflatten(-1, (-1, self.width)).transpose(1, 2)
        qk, v = heads.split([self.heads + self.kv_heads, self.kv_heads], 1)
        q, k = (qk if turn is None else rotate(qk, turn)).split([self.heads, self.kv_heads], 1)
        if past is not None:
            for held, new in zip(past, (k, v), strict=True):
                held.narrow(2, first, many).copy_(new)
            k, v = (held.narrow(2, 0, first + many).to(q.dtype) for held in past)
        if first and many > 1:
            mask = torch.ones(many, first + many, dtype=torch.bool, device=x.device).tril(first)
        causal = not first and many > 1
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=self.heads != self.kv_heads
        )
        return y.transpose(1, 2).flatten(2)


class DepthModel(nn.Module):
    """`Depth`, built. A place is one position of the short sequence; what it gives predicts one row."""

    def __init__(self, config: Depth, dim: int, vocabs: Mapping[str, Vocab], embeddings: nn.ModuleDict) -> None:
        super().__init__()
        self.config, self.order, self.continuous = config, tuple(vocabs), False
        self.independent, self.deep = self._rows(config, self.order)
        self.rows = tuple(row for row in vocabs if row in self.independent or row in self.deep)
        self.groups = (*((row,) for row in self.independent), *([self.deep] if self.deep else []))
        self.seen, self.place = self._places(config.inputs == "sum")
        count = len(self.seen) if config.weights_per_row else 1
        self._shared = (embeddings,)  # in a tuple, so that the language model alone registers and saves them
        self.inward = Each(count if config.inputs == "sum" else 1, dim, config.dim)
        self.rotary = None if config.rope_base is None else Rotary(config.dim // config.heads, config.rope_base)
        self._turns: dict[tuple[torch.device, int, int], Turn] = {}
        self._native: list[Blocks] = []
        self.blocks = nn.ModuleList(DepthBlock(config, count) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps) if config.final_norm else nn.Identity()
        self.projections = nn.ModuleDict(
            {key(row): nn.Linear(config.dim if row in self.deep else dim, vocabs[row].size, bias=False)
             for row in self.rows}
        )  # fmt: skip
        self.embeddings = nn.ModuleDict()
        if config.inputs == "sum":
            known = {row for rows in self.seen for row in rows}
            self.embeddings.update({key(r): nn.Embedding(vocabs[r].size, config.dim) for r in self.rows if r in known})
        self._begin_weights(vocabs)

    @staticmethod
    def _rows(config: Depth, order: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(independent rows, rows of the depth Transformer), in the model's order."""
        named = (*config.independent, *(config.rows or ()))
        wrong = [row for row in named if row not in order or named.count(row) > 1]
        if wrong:
            raise BadInput(
                f"a Depth head names the row {wrong[0]!r} twice or for a model that does not have it; its rows are "
                f"{order}, and each is in `rows` or in `independent` at most once"
            )
        deep = tuple(r for r in order if (r in config.rows if config.rows is not None else r not in config.independent))
        return tuple(row for row in order if row in config.independent), deep

    def _places(self, summed: bool) -> tuple[list[tuple[str, ...]], dict[str, int]]:
        """The rows whose embeddings each place takes in, and the place that predicts each row."""
        if not summed:
            at = {row: self.rows.index(row) for row in self.deep}
            return [(), *((row,) for row in self.rows[: max(at.values(), default=0)])], at
        seen: list[tuple[str, ...]] = []
        since: list[str] = []
        for row in self.rows:
            if row in self.deep:
                seen.append(tuple(since))
                since = []
            since.append(row)
        return seen, {row: place for place, row in enumerate(self.deep)}

    def _begin_weights(self, vocabs: Mapping[str, Vocab]) -> None:
        for name, weight in self.named_parameters():
            if weight.ndim == 2:  # GPT-2's rule, as in the bodies
                late = ".out." in name or ".down." in name
                nn.init.normal_(weight, std=0.02 / (2 * self.config.layers) ** 0.5 if late else 0.02)
        with torch.no_grad():
            for row in self.rows:
                if key(row) in self.embeddings:
                    table: Any = self.embeddings[key(row)]
                    table.weight[vocabs[row].offset("pad")] = 0

    def weight(self, row: str) -> nn.Parameter:
        """float[V, D], or float[V, dim] below the depth Transformer: what the logits of a row are made with."""
        weight: Any = self.projections[key(row)].weight
        return weight

    def forward(self, hidden: Tensor, tokens: Tensor, rows: Collection[str] | None = None) -> dict[str, Tensor]:
        """float[..., D] and the true columns, long[..., K] -> row -> float[..., V]: all rows of all steps at once."""
        asked = self.rows if rows is None else rows
        logits = {row: self.projections[key(row)](hidden) for row in self.independent if row in asked}
        if any(row in asked for row in self.deep):
            flat, shape = tokens.flatten(0, -2), hidden.shape[:-1]
            column = {row: flat[:, self.order.index(row)] for row in self.rows}
            x = self.run(self.inputs(hidden.flatten(0, -2), column, 0, len(self.seen)), 0)
            for row in self.deep:
                if row in asked:
                    logits[row] = self.projections[key(row)](x[:, self.place[row]]).unflatten(0, shape)
        return {row: logits[row] for row in self.rows if row in logits}

    def begin(self, hidden: Tensor) -> DepthColumn:
        """float[n, D] -> the column of one step."""
        return DepthColumn(self, hidden)

    def inputs(self, hidden: Tensor, column: Mapping[str, Tensor], first: int, last: int) -> Tensor:
        """float[N, D] and row -> long[N] -> float[N, last - first, dim]: what the places `first` .. `last` - 1 hold."""
        if self.config.inputs == "sum":
            x = self.inward(hidden[:, None].expand(-1, last - first, -1), first)
            above = [[self.embeddings[key(row)](column[row]) for row in rows] for rows in self.seen[first:last]]
            return x + torch.stack([sum(v[1:], v[0]) if v else torch.zeros_like(x[:, 0]) for v in above], 1)
        tables = self._shared[0]
        held = [tables[key(rows[0])](column[rows[0]]) if rows else hidden for rows in self.seen[first:last]]
        return self.inward(torch.stack([v.to(hidden.dtype) for v in held], 1), 0)

    def run(self, x: Tensor, first: int, past: Any = None) -> Tensor:
        """float[N, M, dim] at the places `first` and on -> the same, through the Transformer.

        `past`: what `past` gave, keys and values of the places before, filled up here.
        """
        if self._native and readable(x) and x.dtype == torch.float32:
            return self._in_c(x, first, past)
        turn = self._turn(x, first)
        for i, block in enumerate(self.blocks):
            x = block(x, first, turn, None if past is None else past[i])
        return self.norm(x)

    def _turn(self, x: Tensor, first: int) -> Turn:
        if self.rotary is None:
            return None
        at = (x.device, first, x.shape[1])
        if at not in self._turns:  # the same few for every column
            with torch.inference_mode(False), torch.no_grad():
                self._turns[at] = self.rotary(torch.arange(first, first + x.shape[1], device=x.device)[None])
        return self._turns[at]

    def lay_out(self) -> None:
        """Run the blocks in C from now on. Their linear layers are native already."""
        config, blocks = self.config, cast("list[DepthBlock]", [*self.blocks])
        self._native = [
            Blocks(
                [_parts(block, place) for block in blocks],
                self.norm,
                heads=config.heads,
                kv_heads=config.kv_heads or config.heads,
                width=config.dim // config.heads,
                rotary=self.rotary,
            )
            for place in range(len(blocks[0].qkv.layers))
        ]

    def _in_c(self, x: Tensor, first: int, past: Cache | None) -> Tensor:
        cache = self._native[0].cache(len(x), len(self.seen)) if past is None else past
        cache.length.fill_(first)
        if len(self._native) == 1:
            return self._native[0](x, cache)
        return torch.cat([self._native[first + i](x[:, i : i + 1], cache) for i in range(x.shape[1])], 1)

    def past(self, n: int, like: Tensor) -> list[Past] | Cache:
        """An empty past for `n` columns; it is forgotten with the column."""
        if self._native and like.dtype == torch.float32:
            return self._native[0].cache(n, len(self.seen))
        config = self.config
        shape = (n, config.kv_heads or config.heads, len(self.seen), config.dim // config.heads)
        return [(like.new_empty(shape), like.new_empty(shape)) for _ in range(config.layers)]


def _parts(block: Any, place: int) -> Parts:
    qkv, out, up, down = (each.layers[place] for each in (block.qkv, block.out, block.gate_up, block.down))
    return Parts(block.attention_norm, qkv, out, block.mlp_norm, up, down)


class DepthColumn:
    """One column of `n` sequences; a row is run through the Transformer once a row below it is asked for."""

    def __init__(self, head: DepthModel, hidden: Tensor) -> None:
        self.head, self.hidden = head, hidden
        self._column: dict[str, Tensor] = {}
        self._past: list[Past] | Cache | None = None
        self._done = 0
        self._last = hidden

    def logits(self, row: str) -> Tensor:
        """float[n, V] of one row.

        Raises:
            BadInput: a row that the head does not predict, or one asked for before the rows above it were taken.
        """
        head = self.head
        if row in head.independent:
            return head.projections[key(row)](self.hidden)
        missing = [r for r in head.rows[: head.rows.index(row)] if r not in self._column] if row in head.deep else [row]
        if missing:
            raise BadInput(
                f"the Depth head was asked for row {row!r} and does not know {missing[0]!r}; it predicts {head.rows}, "
                "each once the rows above it are taken (`advance` and `head.begin`, not `next`)"
            )
        upto = head.place[row] + 1
        if self._done < upto:
            x = head.inputs(self.hidden, self._column, self._done, upto)
            if self._past is None:
                self._past = head.past(len(x), x)
            self._last = head.run(x, self._done, self._past)[:, -1]
            self._done = upto
        return head.projections[key(row)](self._last)

    def take(self, row: str, tokens: Tensor) -> None:
        """What that row holds now, long[n]."""
        self._column[row] = tokens
