"""Griffin-Lim as a vocoder of the `mel` stream: no weights, nothing to train, the baseline to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from oration.audio.griffin_lim import griffin_lim
from oration.audio.mel import LogMel
from oration.core import BadInput, Example, Waveform


@dataclass(frozen=True, kw_only=True)
class GriffinLim:
    """Griffin & Lim 1984. It refines a whole recording again and again: not live, and memory for it all."""

    mel: LogMel = field(default_factory=LogMel)
    """The transform that gave the stream."""
    iterations: int = 32
    seed: int = 0
    """Of the first phase."""
    stream: str = "mel"

    @classmethod
    def tiny(cls) -> GriffinLim:
        return cls(mel=LogMel(bands=20), iterations=2)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.stream,)

    @property
    def rate(self) -> int:
        """Hz"""
        return self.mel.rate

    def decode(self, examples: Sequence[Example]) -> list[Waveform]:
        """Examples with a mel -> recordings.

        Raises:
            BadInput: there is no mel, or one of another number of bands.
        """
        waves = []
        for example in examples:
            stream = example.get(self.stream)
            if stream is None or stream.values is None:
                raise BadInput(
                    f"Griffin-Lim needs the continuous stream {self.stream!r}, but the example has {sorted(example)}"
                )
            waves.append(griffin_lim(stream.values, self.mel, self.iterations, self.seed))
        return waves
