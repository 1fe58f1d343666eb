"""Word and character errors of an offline recogniser: can the words still be heard?

The number says as much about the recogniser as about the speech, so every result names the recogniser, its version and
the normaliser, and means something only beside the figure of the original recordings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from multiprocessing import get_context
from typing import Any, Protocol

import numpy as np

from oration.audio.resample import resample
from oration.core import BadInput, Waveform, optional
from oration.evaluate.interval import Bootstrap, Estimate

RATE = 16_000


def plain_english(text: str) -> str:
    """The normaliser `plain-english-1`: lower case, letters, digits and apostrophes inside words; the rest is a space.

    Spells no numbers out and unifies no spellings.

    >>> plain_english("“Gad,” it's 9 o’clock—already!")
    "gad it's 9 o'clock already"
    """
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return " ".join(re.sub(r"[^\w']|_|(?<!\w)'|'(?!\w)", " ", text).split())


NORMALISERS: dict[str, Callable[[str], str]] = {"plain-english-1": plain_english}
"""Name -> function. A name never changes its meaning: a new rule is a new name."""


class Recogniser(Protocol):
    """Recordings -> texts."""

    @property
    def name(self) -> str:
        """Program, version and model, as a result quotes it."""
        ...

    def transcribe(self, waves: Sequence[Waveform]) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class PocketSphinx:
    """CMU pocketsphinx with the US English model inside its wheel: works offline, hears clear read speech only."""

    workers: int = 1
    """Processes. Above 1 a script needs `if __name__ == "__main__":`, because Python starts it anew in each."""

    @property
    def name(self) -> str:
        optional("pocketsphinx", "eval", "recognising speech")
        return f"pocketsphinx {version('pocketsphinx')}, its own en-us model"

    def transcribe(self, waves: Sequence[Waveform]) -> list[str]:
        """Text of each recording, any rate; one below 0.1 s gives an empty text."""
        pcm = [_pcm(wave) for wave in waves]
        if self.workers < 2 or len(pcm) < 2:
            return [_hear(part) for part in pcm]
        # Started fresh: a copy of a process that runs torch's threads may hang.
        with ProcessPoolExecutor(min(self.workers, len(pcm)), mp_context=get_context("spawn")) as pool:
            return list(pool.map(_hear, pcm))


def _pcm(wave: Waveform) -> bytes:
    """16 bit at 16 kHz."""
    samples = np.clip(resample(wave, RATE).samples, -1, 1)
    return np.round(samples * 32767).astype("<i2").tobytes()


@lru_cache(maxsize=1)
def _decoder() -> Any:
    sphinx = optional("pocketsphinx", "eval", "recognising speech")
    return sphinx.Decoder(loglevel="FATAL")


def _hear(pcm: bytes) -> str:
    if len(pcm) < RATE // 5:  # 0.1 s of two-byte samples, too short for any word
        return ""
    decoder = _decoder()
    decoder.reinit_feat()  # else what was heard before, whose noise and level it remembers, would count
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    heard = decoder.hyp()
    # "read(2)" is the second pronunciation of "read".
    return "" if heard is None else re.sub(r"\(\d+\)", "", heard.hypstr)


@dataclass(frozen=True)
class ClipErrors:
    """One clip, after normalisation."""

    reference: str
    heard: str
    words: int
    """In the reference."""
    substitutions: int
    deletions: int
    insertions: int
    characters: int
    """In the reference, spaces counted."""
    character_errors: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions


@dataclass(frozen=True)
class RecognitionResult:
    """Error rates are shares: 0.25 is 25 words wrong of a hundred. They pass 1 where much is inserted."""

    wer: Estimate
    """(Substitutions + deletions + insertions) / words of the references, over all clips."""
    cer: Estimate
    """The same over characters."""
    words: int
    substitutions: int
    deletions: int
    insertions: int
    recogniser: str
    normaliser: str
    clips: tuple[ClipErrors, ...] = field(repr=False)


def count_errors(reference: str, heard: str) -> ClipErrors:
    """Fewest edits from heard to reference, counted by jiwer; both are taken as they are, normalised before."""
    jiwer = optional("jiwer", "eval", "counting word errors")
    words, characters = reference.split(), len(reference)
    if not words:
        # jiwer has no alignment with nothing: all that was heard is inserted.
        return ClipErrors(reference, heard, 0, 0, 0, len(heard.split()), 0, len(heard))
    by_word = jiwer.process_words(reference, heard)
    by_character = jiwer.process_characters(reference, heard)
    wrong = by_character.substitutions + by_character.deletions + by_character.insertions
    edits = by_word.substitutions, by_word.deletions, by_word.insertions
    return ClipErrors(reference, heard, len(words), *edits, characters, wrong)


def word_errors(
    texts: Sequence[str],
    heard: Sequence[str],
    *,
    recogniser: str,
    normaliser: str = "plain-english-1",
    clusters: Sequence[Any] | None = None,
    bootstrap: Bootstrap | None = None,
) -> RecognitionResult:
    """Error rates of transcripts that some recogniser made.

    Args:
        texts: what was said, one a clip.
        recogniser: its name and version, to be quoted.
        clusters: a label a clip (speaker, or the sentence of repeated takes), resampled whole.

    Raises:
        BadInput: another number of transcripts than texts, no word in any text, or an unknown normaliser.
    """
    if normaliser not in NORMALISERS:
        raise BadInput(f"there is no normaliser {normaliser!r}; choose one of {', '.join(NORMALISERS)}")
    if len(texts) != len(heard):
        raise BadInput(f"{len(heard)} transcripts for {len(texts)} texts; expected one a clip, in the same order")
    clean = NORMALISERS[normaliser]
    clips = tuple(count_errors(clean(text), clean(said)) for text, said in zip(texts, heard, strict=True))
    if not sum(clip.words for clip in clips):
        raise BadInput(f"none of the {len(texts)} texts has a word; word errors need transcripts")
    bootstrap = bootstrap or Bootstrap()
    wer = bootstrap.ratio([c.errors for c in clips], [c.words for c in clips], clusters=clusters)
    cer = bootstrap.ratio([c.character_errors for c in clips], [c.characters for c in clips], clusters=clusters)
    return RecognitionResult(
        wer=wer,
        cer=cer,
        words=sum(c.words for c in clips),
        substitutions=sum(c.substitutions for c in clips),
        deletions=sum(c.deletions for c in clips),
        insertions=sum(c.insertions for c in clips),
        recogniser=recogniser,
        normaliser=normaliser,
        clips=clips,
    )


def recognise(
    waves: Sequence[Waveform],
    texts: Sequence[str],
    *,
    recogniser: Recogniser | None = None,
    normaliser: str = "plain-english-1",
    clusters: Sequence[Any] | None = None,
    bootstrap: Bootstrap | None = None,
) -> RecognitionResult:
    """Transcribe and score: `word_errors` of what the recogniser (pocketsphinx by default) hears."""
    recogniser = recogniser or PocketSphinx()
    if len(texts) != len(waves):
        raise BadInput(f"{len(waves)} recordings for {len(texts)} texts; expected one a clip, in the same order")
    return word_errors(
        texts,
        recogniser.transcribe(waves),
        recogniser=recogniser.name,
        normaliser=normaliser,
        clusters=clusters,
        bootstrap=bootstrap,
    )


def compare(
    first: RecognitionResult,
    second: RecognitionResult,
    *,
    clusters: Sequence[Any] | None = None,
    bootstrap: Bootstrap | None = None,
) -> Estimate:
    """WER of the first minus WER of the second on the same clips, paired.

    Raises:
        BadInput: other clips, another recogniser or another normaliser.
    """
    for what in ("recogniser", "normaliser"):
        one, two = getattr(first, what), getattr(second, what)
        if one != two:
            raise BadInput(f"the {what} of the two results differs ({one!r} and {two!r}); measure both with the same")
    if [c.reference for c in first.clips] != [c.reference for c in second.clips]:
        raise BadInput("the two results are not of the same texts in the same order; measure both on the same clips")
    words = [c.words for c in first.clips]
    sides = ([c.errors for c in first.clips], words), ([c.errors for c in second.clips], words)
    return (bootstrap or Bootstrap()).difference(*sides, clusters=clusters)
