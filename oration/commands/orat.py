"""Streams in .orat files, for `oration encode` and `oration decode`: which model wrote one, and its sound in pieces."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import nn

from oration.core import BadInput, Example, Stream, Waveform
from oration.core.container import Excerpt, Reader, Span, Writer, merged
from oration.core.container.about import NONE, ONSETS, RATE
from oration.core.decoder import Decoder
from oration.generate import Expectations
from oration.model import SpeechLM
from oration.tasks import Task

KIND = ".orat"


def version_of(lm: SpeechLM, streams: Iterable[str]) -> str:
    """What tells the tokenizers of these streams, their settings and weights, from all others: 16 hexadecimal digits.

    A setting at its default does not count, so that a version of oration that knows more settings gives the same.
    """
    wanted, found = set(streams), hashlib.sha256()
    for name, config in lm.configs.items():
        if config not in lm.recipe.tokenizers or not wanted & set(config.specs()):
            continue
        found.update(f"{name}={settings(config)}\n".encode())
        part = lm.part(name)
        if isinstance(part, nn.Module):
            _digest(found, part)
    return found.hexdigest()[:16]


def _digest(found: Any, part: nn.Module) -> None:
    """Tell a hash all weights of a module."""
    for key, tensor in sorted(part.state_dict().items()):
        found.update(f"{key} {list(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())


def settings(value: Any) -> str:
    """A configuration as text, without what it leaves at its default.

    >>> from oration.tokenizers import F0
    >>> settings(F0(bins=32)), settings((1.5, F0()))
    ('F0(bins=32)', '(1.5, F0())')
    """
    if isinstance(value, tuple):
        return f"({', '.join(map(settings, value))})"
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return repr(value)
    said = []
    for field in dataclasses.fields(value):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if (given := getattr(value, field.name)) != default:
            said.append(f"{field.name}={settings(given)}")
    return f"{type(value).__name__}({', '.join(said)})"


EXPECTED_BLOCK = 10
"""Seconds of a block that a language model codes: it begins each knowing nothing."""


def expecter_of(lm: SpeechLM) -> Expectations | None:
    """The recipe's language model that codes its streams, if there is one.

    Raises:
        BadInput: it cannot, or the recipe has none of that name.
    """
    name = lm.recipe.coder
    if name is None:
        return None
    config = next((one for one in lm.recipe.lms if one.name == name), None)
    if config is None:
        raise BadInput(
            f"recipe {lm.recipe.name!r} is coded by {name!r}, but its language models are "
            f"{[one.name for one in lm.recipe.lms]}; name one of them as coder"
        )
    part, found = lm.part(name), hashlib.sha256()
    found.update(f"{settings(config.body)} {settings(config.head)}\n".encode())
    _digest(found, part)
    return Expectations(part, cast(Task, config.tasks[0]), found.hexdigest()[:16])


def save(
    path: Path, waves: Iterable[Waveform], lm: SpeechLM, *, entropy: bool, overwrite: bool
) -> tuple[Example, float]:
    """The streams of a recording, that comes in pieces at the model's rate, into a file.

    Returns:
        The streams, and how many seconds the recording lasts.
    """
    samples = 0

    def counted() -> Iterator[Waveform]:
        nonlocal samples
        for wave in waves:
            samples += len(wave)
            yield wave

    example = lm.encode_blocks(counted())
    version, expecter = version_of(lm, example), expecter_of(lm) if entropy else None
    with Writer(
        path,
        lm.specs,
        recipe=lm.recipe.name,
        version=version,
        rate=lm.rate,
        block=1 if expecter is None else EXPECTED_BLOCK,
        entropy=entropy,
        expecter=expecter,
        overwrite=overwrite,
    ) as out:
        out.push(example, samples=samples)
    return example, samples / lm.rate


def check(file: Reader, lm: SpeechLM) -> None:
    """Refuse to decode what another model wrote; give the file the language model that coded it, if one did.

    Raises:
        BadInput: a stream that the model does not have, or has with another alphabet, rate, settings or weights; or
            another language model coded the file.
    """
    about = file.about
    for name, spec in about.specs.items():
        if name not in lm.specs:
            raise BadInput(
                f"{file.name!r} (recipe {about.recipe!r}) holds the stream {name!r}, which {lm.recipe.name!r} does not "
                "have; decode it with the model that made it (--model)"
            )
        if spec != lm.specs[name]:
            theirs, ours = (f"{s.size} symbols at {s.rate or 'no'} a second" for s in (spec, lm.specs[name]))
            raise BadInput(
                f"{file.name!r} (recipe {about.recipe!r}) holds the stream {name!r} of {theirs}, but {lm.recipe.name!r}"
                f" has it with {ours}; decode it with the model that made it (--model)"
            )
    version = version_of(lm, about.specs)
    if about.version and about.version != version:
        raise BadInput(
            f"{file.name!r} was made by {about.recipe!r} of version {about.version}, but {lm.recipe.name!r} is of "
            f"version {version}, so its symbols would mean something else; decode it with the model that made it "
            "(--model)"
        )
    if about.expected is not None:
        file.expect(expecter_of(lm))


class Spoken:
    """The recording that a file stands for, in pieces and as long as it was, silent where it is lost.

    Memory does not grow with it where the vocoder is live and the file holds all that this reads.
    """

    def __init__(self, file: Reader, lm: SpeechLM, voice: str | None) -> None:
        self.file, self.lm, self.voice = file, lm, voice
        self.lost: list[Span] = []
        self.blocks: list[int] = []

    @property
    def damage(self) -> tuple[str, ...]:
        """What is wrong with what was read so far, a clause each."""
        return Excerpt({}, {}, merged(self.lost), tuple(self.blocks), self.file.damage).damage

    def __iter__(self) -> Iterator[Waveform]:
        about, at = self.file.about, 0
        last = round(about.samples * self.lm.rate / about.rate) if about.samples else None
        for wave in self._whole() if (live := self._live()) is None else self._pieces(live):
            samples = wave.samples if last is None else wave.samples[: max(0, last - at)]
            if self.lost and all(track.time != ONSETS for track in about.tracks):
                samples = samples.copy()
                for span in self.lost:
                    a, b = (round(edge * wave.rate) - at for edge in span)
                    samples[max(0, a) : max(0, b)] = 0
            at += len(wave)
            if len(samples):
                yield Waveform(samples, wave.rate)

    def _live(self) -> Any:
        """What decodes in pieces, if there is such and the file has a rate for all that it reads."""
        vocoder = self.lm.recipe.vocoder
        if vocoder is None:
            return None
        part = self.lm.part("vocoder")
        codec = isinstance(vocoder, Decoder)
        make = getattr(part, "speaker" if codec else "live", None)
        known = {track.name for track in self.file.about.tracks if track.time in (RATE, NONE)}
        # A codec decodes with the levels that there are.
        needs = set(vocoder.needs[:1] if codec else vocoder.needs) - {"speaker"}
        return make() if make is not None and needs <= known else None

    def _pieces(self, live: Any) -> Iterator[Waveform]:
        held: Example | None = None
        for excerpt in self.file.pieces():
            held = self._held(excerpt, held)
            yield from live.push(self.lm.synthesis.voiced(held, self.voice))
        self._something()
        yield from live.flush()

    def _whole(self) -> Iterator[Waveform]:
        held = self._held(self.file.read(), None)
        self._something()
        yield from self.lm.decode([held], voice=self.voice)

    def _held(self, excerpt: Excerpt, before: Example | None) -> Example:
        """What a decoder is given. Streams of a rate keep their length, so that nothing after a loss moves."""
        self.lost += excerpt.lost
        self.blocks += excerpt.blocks
        held = excerpt.held(before)
        for name in excerpt.first:
            if name not in held:
                values = excerpt.example[name].values
                zeros = np.zeros_like(excerpt.example[name].ids)
                held[name] = Stream(zeros, None, None if values is None else np.zeros_like(values))
        return held

    def _something(self) -> None:
        if self.blocks and len(self.blocks) == self.file.about.blocks:
            raise BadInput(f"of {self.file.name!r} nothing is left ({'; '.join(self.damage)}); copy or encode it again")
