"""Forced alignment by our own CTC model: word and phone times from a transcript, without pocketsphinx's acoustic model.

It reads numbers and unknown words, which pocketsphinx refuses; its times are less exact (`oration score alignment`).
Pronunciations come from the CMU dictionary where it is installed, else from letters.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from oration.core import BadInput, Waveform, from_record
from oration.data.align import LONGEST, Alignment, Refused
from oration.data.manifest import Span
from oration.text.align import close_gaps, viterbi, word_times
from oration.text.phones import INDEX, PHONES, SILENCE
from oration.text.pronounce import pronounce
from oration.tokenizers.heard import HeardPhones, HeardPhonesModel

SHIPPED = Path(__file__).parents[1] / "aligner"
"""The model that comes with the package; `oration train aligner --data DIR --out DIR` makes one like it."""

MODEL = "oration's CTC aligner"
"""What the times rest on: belongs to the provenance of whatever is trained on them."""

GAP, REACH = 0.1, 0.04
"""Seconds. A shorter blank between two phones is no silence; how far a phone reaches into a longer one."""

WORST = 4.5
"""Nats a phone that the text may cost more than what the model hears by itself, before it is held to be another text.

Of held-out clips nearly all stay below; of the same clips with the text of another, nine in ten do not."""


class CtcAligner:
    """Waveform and transcript -> Alignment."""

    def __init__(self, folder: Path = SHIPPED) -> None:
        self.model = load(folder)
        self.book = "cmudict" if importlib.util.find_spec("pocketsphinx") else ""

    def __call__(self, wave: Waveform, text: str) -> Alignment:
        """Words and phones in seconds; phones cover the whole clip, silence is SIL."""
        try:
            return self._aligned(wave, text)
        except (Refused, BadInput) as why:
            return Alignment(refused=str(why))

    def _aligned(self, wave: Waveform, text: str) -> Alignment:
        said = [(word, phones) for word, phones in pronounce(text, self.book) if word != SILENCE and phones]
        if not said:
            raise Refused(f"the transcript {text[:80]!r} holds no words, expected some; correct or remove it")
        if wave.seconds > LONGEST:
            raise Refused(
                f"the clip lasts {wave.seconds:.0f} s, expected at most {LONGEST:.0f}; cut it into utterances"
            )
        heard = self.model.emissions(wave)
        targets = np.array([INDEX[phone] for _, phones in said for phone in phones])
        path = viterbi(heard, targets)
        if float(heard.max(1).sum()) - path.nats > WORST * len(targets):
            raise Refused("the transcript does not fit the recording; correct it or remove the clip")
        rate = self.model.rate
        starts, stops = close_gaps(path, len(heard), GAP * rate, REACH * rate)
        begun, ended = word_times(starts, stops, [len(phones) for _, phones in said])
        words = zip(begun, ended, (word.lower() for word, _ in said), strict=True)
        phones = zip(starts, stops, (PHONES[target] for target in targets), strict=True)
        return Alignment(
            tuple(_span(*word, rate, wave.seconds) for word in words),
            _covering([_span(*phone, rate, wave.seconds) for phone in phones], wave.seconds),
        )


def load(folder: Path) -> HeardPhonesModel:
    """The `HeardPhones` of a model folder.

    Raises:
        BadInput: there is none, or its weights do not fit.
    """
    try:
        record = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        parts = [from_record(part) for part in record["tokenizers"]]
        config = next(part for part in parts if isinstance(part, HeardPhones))
        model = config.build()
        tensors = load_file(folder / f"{config.stream}.safetensors")
        model.load_state_dict({name: tensor.to(model.state_dict()[name].dtype) for name, tensor in tensors.items()})
    except BadInput:
        raise
    except Exception as wrong:
        raise BadInput(
            f"{str(folder)!r} holds no aligner ({type(wrong).__name__}: {str(wrong)[:100]}); make one with: "
            "oration train aligner --data DIR --out DIR"
        ) from wrong
    return model.eval()


def _span(start: float, stop: float, name: str, rate: int, seconds: float) -> Span:
    return min(round(start / rate, 4), seconds), min(round(stop / rate, 4), seconds), name


def _covering(phones: list[Span], seconds: float) -> tuple[Span, ...]:
    """The phones with silence wherever there is none."""
    covered: list[Span] = []
    at = 0.0
    for start, stop, name in phones:
        if start > at:
            covered.append((at, start, SILENCE))
        if stop > start:
            covered.append((start, stop, name))
        at = max(at, stop)
    if at < seconds:
        covered.append((at, seconds, SILENCE))
    return tuple(covered)
