"""The only exchange format between parts: a sequence of symbols or vectors in time, under a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oration.core.errors import BadInput
from oration.core.spec import Spec


@dataclass(frozen=True, eq=False)
class Stream:
    """One-dimensional in time, always: levels of a codec and channels of a dialogue are streams of their own."""

    ids: np.ndarray
    """int64[T]: symbols; zeros for a continuous stream."""
    onsets: np.ndarray | None = None
    """int64[T] in ticks, sorted; None for a regular stream (`Spec.rate`) or one without time."""
    values: np.ndarray | None = None
    """float32[T, D] of a continuous stream."""

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids)
        if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
            raise BadInput(f"a stream's ids are whole numbers in one dimension, but got {ids.dtype}{list(ids.shape)}")
        object.__setattr__(self, "ids", ids.astype(np.int64, copy=False))
        if self.onsets is not None:
            onsets = np.asarray(self.onsets)
            if onsets.shape != ids.shape or (onsets.size and not np.issubdtype(onsets.dtype, np.integer)):
                raise BadInput(
                    f"onsets are whole ticks, one per item: expected int[{len(ids)}], got {onsets.dtype}"
                    f"{list(onsets.shape)}; convert seconds with oration.core.ticks"
                )
            if (np.diff(onsets) < 0).any():
                raise BadInput("onsets must not run backwards; sort the items by time")
            object.__setattr__(self, "onsets", onsets.astype(np.int64, copy=False))
        if self.values is not None and (np.ndim(self.values) != 2 or len(self.values) != len(ids)):
            raise BadInput(
                f"values are one vector per item: expected float[{len(ids)}, D], got {np.shape(self.values)}"
            )

    @classmethod
    def dense(cls, values: np.ndarray, onsets: np.ndarray | None = None) -> Stream:
        """A continuous stream from its vectors, float32[T, D]."""
        values = np.asarray(values, dtype=np.float32)
        return cls(np.zeros(len(values), np.int64), onsets, values)

    @classmethod
    def joined(cls, parts: Sequence[Stream]) -> Stream:
        """Regular streams, one after another; one alone as it is."""
        if len(parts) == 1:
            return parts[0]
        values = [part.values for part in parts if part.values is not None]
        return cls(np.concatenate([part.ids for part in parts]), None, np.concatenate(values) if values else None)

    def __len__(self) -> int:
        return len(self.ids)

    def times(self, spec: Spec) -> np.ndarray:
        """int64[T]: onset of each item, in ticks."""
        if self.onsets is not None:
            return self.onsets
        return spec.onsets(len(self.ids))

    def cut(self, start: int, stop: int | None = None) -> Stream:
        """Items `start` to `stop`, onsets kept as they are."""
        part = slice(start, stop)
        return Stream(
            self.ids[part],
            None if self.onsets is None else self.onsets[part],
            None if self.values is None else self.values[part],
        )

    def verify(self, name: str, spec: Spec) -> None:
        """Check this stream against its spec.

        Raises:
            BadInput: an id outside the alphabet, values of another width, or items without any time.
        """
        if len(self) and (int(self.ids.min()) < 0 or int(self.ids.max()) >= spec.size):
            bad = int(self.ids[(self.ids < 0) | (self.ids >= spec.size)][0])
            raise BadInput(
                f"stream {name!r} holds the id {bad}, expected 0 to {spec.size - 1}; "
                "was it made by another tokenizer than the one this model was trained with?"
            )
        width = 0 if self.values is None else self.values.shape[1]
        if width != spec.dim:
            raise BadInput(f"stream {name!r} has vectors of width {width}, expected {spec.dim}")


Example = dict[str, Stream]
"""A turn of speech, whatever is known of it: `units`, `text`, `user.codec.0`, ..."""
