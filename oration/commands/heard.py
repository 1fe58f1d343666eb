"""What a recording becomes before a layout places it: every stream that tasks read, from weights or without any."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from oration.audio.io import read
from oration.core import BadInput, Example, Stream, Waveform
from oration.data.manifest import Clip, read_manifest
from oration.data.material import Material
from oration.lms import LM
from oration.model import SpeechLM
from oration.sizes import Part
from oration.tasks import Task
from oration.works import voiced

SAMPLES = Path(__file__).parents[1] / "samples"
LONGEST, SHORTEST = 30.0, 0.1
"""Seconds of a recording that are looked at."""
LARGE = 40_000_000
"""Numbers of an untrained tokenizer that are still built for a picture."""
UNTRAINED = (
    "no weights: tokenizers are built untrained with a fixed seed, so symbols mean nothing; positions, roles, delays "
    "and marks are exactly those of training"
)


@dataclass
class Heard:
    """A recording and its streams."""

    clip: Clip
    wave: Waveform
    example: Example = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What is not as it would be in training, each in one sentence."""
    missing: dict[str, str] = field(default_factory=dict)
    """Stream -> why it could not be made."""


def find_clip(recording: Path, text: str | None) -> tuple[Clip, list[str]]:
    """A recording with what is known of it: the text, or the line of a manifest beside it. And notes on that.

    Args:
        recording: a file, or the name of a bundled sample.

    Raises:
        BadInput: it cannot be read, or is too short.
    """
    path = recording if recording.exists() or not (SAMPLES / recording.name).is_file() else SAMPLES / recording.name
    wave = read(path, stop=LONGEST)
    if wave.seconds < SHORTEST:
        raise BadInput(
            f"{str(recording)!r} lasts {wave.seconds:.3f} s, expected {SHORTEST:g} s or more; give a longer recording"
        )
    clip, notes = Clip(path.stem, path, wave.seconds), []
    if text is not None:
        notes.append(
            "words are spread evenly over the recording, because nothing says when they are spoken "
            "(a manifest.jsonl beside it would)"
        )
        return replace(clip, text=text, words=spread(text, wave.seconds)), notes
    known = _listed(path)
    if known is not None:
        if known.seconds > wave.seconds + 0.05:
            notes.append(f"the first {LONGEST:g} s of {known.seconds:.1f} s")
            words = tuple(span for span in known.words if span[1] <= wave.seconds)
            phones = tuple(span for span in known.phones if span[1] <= wave.seconds)
            said = " ".join(word for _, _, word in words) if words else known.text
            known = replace(known, words=words, phones=phones, text=said, seconds=wave.seconds)
        return known, notes
    return clip, notes


def _listed(path: Path) -> Clip | None:
    """The line about a file in a manifest beside it."""
    if not (path.parent / "manifest.jsonl").is_file():
        return None
    with contextlib.suppress(BadInput):  # a file of that name need not be ours
        for clip in read_manifest(path.parent):
            if clip.path.resolve() == path.resolve() and not clip.start:
                return clip
    return None


def spread(text: str, seconds: float) -> tuple[tuple[float, float, str], ...]:
    """The words of a text, each as long as the others.

    >>> spread("one two", 3.0)
    ((0.0, 1.5, 'one'), (1.5, 3.0, 'two'))
    """
    words = text.split()
    each = seconds / max(1, len(words))
    return tuple((i * each, (i + 1) * each, word) for i, word in enumerate(words))


