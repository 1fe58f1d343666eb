"""Streams coded with what a language model expects of them: each frame by the frames before it in its block.

Défossez et al. 2022, arXiv:2210.13438, section 3.3, but with rANS (`rans.py`), whose frequencies are whole numbers: who
reads must find the same ones as who wrote, so both ask the model in the same way, frame after frame. What asks it is
given from outside (`Expecter`); nothing here knows a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from oration.core.container.bits import read_varint, varint
from oration.core.container.rans import LOW, SCALE, TOTAL


class Expecting(Protocol):
    """A language model on its way through a block."""

    def next(self, before: np.ndarray | None) -> Sequence[np.ndarray]:
        """int64[levels], the frame before (None: there is none) -> of each level, int64[size], adding up to `TOTAL`."""
        ...


class Expecter(Protocol):
    """A language model that codes frames."""

    name: str
    version: str
    streams: tuple[str, ...]
    """The levels of a frame, in the order in which they are coded."""

    def start(self) -> Expecting:
        """At the beginning of a block, knowing nothing."""
        ...


def shares(probabilities: np.ndarray) -> np.ndarray:
    """float64[..., size] -> int64[..., size], adding up to `TOTAL`, none of them 0.

    Each symbol gets 1 + floor(p * (TOTAL - size)); the first of those that got most gets what is left.

    >>> shares(np.array([0.5, 0.25, 0.25])).tolist()
    [16384, 8192, 8192]
    """
    size = probabilities.shape[-1]
    made = 1 + np.floor(probabilities * (TOTAL - size)).astype(np.int64)
    best = made.argmax(-1)[..., None]
    left = TOTAL - made.sum(-1, keepdims=True)
    np.put_along_axis(made, best, np.take_along_axis(made, best, -1) + left, -1)
    return made


def encode(expecting: Expecting, frames: np.ndarray) -> bytes:
    """int64[levels, frames] -> bytes, nothing for no frames."""
    if not frames.size:
        return b""
    pairs, before = list[tuple[int, int]](), None
    for column in frames.T:
        for symbol, share in zip(column.tolist(), expecting.next(before), strict=True):
            pairs.append((int(share[symbol]), int(share[:symbol].sum())))
        before = column
    state, words = LOW, list[int]()
    for frequency, start in reversed(pairs):
        if state >= frequency << (32 - SCALE):
            words.append(state & 0xFFFF)
            state >>= 16
        whole, rest = divmod(state, frequency)
        state = (whole << SCALE) + rest + start
    return np.array([state >> 16, state & 0xFFFF, *reversed(words)], "<u2").tobytes()


def decode(expecting: Expecting, content: bytes, levels: int, count: int) -> np.ndarray | None:
    """The inverse of `encode`: int64[levels, count]; None if it does not come out even."""
    frames = np.zeros((levels, count), np.int64)
    words = np.frombuffer(content[: len(content) // 2 * 2], "<u2").tolist()
    if not frames.size:
        return None if content else frames
    if len(content) % 2 or len(words) < 2:
        return None
    state, place, before = words[0] << 16 | words[1], 2, None
    for at in range(count):
        for level, share in enumerate(expecting.next(before)):
            ends = np.cumsum(share)
            slot = state & (TOTAL - 1)
            symbol = int(np.searchsorted(ends, slot, side="right"))
            frequency = int(share[symbol])
            state = frequency * (state >> SCALE) + slot - int(ends[symbol]) + frequency
            if state < LOW:
                if place == len(words):
                    return None
                state, place = state << 16 | words[place], place + 1
            frames[level, at] = symbol
        before = frames[:, at]
    return frames if state == LOW and place == len(words) else None


def joined(words: bytes, rest: bytes) -> bytes:
    """A block's content of version 2: what the model coded, and what it did not."""
    return varint(len(words)) + words + rest


def split(content: bytes) -> tuple[bytes, bytes] | None:
    """The inverse of `joined`, or None."""
    try:
        length, at = read_varint(content, 0)
    except ValueError:
        return None
    return (content[at : at + length], content[at + length :]) if at + length <= len(content) else None
