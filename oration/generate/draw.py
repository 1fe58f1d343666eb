"""One column of many sequences: what their layouts give, and what the model draws where they give nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from oration.core import Spec
from oration.generate.sampler import Sampler
from oration.generate.voice import Cells, Voice
from oration.layouts.block import is_stream
from oration.lms import LanguageModel

Column = dict[str, tuple[int, Any]]
"""`Cells` being filled: row -> (token, vector)."""


class Drawer:
    """Draws column after column, row by row, by one sampler. It remembers which symbols a row has held."""

    def __init__(self, lm: LanguageModel, sampler: Sampler, specs: Mapping[str, Spec]) -> None:
        self.lm, self.samplers = lm, {row: sampler.of(row) for row in lm.rows}
        self.widths = {
            name: specs[name].dim
            for vocab in lm.vocabs.values()
            for name in vocab.ranges
            if name in specs and specs[name].dim
        }
        """Continuous stream -> width of its vectors."""
        self.guided = any(sampler.guidance != 1 for sampler in self.samplers.values())
        self._chance = any(sampler.temperature > 0 for sampler in self.samplers.values())
        self._masks: dict[tuple[str, tuple[tuple[int, int], ...]], Tensor] = {}
        self._seen: dict[str, Tensor] = {}
        self._penalised = {row: self._symbols(row) for row, sampler in self.samplers.items() if sampler.repetition != 1}

    def begin(self, voices: Sequence[Voice]) -> None:
        """Stand behind the prompts."""
        for row, symbols in self._penalised.items():
            self._seen[row] = torch.zeros(len(voices), len(symbols), dtype=torch.bool)
            for seen, voice in zip(self._seen[row], voices, strict=True):
                seen[[cells[row][0] for cells in voice.prefix]] = True
            self._seen[row] &= symbols

    def keep(self, index: Sequence[int]) -> None:
        """Forget the sequences that are not in `index`."""
        self._seen = {row: seen[list(index)] for row, seen in self._seen.items()}

    def draw(
        self, hidden: Tensor, voices: Sequence[Voice], shadows: Sequence[Voice]
    ) -> tuple[list[Cells], list[Cells]]:
        """float[n, D] -> the next column of each voice; with shadows, float[2n, D] (theirs last) -> those of both.

        A shadow draws nothing: what its voice draws is its own.
        """
        columns: list[Column] = [dict(voice.given()) for voice in voices]
        doubles = [_shadow(shadow, self.lm) for shadow in shadows]
        chance = self._chances(voices)
        drawn = self.lm.head.begin(hidden)
        for k, row in enumerate(self.lm.rows):
            asked = [i for i, column in enumerate(columns) if row not in column]
            if asked:
                logits = self._logits(drawn.logits(row), row, asked, len(columns))
                allowed = self._allowed(row, [voices[i].open(row) for i in asked])
                seen = self._seen[row][asked] if row in self._seen else None
                here = chance[asked, k] if len(asked) < len(columns) else chance[:, k]
                for i, token in zip(asked, self.samplers[row].pick(logits, allowed, here, seen).tolist(), strict=True):
                    columns[i][row] = token, None
                if self.widths:
                    self._vectors(hidden, voices, row, asked, columns)
            for column, double in zip(columns, doubles, strict=False):
                double.setdefault(row, column[row])
            tokens = torch.tensor([column[row][0] for column in (*columns, *doubles)])
            if row in self._seen:
                self._seen[row][torch.arange(len(columns)), tokens[: len(columns)]] = True
                self._seen[row] &= self._penalised[row]
            drawn.take(row, tokens.to(hidden.device))
        return [*columns], [*doubles]

    def _chances(self, voices: Sequence[Voice]) -> Tensor:
        """float64[n, K]: of every sequence one number a row, asked or not, so that no neighbour changes its chances."""
        if not self._chance:
            return torch.zeros(len(voices), len(self.lm.rows), dtype=torch.float64)
        return torch.stack([torch.rand(len(self.lm.rows), dtype=torch.float64, generator=v.chance) for v in voices])

    def _logits(self, logits: Tensor, row: str, asked: list[int], n: int) -> Tensor:
        """float[n or 2n, V] -> of those asked, float[m, V], guided away from what the shadows expect."""
        own = logits[:n] if len(asked) == n else logits[asked]
        scale = self.samplers[row].guidance
        if scale != 1:
            without = logits[[n + i for i in asked]].float()
            own = without + scale * (own.float() - without)
        return own.float().cpu()

    def _vectors(
        self, hidden: Tensor, voices: Sequence[Voice], row: str, asked: list[int], columns: list[Column]
    ) -> None:
        """Where the symbol drawn is the place of a continuous item, draw its vector too."""
        drawn: dict[str, list[int]] = {}
        for i in asked:
            name = self.lm.vocabs[row].name(columns[i][row][0])[0]
            if name in self.widths:
                drawn.setdefault(name, []).append(i)
        for name, at in drawn.items():
            # The voice's own chance again: a vector costs it as many numbers in a batch as alone.
            noise = torch.stack([torch.randn(self.widths[name], generator=voices[i].chance) for i in at])
            noise = (noise * self.samplers[row].temperature).to(hidden)
            vectors = self.lm.head.vector(hidden[at], name, noise).float().cpu().numpy()
            for i, vector in zip(at, vectors, strict=True):
                columns[i][row] = columns[i][row][0], vector

    def _allowed(self, row: str, ranges: list[tuple[tuple[int, int], ...]]) -> Tensor:
        """bool[m, V], or bool[1, V] where all may draw the same."""
        if len(set(ranges)) == 1:
            return self._mask(row, ranges[0])[None]
        return torch.stack([self._mask(row, each) for each in ranges])

    def _mask(self, row: str, ranges: tuple[tuple[int, int], ...]) -> Tensor:
        """bool[V]: the tokens in these ranges."""
        mask = self._masks.get((row, ranges))
        if mask is None:
            mask = torch.zeros(self.lm.vocabs[row].size, dtype=torch.bool)
            for first, last in ranges:
                mask[first:last] = True
            self._masks[row, ranges] = mask
        return mask

    def _symbols(self, row: str) -> Tensor:
        """bool[V]: the symbols of streams. Marks are none, and never penalised."""
        vocab = self.lm.vocabs[row]
        return self._mask(row, tuple(span for name, span in vocab.ranges.items() if is_stream(name)))


def _shadow(shadow: Voice, lm: LanguageModel) -> Column:
    """What the layout gives a shadow; one that has come to its end before its voice stands still."""
    if shadow.stopped is None:
        return dict(shadow.given())
    return {row: (vocab.offset("pad"), None) for row, vocab in lm.vocabs.items()}
