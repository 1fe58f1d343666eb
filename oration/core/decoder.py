"""A codec as the vocoder of a recipe: the same weights read backwards, so they are built and stored once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """Stands where a recipe names its vocoder; sound comes from `decode` of the tokenizer that it names."""

    of: str
    """The tokenizer, by the first stream it gives."""
    needs: tuple[str, ...]
    """The streams it reads."""
    rate: int
    """Hz of the sound it gives."""
