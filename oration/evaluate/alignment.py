"""How far an aligner's word times lie from given ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oration.text.words import Span


@dataclass(frozen=True)
class WordTimes:
    """Errors of words' starts and stops over some clips, seconds."""

    words: int
    median: float
    """Of the absolute errors of starts and stops together."""
    ninety: float
    """90 % of them are smaller."""
    start_median: float
    start_ninety: float
    stop_median: float
    stop_ninety: float
    early: float
    """Median of what starts are too early (negative: too late)."""
    refused: int
    """Clips without an alignment."""
    unlike: int
    """Clips whose aligned words are others than the given ones: not measured."""


def letters(word: str) -> str:
    """What two spellings of a word must share.

    >>> letters("John's"), letters("JOHNS")
    ('johns', 'johns')
    """
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def word_times(truth: Sequence[Sequence[Span]], found: Sequence[Sequence[Span] | None]) -> WordTimes:
    """Given words of each clip against those that an aligner found; None where it refused the clip."""
    starts: list[float] = []
    stops: list[float] = []
    unlike = 0
    for given, aligned in zip(truth, found, strict=True):
        if aligned is None:
            continue
        if [letters(word) for _, _, word in given] != [letters(word) for _, _, word in aligned]:
            unlike += 1
            continue
        starts += [theirs[0] - ours[0] for ours, theirs in zip(given, aligned, strict=True)]
        stops += [theirs[1] - ours[1] for ours, theirs in zip(given, aligned, strict=True)]
    begun, ended = np.array(starts), np.array(stops)
    both = np.concatenate([begun, ended])
    shares = [_share(np.abs(errors), share) for errors in (both, begun, ended) for share in (50, 90)]
    return WordTimes(
        words=len(starts),
        median=shares[0],
        ninety=shares[1],
        start_median=shares[2],
        start_ninety=shares[3],
        stop_median=shares[4],
        stop_ninety=shares[5],
        early=-_share(begun, 50),
        refused=sum(aligned is None for aligned in found),
        unlike=unlike,
    )


def _share(errors: np.ndarray, share: float) -> float:
    return float(np.percentile(errors, share)) if len(errors) else float("nan")
