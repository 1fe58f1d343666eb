"""Which word each character of a text belongs to, and so when it is spoken, given the times of the spoken words.

A text has punctuation, capitals and digits; the words of an alignment have not. Characters meet by what both have:
letters and digits without case and accents.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from oration.core import TICKS

Span = tuple[float, float, str]
"""Start and stop in seconds, and the word."""


def onsets(text: str, words: Sequence[Span], *, spread: bool = False) -> np.ndarray:
    """The tick at which each character of `text` is spoken: int64[len(text)], never running backwards.

    All characters of a word get its start; white space and what leads a word go with it, what trails a word with that.
    Words that the alignment says otherwise ("1984") share the time of those in their place. `spread`: later characters
    of a word lie later in its span.

    >>> (onsets("Oh, well-known!", [(0.5, 0.7, "oh"), (1, 1.5, "well"), (2, 2.5, "known")]) / TICKS).tolist()
    [0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    """
    if not text or not words:
        return np.zeros(len(text), np.int64)
    owner, keys, tokens = _keys(text)
    spoken, heard, units = [], [], []
    for number, (_, _, word) in enumerate(words):
        letters = _keys(word)[1] or " "  # a word without a letter still takes its turn
        heard.append(letters)
        units += [number] * len(letters)
        spoken += list(np.arange(len(letters)) / len(letters) if spread else np.zeros(len(letters)))
    place = _places(keys, tokens, heard)
    starts = np.array([start for start, _, _ in words])
    lengths = np.array([max(0.0, stop - start) for start, stop, _ in words])
    number = np.array(units)[place]
    seconds = starts[number] + np.array(spoken)[place] * lengths[number]
    times = np.round(seconds * TICKS).astype(np.int64)
    return np.maximum.accumulate(times[_nearest(text, owner)]) if len(times) else _all(text, starts[0])


def _all(text: str, second: float) -> np.ndarray:
    return np.full(len(text), round(second * TICKS), np.int64)


def _keys(text: str) -> tuple[np.ndarray, str, list[tuple[int, int]]]:
    """What can be compared: owner of each kept letter, the letters, and the stretches of them between white space."""
    owner: list[int] = []
    kept: list[str] = []
    tokens: list[tuple[int, int]] = []
    begun = 0
    for at, character in enumerate(text):
        if character.isspace():
            if len(kept) > begun:
                tokens.append((begun, len(kept)))
                begun = len(kept)
            continue
        plain = character.lower() if character.isascii() else unicodedata.normalize("NFKD", character).casefold()
        letters = [letter for letter in plain if letter.isalnum()]
        kept += letters
        owner += [at] * len(letters)
    if len(kept) > begun:
        tokens.append((begun, len(kept)))
    return np.array(owner, np.int64), "".join(kept), tokens


def _places(keys: str, tokens: list[tuple[int, int]], heard: list[str]) -> np.ndarray:
    """For each of `keys` its place among the letters of all heard words, int64[len(keys)], never running backwards."""
    if keys == "".join(heard):
        return np.arange(len(keys))
    edges = np.concatenate([[0], np.cumsum([len(word) for word in heard])])
    read = [keys[start:stop] for start, stop in tokens]
    place = np.zeros(len(keys), np.int64)
    before = (0, 0)
    for a, b, size in SequenceMatcher(None, read, heard).get_matching_blocks():
        if a > before[0]:
            first, last = tokens[before[0]][0], tokens[a - 1][1]
            low, high = edges[before[1]], max(edges[b], edges[before[1]] + 1)
            place[first:last] = low + np.arange(last - first) * (high - low) // (last - first)
        if size:
            first, last = tokens[a][0], tokens[a + size - 1][1]
            place[first:last] = edges[b] + np.arange(last - first)
        before = (a + size, b + size)
    return np.minimum(place, edges[-1] - 1)


def _nearest(text: str, owner: np.ndarray) -> np.ndarray:
    """For every character the kept letter it goes with: what trails one goes with it, all else with the next."""
    at = np.arange(len(text))
    following = np.searchsorted(owner, at)
    preceding = np.searchsorted(owner, at, "right") - 1
    spaces = np.cumsum([character.isspace() for character in text])
    trails = preceding >= 0
    trails &= spaces == spaces[owner[np.maximum(preceding, 0)]] if len(owner) else trails
    chosen = np.where(trails | (following == len(owner)), preceding, following)
    return np.clip(chosen, 0, max(0, len(owner) - 1))
