"""What any language model has to beat: symbols drawn without regard to what came before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oration.core import PREDICT, Example, Grid, Specs, Vocab
from oration.layouts import Cursor, Layout
from oration.layouts.block import is_stream

Place = tuple[str, tuple[str, ...]]
"""A row, and the blocks of symbols that the layout allows there next."""


@dataclass(frozen=True, eq=False)
class Asked:
    """The predicted cells of one example, by place."""

    tokens: Mapping[Place, np.ndarray]
    vectors: Mapping[str, np.ndarray]
    """Predicted continuous stream -> float[N, D]."""

    @classmethod
    def of(
        cls,
        layout: Layout,
        grid: Grid,
        example: Example,
        specs: Specs,
        vocabs: Mapping[str, Vocab],
        *,
        marks: bool = True,
    ) -> Asked:
        """Of a placed example (one turn). Without `marks`: of its items alone."""
        cursor = Cursor(layout, specs, vocabs)
        found: dict[Place, list[int]] = {}
        said: set[str] = set()
        dense = {name: dict(zip(d.steps.tolist(), d.values, strict=True)) for name, d in grid.dense.items()}
        for step, column in enumerate(grid.tokens.T.tolist()):
            allowed = cursor.allowed()
            for k, row in enumerate(grid.rows):
                name = vocabs[row].name(column[k])[0]
                if grid.role[k, step] == PREDICT and (marks or is_stream(name)):
                    found.setdefault((row, tuple(allowed[row])), []).append(column[k])
                    said.add(name)
            cursor.feed(column, {name: at[step] for name, at in dense.items() if step in at})
        vectors = {name: np.asarray(example[name].values) for name in said if name in specs and specs[name].dim}
        return cls({place: np.array(tokens) for place, tokens in found.items()}, vectors)


@dataclass(frozen=True, eq=False)
class Unigram:
    """How often each symbol was to be predicted where the layout allowed it, one added to every count.

    Vectors are expected around their mean.
    """

    counts: Mapping[Place, np.ndarray]
    """int64[V]"""
    means: Mapping[str, np.ndarray]
    """Continuous stream -> float64[D]."""
    vocabs: Mapping[str, Vocab]

    @classmethod
    def of(cls, known: Sequence[Asked], vocabs: Mapping[str, Vocab]) -> Unigram:
        """Counted over training examples."""
        counts = {}
        for place in dict.fromkeys(place for asked in known for place in asked.tokens):
            tokens = np.concatenate([asked.tokens[place] for asked in known if place in asked.tokens])
            counts[place] = np.bincount(tokens, minlength=vocabs[place[0]].size)
        names = dict.fromkeys(name for asked in known for name in asked.vectors)
        means = {n: np.concatenate([a.vectors[n] for a in known if n in a.vectors]).mean(0, np.float64) for n in names}
        return cls(counts, means, vocabs)

    def logp(self, place: Place) -> np.ndarray:
        """float64[V]; -inf where a symbol is not allowed. All alike in a place that training never came to."""
        row, allowed = place
        may = np.zeros(self.vocabs[row].size)
        for name in allowed:
            first, past = self.vocabs[row].ranges[name]
            may[first:past] = 1
        counts = self.counts.get(place, np.zeros_like(may)) + may
        with np.errstate(divide="ignore"):
            return np.log(counts / counts.sum())

    def nats(self, held: Sequence[Asked]) -> tuple[float, int]:
        """What it pays for other examples, and for how many cells.

        A vector costs what a Gaussian of unit variance around the training mean says.
        """
        total, count = 0.0, 0
        for asked in held:
            for place, tokens in asked.tokens.items():
                total -= float(self.logp(place)[tokens].sum())
                count += len(tokens)
            for name, vectors in asked.vectors.items():
                off = vectors - self.means[name]
                total += 0.5 * float((off**2).sum()) + 0.5 * float(np.log(2 * np.pi)) * off.size
        return total, count
