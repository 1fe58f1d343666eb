"""Forced alignment: when each word and phone of a transcript is spoken, by pocketsphinx and its English model.

Two passes: words (with the pronunciation that fits and the silences between), then phones within the words. A frame is
10 ms. Everything is deterministic, and no clip depends on those before it. Our own CTC model (`oration.data.ctc_align`)
refuses fewer clips and is less exact.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal

import numpy as np

from oration.core import BadInput, OrationError, Waveform, optional
from oration.data.manifest import Clip, Span
from oration.data.pool import in_order
from oration.text.phones import SILENCE, fold_arpabet

RATE = 16000
FRAMES = 100
"""Frames a second."""

LONGEST = 60.0
"""Seconds. The aligner's search grows with the clip, and drifts; longer clips are to be cut into utterances."""

_EARLY = 0.0078
"""Seconds. A frame stands for the middle of its 25.6 ms window: it begins half of 25.6 - 10 ms after its number says.

Measured on hand-marked words of TIMIT: without it word starts are 12 ms early on average (median 7.5)."""

PADDING = 0.2
"""Seconds of the recording's own noise floor put before and after it while aligning: trimmed clips end inside a word,
which the aligner, that wants silence there, would refuse or stretch."""

MODEL = "pocketsphinx's en-us acoustic model and CMU dictionary (BSD)"
"""What the times rest on: belongs to the provenance of whatever is trained on them."""


@dataclass(frozen=True)
class Alignment:
    """What the aligner says of a clip: words and phones, or why there are none."""

    words: tuple[Span, ...] = ()
    phones: tuple[Span, ...] = ()
    refused: str | None = None
    unreadable: bool = False
    """Refused because the recording itself is missing or damaged."""


class Refused(OrationError):
    """This clip cannot be aligned."""


def spoken_words(text: str) -> list[str]:
    """A transcript as the dictionary writes its words: lower case, no punctuation, hyphens as spaces.

    >>> spoken_words("Philip Steels’ well-known trail, etc.")
    ['philip', "steels'", 'well', 'known', 'trail', 'etc']

    Raises:
        Refused: digits or symbols that are spoken in ways the text does not say, or nothing to say at all.
    """
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'").replace("‘", "'")
    unclear = re.search(r"\S*[\d$€£%&@#+=]\S*", plain)
    if unclear:
        raise Refused(f"the transcript holds {unclear.group()!r}, expected words only; spell out how it is spoken")
    words = [word for word in re.findall(r"[^\W_']*(?:'[^\W_']*)*", plain) if word.strip("'")]
    if not words:
        raise Refused(f"the transcript {text!r} holds no words, expected some; correct or remove it")
    return words


class Aligner:
    """Waveform and transcript -> Alignment. Holds the acoustic model (about 40 MB)."""

    def __init__(self) -> None:
        sphinx = optional("pocketsphinx", "train", "forced alignment")
        # The lattice's best path may give words other frames than the search did; the second pass then fails on 10 %.
        self.decoder: Any = sphinx.Decoder(lm=None, samprate=RATE, loglevel="FATAL", bestpath=False)

    def __call__(self, wave: Waveform, text: str) -> Alignment:
        """Words and phones in seconds; phones cover the whole clip, silence is SIL."""
        try:
            return self._aligned(wave, text)
        except Refused as why:
            return Alignment(refused=str(why))

    def _aligned(self, wave: Waveform, text: str) -> Alignment:
        words = [self._known(word) for word in spoken_words(text)]
        if wave.rate != RATE:
            raise BadInput(f"the aligner hears {RATE} Hz, but the recording has {wave.rate}; resample it")
        if wave.seconds > LONGEST:
            raise Refused(
                f"the clip lasts {wave.seconds:.0f} s, expected at most {LONGEST:.0f}; cut it into utterances"
            )
        sound = _padded(wave.samples)
        try:
            self.decoder.set_align_text(" ".join(words))
            self._hear(sound)
            heard = self.decoder.hyp()
            if heard is None or heard.hypstr.split() != words:
                raise Refused("the transcript does not fit the recording; correct it or remove the clip")
            self.decoder.set_alignment()
            self._hear(sound)
            aligned = self.decoder.get_alignment()
        except RuntimeError as failure:
            raise Refused("the transcript does not fit the recording; correct it or remove the clip") from failure
        if aligned is None:
            raise Refused("the recording is too short for its transcript; correct it or remove the clip")
        return _spans(aligned, wave.seconds)

    def _known(self, word: str) -> str:
        """The word as the dictionary has it."""
        for form in (word, word.strip("'")):
            if self.decoder.lookup_word(form):
                return form
        raise Refused(f"the word {word!r} is not in the aligner's dictionary; spell it otherwise or remove the clip")

    def _hear(self, sound: bytes) -> None:
        self.decoder.start_utt()
        try:
            # With the whole utterance at once, cepstral means come from it alone, not from the clips before.
            self.decoder.process_raw(sound, full_utt=True)
        finally:
            self.decoder.end_utt()


