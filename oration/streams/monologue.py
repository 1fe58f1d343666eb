"""Text on the clock of speech: the inner monologue of Moshi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

import numpy as np

from oration.core import BadInput, Example, Spec, Stream
from oration.streams.timed import needed


@dataclass(frozen=True)
class SpreadWords:
    """`text` -> `text.frames`: a piece in the frame where its word begins, or in the next free one; else padding.

    Défossez et al. 2024 (Moshi), arXiv:2410.00037, section 3.4.4. The frame before a word that follows padding says
    that the padding is over, so that when to speak and what to say are two predictions; a word in the very first frame
    gives way to it. Pieces that would stand behind the last frame move forward; more pieces than frames lose their end.

    >>> from oration.core import ticks
    >>> text = Stream(np.array([5, 6, 7]), np.array([ticks(0.2), ticks(0.2), ticks(0.6)]))
    >>> example, specs = {"text": text, "codec.0": Stream(np.zeros(8, int))}, {"text": Spec(9), "codec.0": Spec(4, 10)}
    >>> SpreadWords()(example, specs, np.random.default_rng(0))["text.frames"].ids  # 9 is padding, 10 its end
    array([ 9, 10,  5,  6,  9, 10,  7,  9])
    """

    stream: str = "text"
    like: str = "codec.0"
    """The regular stream whose frames and length it takes."""
    _: KW_ONLY
    pad: int | None = None
    """A symbol of the text's own that means padding (Moshi: 3), below 0 from the end; None: one more symbol."""
    end_pad: int | None = None
    """A symbol of the text's own for the end of padding (Moshi: 0); None: one more symbol."""

    def __post_init__(self) -> None:
        if self.pad is not None and self.pad == self.end_pad:
            raise BadInput(f"SpreadWords uses the symbol {self.pad} both for padding and its end; give two symbols")

    @property
    def needs(self) -> tuple[str, ...]:
        return self.stream, self.like

    def specs(self, given: Mapping[str, Spec]) -> dict[str, Spec]:
        text, like = given[self.stream], given[self.like]
        if text.dim or text.rate is not None:
            raise BadInput(f"SpreadWords spreads irregular symbols over frames, but {self.stream!r} is {text!r}")
        if like.rate is None:
            raise BadInput(f"SpreadWords(like={self.like!r}): that stream has no rate; name a regular one")
        for own in (self.pad, self.end_pad):
            if own is not None and not -text.size <= own < text.size:
                raise BadInput(f"SpreadWords: {own} is no symbol of {self.stream!r}, which has 0 to {text.size - 1}")
        return {f"{self.stream}.frames": Spec(text.size + (self.pad is None) + (self.end_pad is None), like.rate)}

    def marks(self, text: Spec) -> tuple[int, int]:
        """The symbols of padding and of its end."""
        pad = text.size if self.pad is None else self.pad % text.size
        return pad, text.size + (self.pad is None) if self.end_pad is None else self.end_pad % text.size

    def __call__(self, example: Example, specs: Mapping[str, Spec], rng: np.random.Generator) -> Example:
        onsets = needed(self.stream, example, specs, "SpreadWords")
        text, like = example[self.stream], specs[self.like]
        pad, end = self.marks(specs[self.stream])
        spoken = ~np.isin(text.ids, (pad, end))
        ids, onsets, length = text.ids[spoken], onsets[spoken], len(example[self.like])
        frames = np.full(length, pad, np.int64)
        ids = ids[:length]
        each = np.arange(len(ids))
        first = np.searchsorted(like.onsets(length), onsets[: len(ids)], "right") - 1
        free = np.maximum.accumulate(np.maximum(first, 1) - each) + each
        place = np.minimum(free, length - len(ids) + each)
        frames[place] = ids
        before = place - 1
        before = before[before >= 0]
        frames[before[frames[before] == pad]] = end
        return {**example, f"{self.stream}.frames": Stream(frames)}

    def undo(self, example: Example, specs: Mapping[str, Spec]) -> Example:
        """The text again: pieces at the frames they stand in, without padding."""
        frames = example[f"{self.stream}.frames"].ids
        at = np.flatnonzero(~np.isin(frames, self.marks(specs[self.stream])))
        onsets = Spec(1, specs[self.like].rate).onsets(len(frames))[at]
        return {**example, self.stream: Stream(frames[at], onsets)}
