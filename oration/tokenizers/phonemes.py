"""The phones a text is pronounced with: what a speech synthesiser reads. They have no times; `phones` has.

From the CMU dictionary, by rule where it lacks a word. As in VALL-E (Wang et al. 2023, arXiv:2301.02111, section 4.1)
the model sees phonemes of the transcript, not letters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from oration.core import Example, Spec, Stream
from oration.text.phones import INDEX, PHONES
from oration.text.pronounce import pronounce
from oration.tokenizers.text import Transcribed, transcript


@dataclass(frozen=True, kw_only=True)
class Phonemes:
    """One symbol of `oration.text.phones.PHONES` a phone; punctuation is silence, digits are read out. English.

    >>> phonemes = Phonemes(dictionary="")
    >>> phonemes.decode(phonemes.of("3 cats, no dogs.")["phonemes"].ids)
    'TH R IY K AE T S SIL N OW D AO G Z SIL'
    """

    stream: str = "phonemes"
    dictionary: str = "cmudict"
    """`cmudict` (comes with pocketsphinx), a file in its format, or nothing: letters alone."""
    needs = ()

    @classmethod
    def tiny(cls) -> Phonemes:
        """Without the dictionary."""
        return cls(dictionary="")

    def specs(self) -> dict[str, Spec]:
        return {self.stream: Spec(len(PHONES))}

    def of(self, text: str) -> Example:
        """The phones of a text.

        Raises:
            BadInput: letters that English does not have, or no dictionary.
        """
        phones = [INDEX[phone] for _, said in pronounce(text, self.dictionary) for phone in said]
        return {self.stream: Stream(np.array(phones, np.int64))}

    def label(self, clip: Transcribed) -> Example:
        """The phones of what is said in a clip.

        Raises:
            BadInput: as `of`, or it has no transcript.
        """
        return self.of(transcript(clip, self.stream))

    def decode(self, ids: Iterable[int]) -> str:
        """The names of the phones.

        Raises:
            BadInput: an id that is no phone.
        """
        numbers = np.asarray(list(ids), np.int64)
        Stream(numbers).verify(self.stream, Spec(len(PHONES)))
        return " ".join(PHONES[number] for number in numbers)
