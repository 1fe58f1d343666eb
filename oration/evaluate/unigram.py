"""What any language model has to beat: symbols drawn without regard to what came before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oration.core import PREDICT, Grid, Vocab


@dataclass(frozen=True, eq=False)
class Unigram:
    """How often each token of each row was to be predicted, one added to every count; vectors around their mean."""

    rows: Mapping[str, np.ndarray]
    """Row -> float64[V], log-probabilities."""
    means: Mapping[str, np.ndarray]
    """Continuous stream -> float64[D]."""

    @classmethod
    def of(cls, grids: Sequence[Grid], vocabs: Mapping[str, Vocab]) -> Unigram:
        """Counted over the predicted cells of training grids."""
        rows = {}
        for k, (row, vocab) in enumerate(vocabs.items()):
            asked = np.concatenate([grid.tokens[k][grid.role[k] == PREDICT] for grid in grids])
            counts = np.bincount(asked, minlength=vocab.size) + 1.0
            rows[row] = np.log(counts / counts.sum())
        vectors: dict[str, list[np.ndarray]] = {}
        for grid in grids:
            for name, dense in grid.dense.items():
                vectors.setdefault(name, []).append(dense.values[_asked(grid, name)])
        known = {name: np.concatenate(values) for name, values in vectors.items()}
        return cls(rows, {name: values.mean(0, dtype=np.float64) for name, values in known.items() if len(values)})

    def nats(self, grids: Sequence[Grid], vocabs: Mapping[str, Vocab]) -> tuple[float, int]:
        """What it pays for the predicted cells of other grids, and how many they are.

        A vector costs what a Gaussian of unit variance around the training mean says.
        """
        total, count = 0.0, 0
        for grid in grids:
            for k, row in enumerate(vocabs):
                asked = grid.tokens[k][grid.role[k] == PREDICT]
                total -= float(self.rows[row][asked].sum())
                count += len(asked)
            for name, dense in grid.dense.items():
                if name in self.means:
                    off = dense.values[_asked(grid, name)] - self.means[name]
                    total += 0.5 * float((off**2).sum()) + 0.5 * np.log(2 * np.pi) * off.size
        return total, count


def _asked(grid: Grid, stream: str) -> np.ndarray:
    """bool[N]: which vectors of a stream are to be predicted."""
    dense = grid.dense[stream]
    return grid.role[dense.row, dense.steps] == PREDICT
