"""Text or speech, span by span: what interleaved language models are trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Protocol

import numpy as np

from oration.core import BadInput, Example, Spec, Stream
from oration.streams.timed import needed


class Spans(Protocol):
    """Which words are spoken: a frozen dataclass with this method."""

    def spoken(self, words: int, rng: np.random.Generator) -> np.ndarray:
        """bool[words]: whether each word is kept as speech; the others are kept as text."""
        ...


@dataclass(frozen=True, kw_only=True)
class InTurn:
    """Spans of text and of speech in turn, so many words each, drawn evenly; chance decides which comes first.

    Nguyen et al. 2024 (SpiRit-LM), arXiv:2402.05755, section 3.1; the numbers of words were not checked against it.
    """

    text: tuple[int, int] = (10, 30)
    """Words, least and most."""
    speech: tuple[int, int] = (5, 15)

    def __post_init__(self) -> None:
        for least, most in (self.text, self.speech):
            if not 1 <= least <= most:
                raise BadInput(f"InTurn: a span has from {least} to {most} words; give 1 or more, the least first")

    def spoken(self, words: int, rng: np.random.Generator) -> np.ndarray:
        now, ends, kinds = bool(rng.integers(2)), [0], []
        while ends[-1] < words:
            least, most = self.speech if now else self.text
            ends.append(ends[-1] + int(rng.integers(least, most + 1)))
            kinds.append(now)
            now = not now
        return np.repeat(np.array(kinds, bool), np.diff(ends))[:words]


@dataclass(frozen=True, kw_only=True)
class Scattered:
    """Spans of speech at random places, their lengths in words from a Poisson distribution, up to a share of all words.

    Zeng et al. 2024, arXiv:2411.17607: spans of 10 words on average, 0.3 of the words.
    """

    mean: float = 10.0
    """Words."""
    share: float = 0.3

    def __post_init__(self) -> None:
        if self.mean <= 0 or not 0 <= self.share <= 1:
            raise BadInput(
                f"Scattered(mean={self.mean}, share={self.share}): give a mean above 0 words and a share from 0 to 1"
            )

    def spoken(self, words: int, rng: np.random.Generator) -> np.ndarray:
        asked, lengths = round(self.share * words), list[int]()
        while sum(lengths) < asked:
            lengths.append(min(max(1, int(rng.poisson(self.mean))), asked - sum(lengths)))
        between = np.sort(rng.integers(0, words - asked + 1, len(lengths)))  # words of text before each span
        spoken = np.zeros(words, bool)
        for start, length in zip(between + np.cumsum([0, *lengths[:-1]])[: len(lengths)], lengths, strict=True):
            spoken[start : start + length] = True
        return spoken


@dataclass(frozen=True)
class Alternate:
    """Of each span of words keep the `text` or the `units` (pitch and style along with them), never both.

    Then `Weave(("text", "units.runs"), by=Time())` interleaves them at word boundaries. A word is what has one onset;
    the speech before the first word goes with it. In a reply it does nothing.

    >>> from oration.core import TICKS
    >>> text = Stream(np.array([1, 2, 3]), np.array([0, 4, 6]) * TICKS)
    >>> units = Stream(np.arange(8), np.arange(8) * TICKS)
    >>> example, specs = {"text": text, "units.runs": units}, {"text": Spec(9), "units.runs": Spec(9)}
    >>> mixed = Alternate(spans=InTurn(text=(1, 1), speech=(1, 1)))(example, specs, np.random.default_rng(1))
    >>> mixed["text"].ids, mixed["units.runs"].ids
    (array([1, 3]), array([4, 5]))
    """

    text: str = "text"
    units: tuple[str, ...] = ("units.runs",)
    _: KW_ONLY
    spans: Spans = InTurn()
    learning: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.units or isinstance(self.units, str):
            raise BadInput(f"Alternate keeps text or units, but got units={self.units!r}; name them in a tuple")

    @property
    def needs(self) -> tuple[str, ...]:
        return self.text, *self.units

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        for name in self.needs:
            if given[name].rate is not None:
                raise BadInput(
                    f"Alternate leaves gaps, which {name!r} cannot have since it is regular; give its items onsets "
                    "first, by Dedup or Timed"
                )
        return {}

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        onsets = needed(self.text, example, specs, "Alternate")
        words, word = np.unique(onsets, return_inverse=True)
        spoken = self.spans.spoken(len(words), rng)
        if not len(words):
            return example
        found = {**example, self.text: _kept(example[self.text], ~spoken[word])}
        for name in self.units:
            begins = needed(name, example, specs, "Alternate")
            under = np.maximum(np.searchsorted(words, begins, "right") - 1, 0)
            found[name] = _kept(example[name], spoken[under])
        return found


def _kept(stream: Stream, keep: np.ndarray) -> Stream:
    onsets, values = stream.onsets, stream.values
    return Stream(
        stream.ids[keep], None if onsets is None else onsets[keep], None if values is None else values[keep]
    )  # fmt: skip