def listen(
    model: SpeechLM, parts: dict[str, Part], links: Sequence[tuple[LM, Task]], clip: Clip, notes: list[str]
) -> Heard:
    """The streams of a recording that the tasks read.

    Raises:
        BadInput: the recording cannot be read.
    """
    wave = read(clip.path, rate=model.rate, start=clip.start, stop=clip.start + clip.seconds)
    heard = Heard(clip, wave, notes=list(notes))
    trained = model.folder is not None
    wanted = _wanted(model, links)
    if not trained:
        heard.notes.insert(0, UNTRAINED)
    if "phones" in wanted:
        if clip.phones:
            heard.example["phones"] = Material([clip]).example(0)["phones"]
        else:
            heard.missing["phones"] = "nothing says which phones it holds; `oration prepare` finds them"
    for name, config in model.configs.items():
        if config in model.recipe.tokenizers and wanted & set(config.specs()):
            try:
                heard.example |= _streams(model, name, config, parts[name], heard, trained)
            except BadInput as lacking:
                heard.missing |= dict.fromkeys(config.specs(), str(lacking))
    _hidden(model, wanted, heard)
    return heard


def _wanted(model: SpeechLM, links: Sequence[tuple[LM, Task]]) -> set[str]:
    """The streams that the tasks read before their operations, and those that are needed to make them."""
    wanted: set[str] = set()
    for _, task in links:
        made: set[str] = set()
        for operation in task.operations:
            wanted |= set(operation.needs) - made
            made |= set(operation.specs({**model.specs, **task.specs(model.specs)}))
        wanted |= set(task.layout.streams) - made
    givers = [lm for lm in model.recipe.lms if wanted & {f"{name}.hidden" for name in lm.exposes}]
    if givers:
        wanted |= _wanted(model, [(lm, cast(Task, lm.tasks[0])) for lm in givers])
    for tokenizer in reversed(model.recipe.tokenizers):
        if wanted & set(tokenizer.specs()):
            wanted |= {need for need in tokenizer.needs if need != "wave"}
    return wanted


def _streams(model: SpeechLM, name: str, config: Any, part: Part, heard: Heard, trained: bool) -> Example:
    """What one tokenizer makes of the recording."""
    specs = config.specs()
    regular = all(spec.rate is not None for spec in specs.values())
    if not trained and "wave" in config.needs and part.numbers > LARGE and regular:
        heard.notes.append(
            f"{name}: {part.numbers / 1e6:,.0f} M numbers are too many to build for a picture, so it gives zeros"
        )
        return {stream: _zeros(spec, heard.wave.seconds) for stream, spec in specs.items()}
    built = model.part(name)
    if hasattr(built, "label"):
        return _label(model, name, config, built, heard)
    if hasattr(built, "derive"):
        return dict(built.derive([heard.example])[0])
    return dict(built.encode([heard.wave])[0])


def _label(model: SpeechLM, name: str, config: Any, built: Any, heard: Heard) -> Example:
    """What a tokenizer makes of the transcript or another label."""
    clip = voiced(heard.clip, model.recipe)
    if getattr(config, "file", None) and model.folder is None and not Path(config.file).exists():
        heard.notes.append(f"{name}: {config.file!r} is not here, so its pieces are bytes, more than in training")
        return dict(replace(config, file=None).build().label(clip))
    if model.folder is None and not getattr(config, "ready", True):
        heard.notes.append(f"{name}: pieces that are not learned yet are bytes, more than in training")
    return dict(built.label(clip))


def _zeros(spec: Any, seconds: float) -> Stream:
    count = spec.length(seconds)
    return Stream.dense(np.zeros((count, spec.dim), np.float32)) if spec.dim else Stream(np.zeros(count, np.int64))


def _hidden(model: SpeechLM, wanted: set[str], heard: Heard) -> None:
    """The places of the vectors that one language model hands to another."""
    for lm in model.recipe.lms:
        for name in lm.exposes:
            stream = f"{name}.hidden"
            if stream not in wanted:
                continue
            try:
                given = cast(Task, lm.tasks[0]).prepare(heard.example, model.specs, np.random.default_rng(0))
            except BadInput as lacking:
                heard.missing[stream] = str(lacking)
                continue
            if name in given:
                zeros = np.zeros((len(given[name]), model.specs[stream].dim), np.float32)
                heard.example |= {**given, stream: Stream(given[name].ids * 0, given[name].onsets, zeros)}
                heard.notes.append(f"{stream}: {lm.name!r} is not run for a picture, so its vectors are zeros")
