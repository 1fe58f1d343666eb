"""English text as phones: a dictionary's word, or what its letters suggest; digits read out, punctuation a silence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from oration.core import BadInput, optional
from oration.text.letters import Phones, pronounce_letters, read_dictionary
from oration.text.numbers import spell_out
from oration.text.phones import SILENCE

_FOLDED = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "th", "þ": "th",
     "ı": "i"}
)  # fmt: skip
_NAMES = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW",
    "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S",
    "y": "W AY", "z": "Z IY",
}  # fmt: skip
_PIECES = re.compile(r"'?[a-zA-Z][a-zA-Z']*|[^\sa-zA-Z]")
_JOINS = "'-_/‐‑"
"""What may stand between words that are said without a pause."""


def cmudict() -> Path:
    """The copy of the CMU dictionary that comes with pocketsphinx.

    Raises:
        OrationError: pocketsphinx is not installed.
    """
    sphinx = optional("pocketsphinx", "train", "the CMU dictionary (or name a file of your own, dictionary=...)")
    return Path(sphinx.get_model_path("en-us/cmudict-en-us.dict"))


def dictionary(path: str) -> Mapping[str, Phones]:
    """`"cmudict"`: pocketsphinx's copy; empty: no dictionary, letters alone; otherwise a file in its format.

    Raises:
        OrationError: there is none.
    """
    return read_dictionary(cmudict() if path == "cmudict" else Path(path)) if path else {}


def words_of(text: str) -> list[str]:
    """The words of a text as they are looked up, and SILENCE where punctuation stands.

    >>> words_of("Dr. Müller’s 2 well-known cats — gone!")
    ['Dr', 'SIL', "Muller's", 'two', 'well', 'known', 'cats', 'SIL', 'gone', 'SIL']

    Raises:
        BadInput: letters that English does not have.
    """
    plain = unicodedata.normalize("NFKD", spell_out(unicodedata.normalize("NFKC", text)).translate(_FOLDED))
    found: list[str] = []
    for piece in _PIECES.findall("".join(c for c in plain if not unicodedata.combining(c))):
        if any("a" <= letter <= "z" for letter in piece.lower()):
            found.append(piece)
        elif piece.isalnum():
            raise BadInput(
                f"the text holds {piece!r} ({unicodedata.name(piece, 'unnamed')}), expected English; its phones are "
                "only known for the letters of English, so write it in those or take TextPieces instead"
            )
        elif piece not in _JOINS and not (found and found[-1] == SILENCE):
            found.append(SILENCE)
    return found


@lru_cache(maxsize=100_000)
def pronounce_word(word: str, book: str = "cmudict") -> Phones:
    """The phones of one word: as the dictionary says, by its stem if it ends in 's, letter by letter, or by rule.

    Args:
        book: as `dictionary`.
    """
    known, low = dictionary(book), word.lower()
    for form in (low, low.strip("'")):
        if form in known:
            return known[form]
    bare = low.strip("'")
    if bare.endswith("'s") and len(bare) > 2:
        stem = pronounce_word(word.strip("'")[:-2], book)
        return (*stem, *_possessive(stem[-1] if stem else ""))
    letters = bare.replace("'", "")
    if not re.search("[aeiouy]", letters) or (word.isupper() and 1 < len(letters) <= 4 and bool(known)):
        return tuple(phone for letter in letters for phone in _NAMES[letter].split())
    return tuple(pronounce_letters(bare))


def _possessive(last: str) -> Phones:
    if last in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return ("IH", "Z")
    return ("S",) if last in ("P", "T", "K", "F", "TH") else ("Z",)


def pronounce(text: str, book: str = "cmudict") -> list[tuple[str, Phones]]:
    """Each word of the text with its phones, in order; a pause is the word SIL with the phone SIL.

    Raises:
        BadInput: letters that English does not have, or no dictionary.
    """
    return [(w, (SILENCE,) if w == SILENCE else pronounce_word(w, book)) for w in words_of(text)]
