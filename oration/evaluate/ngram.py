"""Counted language models of unit sequences: the bar that a trained one must clear.

Interpolated Witten-Bell smoothing (Witten & Bell 1991, method C; recursive form of Chen & Goodman 1999, section 2.5):

    P(w | h) = (c(h w) + T(h) P(w | h')) / (c(h) + T(h))        h' is h without its oldest token

with c counts, T(h) the number of different tokens seen after h, and the uniform distribution below the unigram. Every
sequence closes with an end mark that is predicted like a unit; the mark that stands before its start is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oration.core import BadInput, Stream
from oration.evaluate.likelihood import ClipNats

Units = Stream | np.ndarray | Sequence[int]


@dataclass(frozen=True, eq=False)
class _Text:
    """Sequences laid end to end, each after `order - 1` start marks."""

    tokens: np.ndarray
    """int64[all]: 0 .. size - 1 units, size the end mark, size + 1 the start mark."""
    at: np.ndarray
    """int64[predicted]: places of the tokens to predict."""
    lengths: np.ndarray
    """int64[N]: tokens to predict in each sequence."""

    @classmethod
    def of(cls, sequences: Sequence[Units], size: int, order: int) -> _Text:
        parts = [np.asarray(s.ids if isinstance(s, Stream) else s, np.int64).reshape(-1) for s in sequences]
        start, end = np.full(order - 1, size + 1), np.array([size])
        for number, part in enumerate(parts):
            if part.size and (part.min() < 0 or part.max() >= size):
                raise BadInput(f"sequence {number} holds ids {part.min()} to {part.max()}, expected 0 to {size - 1}")
        tokens = np.concatenate([piece for part in parts for piece in (start, part, end)])
        return cls(tokens, np.flatnonzero(tokens <= size), np.array([len(part) + 1 for part in parts]))


@dataclass(frozen=True, eq=False)
class _Table:
    """What was counted for one order. A history is numbered by extending the next shorter one by its oldest token."""

    histories: np.ndarray
    """int64[H], sorted: number of the shorter history x symbols + oldest token; place = number."""
    grams: np.ndarray
    """int64[G], sorted: number of the history x symbols + token."""
    counts: np.ndarray
    """int64[G]: c(h w)"""
    totals: np.ndarray
    """int64[H]: c(h)"""
    kinds: np.ndarray
    """int64[H]: T(h)"""


def _find(sorted_keys: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Place of each key, -1 where it is not."""
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == keys, place, -1)


@dataclass(frozen=True, kw_only=True)
class NGram:
    """An n-gram model to be counted."""

    order: int = 5

    def fit(self, sequences: Sequence[Units], size: int) -> NGramModel:
        """Count sequences of ids 0 .. size - 1.

        Raises:
            BadInput: no sequences, an order below 1, or an id outside the alphabet.
        """
        if self.order < 1 or size < 1 or not len(sequences):
            raise BadInput(
                f"an n-gram model needs order >= 1, an alphabet and sequences, but got order {self.order}, "
                f"size {size} and {len(sequences)} sequences"
            )
        text, symbols = _Text.of(sequences, size, self.order), size + 2
        tables: list[_Table] = []
        history = np.zeros(len(text.at), np.int64)
        for n in range(self.order):
            keys = np.zeros(1, np.int64)
            if n:
                keys, history = np.unique(history * symbols + text.tokens[text.at - n], return_inverse=True)
            grams, counts = np.unique(history * symbols + text.tokens[text.at], return_counts=True)
            owner = grams // symbols
            totals = np.bincount(history, minlength=len(keys))
            tables.append(_Table(keys, grams, counts, totals, np.bincount(owner, minlength=len(keys))))
        return NGramModel(size, tuple(tables))


@dataclass(frozen=True, eq=False)
class NGramModel:
    """A counted model; it holds all lower orders too."""

    size: int
    tables: tuple[_Table, ...]

    @property
    def order(self) -> int:
        return len(self.tables)

    def nats(self, sequences: Sequence[Units], order: int | None = None) -> ClipNats:
        """Negative log-likelihood of each sequence (its end mark counted) under the model of that order.

        Raises:
            BadInput: an order that was not counted, or an id outside the alphabet.
        """
        order = self.order if order is None else order
        if not 1 <= order <= self.order:
            raise BadInput(f"this model was counted up to order {self.order}, not {order}; fit NGram(order={order})")
        text = _Text.of(sequences, self.size, order)
        older = [text.tokens[text.at - n] for n in range(1, order)]
        nats = -np.log(self._probability(text.tokens[text.at], older))
        starts = np.cumsum(text.lengths) - text.lengths
        return ClipNats(np.add.reduceat(nats, starts), text.lengths)

    def next(self, history: Units) -> np.ndarray:
        """Probabilities of what follows the beginning of a sequence, float64[size + 1]; the end mark's is last."""
        ids = np.asarray(history.ids if isinstance(history, Stream) else history, np.int64).reshape(-1)
        padded = np.concatenate([np.full(self.order - 1, self.size + 1), ids])
        tokens = np.arange(self.size + 1)
        return self._probability(tokens, [np.full(len(tokens), padded[-n]) for n in range(1, self.order)])

    def _probability(self, tokens: np.ndarray, older: Sequence[np.ndarray]) -> np.ndarray:
        """P(tokens | history), float64[P]; `older[n]` is the token n + 1 places back, int64[P]."""
        symbols = self.size + 2
        probability = np.full(len(tokens), 1 / (self.size + 1))
        history = np.zeros(len(tokens), np.int64)
        for n, table in enumerate(self.tables[: len(older) + 1]):
            if n:
                history = np.where(history < 0, -1, _find(table.histories, history * symbols + older[n - 1]))
            known = history >= 0
            gram = _find(table.grams, np.where(known, history * symbols + tokens, -1))
            count = np.where(gram >= 0, table.counts[gram], 0)
            total, kinds = table.totals[history], table.kinds[history]
            probability = np.where(known, (count + kinds * probability) / (total + kinds), probability)
        return probability


ORDER_NAMES = {1: "unigram", 2: "bigram", 3: "trigram"}


def ngrams(
    train: Sequence[Units], dev: Sequence[Units], size: int, orders: Sequence[int] = (1, 2, 3, 5)
) -> dict[str, ClipNats]:
    """Name (`unigram`, `bigram`, `trigram`, `5-gram`, ...) -> likelihood of the dev sequences, counted on `train`."""
    model = NGram(order=max(orders)).fit(train, size)
    return {ORDER_NAMES.get(order, f"{order}-gram"): model.nats(dev, order) for order in orders}
