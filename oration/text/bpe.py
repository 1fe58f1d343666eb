"""Byte-level byte-pair encoding: symbols 0 to 255 are bytes, each later one a pair of earlier ones.

Sennrich et al. 2016 (arXiv:1508.07909) merge characters; Radford et al. 2019 (GPT-2, section 2.2) merge bytes, so that
every text can be written and read back. Learned and applied by the library `tokenizers`; a code is its merges alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

BYTES = 256


@cache
def _letters() -> tuple[str, ...]:
    """The visible character that stands for each byte inside the library, as GPT-2 chose them."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return tuple(chr(byte) if byte in set(visible) else chr(next(hidden)) for byte in range(BYTES))


def learn(texts: Iterable[str], size: int, *, least: int = 2) -> np.ndarray:
    """The merges of a code with up to `size` symbols, int32[M, 2]: pairs of symbols, in the order they are applied.

    Args:
        least: a pair that occurs less often is not merged.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=least, initial_alphabet=list(_letters()), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _pairs(tokenizer)


def _pairs(tokenizer: Tokenizer) -> np.ndarray:
    import json

    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    number = {letter: byte for byte, letter in enumerate(_letters())}
    pairs = []
    for left, right in merges:
        pairs.append((number[left], number[right]))
        number.setdefault(left + right, len(number))
    return np.array(pairs, np.int32).reshape(-1, 2)


class ByteBpe:
    """A code from its merges, int[M, 2]. Two merges may spell the same symbol, which then has one number."""

    def __init__(self, merges: np.ndarray | Sequence[tuple[int, int]]) -> None:
        letters = _letters()
        names, number = list(letters), {letter: byte for byte, letter in enumerate(letters)}
        pairs = []
        for left, right in np.asarray(merges, np.int64).reshape(-1, 2):
            pairs.append((names[left], names[right]))
            joined = names[left] + names[right]
            if joined not in number:
                number[joined] = len(names)
                names.append(joined)
        byte = {letter: value for value, letter in enumerate(letters)}
        self.spelled = [bytes(byte[letter] for letter in name) for name in names]
        """The bytes of each symbol."""
        self.lengths = np.array([len(name) for name in names])
        self._tokenizer: Tokenizer | None = None
        if pairs:
            self._tokenizer = Tokenizer(models.BPE(vocab=number, merges=pairs))
            self._tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)

    def __len__(self) -> int:
        """How many symbols there are."""
        return len(self.spelled)

    def encode(self, text: str) -> np.ndarray:
        """int64[T]; without merges, the bytes of the text in UTF-8."""
        if self._tokenizer is None:
            return np.frombuffer(text.encode(), np.uint8).astype(np.int64)
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text; bytes that are no UTF-8 (half a letter) become U+FFFD, symbols that were never learned nothing."""
        return b"".join(self.spelled[i] for i in ids if i < len(self.spelled)).decode("utf-8", "replace")
