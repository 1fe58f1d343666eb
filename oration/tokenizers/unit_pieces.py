"""Byte-pair encoding over units: what often follows one another becomes one symbol, so that sequences are shorter.

    units    | 7 7 3 9 9 9 3 9 |      of="units"
    runs     | 7 3 9 3 9 |            of="units.runs": repeats are merged before
    pieces   | 7 [3 9] [3 9] |        each begins where its first unit does

Sennrich et al. 2016 (arXiv:1508.07909) did it to letters; Li et al. 2024 (arXiv:2407.03892) study it on units. Learned
and applied by the library `tokenizers`. Nothing is lost: `restore` gives the units back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from tokenizers import Tokenizer, models, trainers
from torch import Tensor, nn

from oration.core import BadInput, Example, Spec, Stream

FIRST = 0xF0000
"""The character that stands for unit 0 inside the library: the first of a private plane, which holds 65534."""
RUNS = ".runs"


@dataclass(frozen=True, kw_only=True)
class UnitPieces:
    """`size` symbols, of which the first `units` are the units themselves; `objectives.UnitBpe` learns the others."""

    of: str = "units"
    """The stream of units; with `.runs` behind its name, repeats are merged first if nobody has."""
    units: int = 512
    """Symbols of that stream."""
    size: int = 4096
    stream: str = "pieces"
    rate: float | None = 50.0
    """Items of the unit stream a second, for onsets; None where they have no time."""
    longest: int = 16
    """Units in a piece, at most."""

    def __post_init__(self) -> None:
        if not 1 <= self.units <= self.size or self.units > 65_000 or self.longest < 1:
            raise BadInput(
                f"pieces need 1 <= units <= size, units <= 65000 and longest >= 1; "
                f"got {self.units}, {self.size}, {self.longest}"
            )

    def tiny(self) -> UnitPieces:
        """As many units as tiny `Units` have, and few merges."""
        units = min(self.units, 20)
        return replace(self, units=units, size=min(self.size, units + 20))

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.of.removesuffix(RUNS),)

    def specs(self) -> dict[str, Spec]:
        return {self.stream: Spec(self.size)}

    def build(self) -> UnitPiecesModel:
        return UnitPiecesModel(self)


class UnitPiecesModel(nn.Module):
    """The code: `merges`, int32[size - units, 2], pairs of symbols in the order they are applied, closed by -1."""

    merges: Tensor

    def __init__(self, numbers: UnitPieces) -> None:
        super().__init__()
        self.numbers, self.needs = numbers, numbers.needs
        self.register_buffer("merges", torch.full((numbers.size - numbers.units, 2), -1, dtype=torch.int32))

    def specs(self) -> dict[str, Spec]:
        return self.numbers.specs()

    @property
    def restores(self) -> tuple[str, ...]:
        """The streams that `restore` gives."""
        return (self.numbers.of,)

    @property
    def code(self) -> Code:
        """What encodes and decodes."""
        return code(self.numbers.units, self.merges.cpu().numpy().tobytes())

    def learn(self, sequences: Iterable[np.ndarray], least: int = 2) -> None:
        """Fit the merges to sequences of units, int[T] each.

        Args:
            least: a pair that occurs less often is not merged.
        """
        numbers = self.numbers
        trainer = trainers.BpeTrainer(
            vocab_size=numbers.size,
            min_frequency=least,
            initial_alphabet=[chr(FIRST + unit) for unit in range(numbers.units)],
            max_token_length=numbers.longest,
            show_progress=False,
        )
        tokenizer = Tokenizer(models.BPE())
        tokenizer.train_from_iterator((spelled(sequence) for sequence in sequences if len(sequence)), trainer)
        pairs, number = [], {chr(FIRST + unit): unit for unit in range(numbers.units)}
        for left, right in json.loads(tokenizer.to_str())["model"]["merges"][: len(self.merges)]:
            pairs.append((number[left], number[right]))
            number.setdefault(left + right, len(number))
        self.merges.fill_(-1)
        if pairs:
            self.merges[: len(pairs)] = torch.tensor(pairs, dtype=torch.int32)

    def derive(self, examples: Sequence[Example]) -> list[Example]:
        """Examples with units -> their pieces alone.

        Raises:
            BadInput: the units are missing, or have more symbols than `units`.
        """
        return [{self.numbers.stream: self._pieces(self.units(example))} for example in examples]

    def units(self, example: Example) -> Stream:
        """The stream that pieces are made of, with onsets where these are known."""
        numbers = self.numbers
        found = next((name for name in (numbers.of, *numbers.needs) if name in example), None)
        if found is None:
            raise BadInput(f"{numbers.stream!r} is made of {numbers.of!r}, but the example has {sorted(example)}")
        stream = example[found]
        stream.verify(found, Spec(numbers.units))
        onsets = stream.onsets
        if onsets is None and numbers.rate is not None and not found.endswith(RUNS):
            onsets = Spec(1, numbers.rate).onsets(len(stream))
        first = np.arange(len(stream))
        if numbers.of.endswith(RUNS) and found != numbers.of:
            first = np.flatnonzero(np.diff(stream.ids, prepend=-1))
        return Stream(stream.ids[first], None if onsets is None else onsets[first])

    def _pieces(self, units: Stream) -> Stream:
        ids = self.code.encode(units.ids)
        lengths = self.code.lengths[ids]
        first = np.cumsum(lengths) - lengths
        return Stream(ids, None if units.onsets is None else units.onsets[first])

    def restore(self, examples: Sequence[Example]) -> list[Example]:
        """Examples with pieces -> the units they are made of, alone; symbols that were never learned give none.

        Raises:
            BadInput: the pieces are missing, or hold a symbol outside their alphabet.
        """
        name, restored = self.numbers.stream, []
        for example in examples:
            if name not in example:
                raise BadInput(f"units are restored from {name!r}, but the example has {sorted(example)}")
            example[name].verify(name, Spec(self.numbers.size))
            restored.append({self.numbers.of: Stream(self.code.decode(example[name].ids))})
        return restored


class Code:
    """Merges as something that encodes. Two merges may spell the same piece, which then has one number."""

    def __init__(self, units: int, merges: np.ndarray) -> None:
        names = [chr(FIRST + unit) for unit in range(units)]
        number, pairs = {name: unit for unit, name in enumerate(names)}, []
        for left, right in merges[merges[:, 0] >= 0]:
            pairs.append((names[left], names[right]))
            joined = names[left] + names[right]
            if joined not in number:
                number[joined] = len(names)
                names.append(joined)
        self.pieces = [np.array([ord(letter) - FIRST for letter in name], np.int64) for name in names]
        """The units of each symbol."""
        self.lengths = np.array([len(name) for name in names], np.int64)
        self._tokenizer = Tokenizer(models.BPE(vocab=number, merges=pairs))

    def encode(self, units: np.ndarray) -> np.ndarray:
        """int64[T] -> int64[pieces]"""
        if not len(units):
            return np.zeros(0, np.int64)
        return np.array(self._tokenizer.encode(spelled(units), add_special_tokens=False).ids, np.int64)

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """int64[pieces] -> int64[T]"""
        known = [self.pieces[i] for i in ids if i < len(self.pieces)]
        return np.concatenate([np.zeros(0, np.int64), *known])


@lru_cache(maxsize=8)
def code(units: int, merges: bytes) -> Code:
    """The code of so many units from its merges, the bytes of int32[M, 2]."""
    return Code(units, np.frombuffer(merges, np.int32).reshape(-1, 2))


def spelled(units: np.ndarray) -> str:
    """Units as the text that the library sees."""
    return "".join(chr(FIRST + int(unit)) for unit in units)
