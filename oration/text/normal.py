"""The one place where a text is changed before it is cut into pieces or pronounced. By default it is not."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, get_args

from oration.core import BadInput

Normal = Literal["as is", "lower", "spoken"]
"""What is done to a text: nothing; lower case and single spaces; or only its words, in lower case, as they are said."""

_APOSTROPHES = str.maketrans("’‘ʼ", "'''")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*'?")


def normalise(text: str, how: Normal = "as is") -> str:
    """The text as the tokenizer shall see it.

    Half a surrogate pair, which no file can hold, becomes U+FFFD whatever `how` says.

    >>> normalise("  He SAID: «It’s  well-known»! ", "lower")
    'he said: «it’s well-known»!'
    >>> normalise("  He SAID: «It’s  well-known»! ", "spoken")
    "he said it's well known"

    Raises:
        BadInput: `how` is none of the three.
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if not text.isascii() else text
    if how == "as is":
        return text
    if how == "lower":
        return " ".join(text.lower().split())
    if how == "spoken":
        plain = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).lower()
        return " ".join(_WORD.findall(plain))
    raise BadInput(f"the normalisation of texts is {how!r}, expected one of {', '.join(map(repr, get_args(Normal)))}")
