"""Codecs of this package as systems: a tokenizer that can decode its own streams, at the first 1, 2 ... levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from oration.core import BadInput, Example, Spec, Waveform
from oration.evaluate.rate_distortion.peers import Coded


class Ours:
    """A codec that codes each clip once, however many levels are then heard of it.

    Args:
        name: what it is called in results.
        part: `encode(waves) -> examples` and `decode(examples) -> waves`, as tokenizers of codecs have them.
        streams: its levels, the coarsest first.
        specs: their sizes and rates.
    """

    def __init__(self, name: str, part: Any, streams: Sequence[str], specs: dict[str, Spec]) -> None:
        self.name, self.part, self.streams, self.specs = name, part, tuple(streams), specs
        self.examples: dict[int, Example] = {}

    @property
    def frames(self) -> Fraction:
        """Items a second of its fastest level."""
        return max(Fraction(self.specs[name].rate or 0) for name in self.streams)

    def example(self, number: int, wave: Waveform) -> Example:
        """The streams of clip `number`."""
        if number not in self.examples:
            found = self.part.encode([wave])[0]
            self.examples[number] = {name: found[name] for name in self.streams}
        return self.examples[number]

    def at(self, levels: Sequence[int]) -> list[AtLevels]:
        """Itself at each of these numbers of levels that it has; without any given, at 1, 2, 4 ... and all.

        Raises:
            BadInput: none of them, or fewer than one.
        """
        most = len(self.streams)
        wanted = sorted(set(levels)) or [*(2**n for n in range((most - 1).bit_length())), most]
        if wanted[0] < 1 or wanted[0] > most:
            raise BadInput(
                f"--levels {' '.join(map(str, wanted))}: {self.name} has 1 to {most} levels; name some of them"
            )
        return [AtLevels(self, count) for count in wanted if count <= most]


@dataclass(frozen=True)
class AtLevels:
    """A codec at its first `levels` levels."""

    codec: Ours = field(repr=False)
    levels: int

    @property
    def name(self) -> str:
        return self.codec.name

    @property
    def setting(self) -> str:
        return f"{self.levels} level{'s' if self.levels > 1 else ''}"

    how = "codecs of oration: log2(size) bits an item of each level, packed without loss and not entropy-coded"

    def trouble(self) -> str | None:
        return None

    def code(self, number: int, wave: Waveform) -> Coded:
        streams = self.codec.streams[: self.levels]
        example = {name: self.codec.example(number, wave)[name] for name in streams}
        bits = sum(len(stream) * math.log2(self.codec.specs[name].size) for name, stream in example.items())
        return Coded(self.codec.part.decode([example])[0], bits)

    def counts(self, number: int) -> list[np.ndarray]:
        """How often each symbol of each level stands in clip `number`, which was coded before."""
        example = self.codec.examples[number]
        streams = self.codec.streams[: self.levels]
        return [np.bincount(example[name].ids, minlength=self.codec.specs[name].size) for name in streams]
