"""What any language model has to beat: symbols drawn without regard to what came before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oration.core import BadInput, Vocab
from oration.layouts import Cells

MARKS = ""
"""What stands for the name of a stream in cells that no single stream has a say in."""


@dataclass(frozen=True, eq=False)
class Unigram:
    """How often each symbol of each stream was to be predicted, one added to every count; vectors around their mean.

    It is told by the layout which stream a cell belongs to, which is more than a language model is told.
    """

    logp: Mapping[tuple[str, str], np.ndarray]
    """(row, stream) -> float64[V]: the stream's symbols and the row's marks; -inf elsewhere."""
    means: Mapping[str, np.ndarray]
    """Continuous stream -> float64[D]."""
    marks: bool = True
    """Whether ends and switches are paid for."""

    @classmethod
    def of(
        cls,
        tables: Sequence[Cells],
        vocabs: Mapping[str, Vocab],
        vectors: Mapping[str, Sequence[np.ndarray]] | None = None,
        *,
        marks: bool = True,
    ) -> Unigram:
        """Counted over the predicted cells of training examples.

        Args:
            tables: `layouts.cells` of each, with the model's vocabularies.
            vectors: predicted continuous stream -> float[T, D] of each example.
        """
        found: dict[tuple[str, str], list[np.ndarray]] = {}
        for table in tables:
            for row, stream, tokens in _asked(table, marks):
                found.setdefault((row, stream), []).append(tokens)
        logp = {}
        for (row, stream), parts in found.items():
            counts = np.bincount(np.concatenate(parts), minlength=vocabs[row].size) + _may(vocabs[row], stream)
            with np.errstate(divide="ignore"):
                logp[row, stream] = np.log(counts / counts.sum())
        means = {name: np.concatenate([*parts]).mean(0, np.float64) for name, parts in (vectors or {}).items()}
        return cls(logp, means, marks)

    def nats(
        self, tables: Sequence[Cells], vectors: Mapping[str, Sequence[np.ndarray]] | None = None
    ) -> tuple[float, int]:
        """What it pays for the predicted cells of other examples, and how many they are.

        A vector costs what a Gaussian of unit variance around the training mean says.

        Raises:
            BadInput: a stream that had nothing to predict in training.
        """
        total, count = 0.0, 0
        for table in tables:
            for row, stream, tokens in _asked(table, self.marks):
                if (row, stream) not in self.logp:
                    raise BadInput(f"nothing of {stream or 'the marks'!r} in row {row!r} was predicted in training")
                total -= float(self.logp[row, stream][tokens].sum())
                count += len(tokens)
        for name, parts in (vectors or {}).items():
            off = np.concatenate([*parts]) - self.means[name]
            total += 0.5 * float((off**2).sum()) + 0.5 * float(np.log(2 * np.pi)) * off.size
        return total, count


def _asked(table: Cells, marks: bool) -> list[tuple[str, str, np.ndarray]]:
    """(row, stream, tokens) of the cells in the loss; of the items alone without `marks`."""
    found = []
    for k, row in enumerate(table.rows):
        for index in np.unique(table.stream[k][table.loss[k]]):
            here = table.loss[k] & (table.stream[k] == index) & (marks | (table.kind[k] == "item"))
            plain = here & (table.kind[k] != "switch")
            name = table.streams[index] if index >= 0 else MARKS
            found += [(row, stream, table.token[k][at]) for stream, at in ((name, plain), (MARKS, here & ~plain))]
    return [(row, stream, tokens) for row, stream, tokens in found if len(tokens)]


def _may(vocab: Vocab, stream: str) -> np.ndarray:
    """float64[V]: 1 for the symbols that such a cell may hold."""
    may = np.zeros(vocab.size)
    for name, (first, past) in vocab.ranges.items():
        if name == stream or name[0] in "@]" or name == "end":
            may[first:past] = 1
    return may