def _padded(samples: np.ndarray) -> bytes:
    """float32[T] -> 16-bit samples with PADDING of noise as loud as the quietest 2 % of 10 ms frames on both sides."""
    scaled = np.clip(samples, -1, 1).astype(np.float64) * 32767
    hop = RATE // FRAMES
    frames = scaled[: len(scaled) // hop * hop].reshape(-1, hop)
    level = max(1.0, float(np.percentile(np.sqrt((frames**2).mean(1)), 2))) if len(frames) else 1.0
    size = round(PADDING * RATE)
    noise = np.random.default_rng(0).standard_normal(2 * size) * level
    sound = np.concatenate([noise[:size], scaled, noise[size:]])
    return bytes(np.clip(sound, -32767, 32767).astype("<i2").tobytes())


def _spans(aligned: Any, seconds: float) -> Alignment:
    """pocketsphinx's frames as seconds of the clip without its padding; the phones cover it from end to end."""

    def times(item: Any) -> tuple[float, float]:
        start = item.start / FRAMES - PADDING + _EARLY
        return min(max(0.0, round(start, 4)), seconds), min(max(0.0, round(start + item.duration / FRAMES, 4)), seconds)

    words: list[Span] = []
    phones: list[Span] = []
    for word in aligned:
        name = re.sub(r"\(\d+\)$", "", word.name)
        start, stop = times(word)
        if not name.startswith(("<", "[", "+")) and start < stop:
            words.append((start, stop, name))
        for phone in word:
            label = fold_arpabet(phone.name)
            start, stop = times(phone)
            if label == SILENCE and phones and phones[-1][2] == SILENCE:
                start = phones.pop()[0]
            if start < stop:
                phones.append((start, stop, label))
    if not phones:
        raise Refused("the transcript does not fit the recording; correct it or remove the clip")
    phones[0], phones[-1] = (0.0, *phones[0][1:]), (phones[-1][0], seconds, phones[-1][2])
    return Alignment(tuple(words), tuple(phones))


Kind = Literal["pocketsphinx", "ctc"]


@cache
def aligner(kind: Kind) -> Callable[[Waveform, str], Alignment]:
    """The aligner of that name, made once in a process."""
    if kind == "pocketsphinx":
        return Aligner()
    from oration.data.ctc_align import CtcAligner

    return CtcAligner()


def align_clip(clip: Clip, kind: Kind = "pocketsphinx") -> Alignment:
    """Read a clip and align it. One that cannot be read is refused with that reason, and marked."""
    try:
        wave = clip.wave(rate=RATE)
    except BadInput as why:
        return Alignment(refused=str(why), unreadable=True)
    if not clip.text:
        return Alignment(refused="there is no transcript; write one or leave the clip unaligned")
    return aligner(kind)(wave, clip.text)


def align(clips: Iterable[Clip], *, kind: Kind = "pocketsphinx", workers: int = 1) -> Iterator[tuple[Clip, Alignment]]:
    """Each clip with its words and phones filled in (or as it was, if refused), in order, as they are ready.

    Args:
        workers: processes. Each holds one acoustic model and uses one core.
    """
    for clip, result in in_order(partial(align_clip, kind=kind), clips, workers):
        yield (clip if result.refused else replace(clip, words=result.words, phones=result.phones)), result
