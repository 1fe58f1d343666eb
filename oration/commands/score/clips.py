"""Which clips to measure on, and what a model makes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from oration.core import BadInput, Example, Waveform
from oration.data.manifest import Clip, read_manifest
from oration.model import SpeechLM
from oration.nn.linear import Weights
from oration.tasks import Task
from oration.train.progress import Progress

T = TypeVar("T")


def choose(data: Path, split: str, count: int = 0) -> list[Clip]:
    """The clips of one split ("all": of every), or `count` of them, evenly spread.

    Raises:
        BadInput: no manifest, no such split, or a count below 0.
    """
    if count < 0:
        raise BadInput(f"--clips {count}: expected 0 (all) or more")
    clips = read_manifest(data)
    found = [clip for clip in clips if split in ("all", clip.split)]
    if not found:
        raise BadInput(
            f"{str(data)!r} has no clips of the split {split!r}; it has {sorted({clip.split for clip in clips})}; "
            "name one of them, or all"
        )
    return spread(found, count)


def spread(items: Sequence[T], count: int) -> list[T]:
    """`count` of them at even distances, all if 0 or too many."""
    if not 0 < count < len(items):
        return list(items)
    return [items[at] for at in np.linspace(0, len(items) - 1, count).round().astype(int)]


def with_lm(folder: Path | None, weights: Weights | None = None) -> SpeechLM:
    """A model that has a language model.

    Raises:
        BadInput: it has none.
    """
    model = SpeechLM.load(folder, weights=weights)
    if not model.recipe.lms:
        raise BadInput(f"the recipe {model.recipe.name!r} has no language model; name a model that has one")
    return model


def recordings(clips: Sequence[Clip], rate: int) -> list[Waveform]:
    """The clips' sound at one rate."""
    return [clip.wave(rate=rate) for clip in clips]


def speakers(clips: Sequence[Clip]) -> list[str] | None:
    """Labels to resample whole: the speaker where there are ten or more, else the sentence where takes repeat it."""
    names = [f"{clip.corpus}/{clip.speaker}" for clip in clips]
    if len(set(names)) >= 10:
        return names
    sentences = [clip.text or clip.id for clip in clips]
    return sentences if len(set(sentences)) < len(sentences) else None


def encoded(model: SpeechLM, task: Task, clips: Sequence[Clip], cache: Path) -> list[Example]:
    """Each clip as the task sees it; streams that training left in `cache` are not computed again."""
    if not cache.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            return _encoded(model, task, clips, Path(folder))
    return _encoded(model, task, clips, cache)


def _encoded(model: SpeechLM, task: Task, clips: Sequence[Clip], cache: Path) -> list[Example]:
    wanted = {*task.layout.streams, *(need for operation in task.operations for need in operation.needs)}
    material, rng = model.material(clips, wanted, cache, tracked), np.random.default_rng(0)
    return [task.prepare(material.example(at), model.specs, rng) for at in range(len(clips))]


def tracked(items: Iterable[T], title: str) -> Iterator[T]:
    """The same items under a progress bar."""
    items = list(items)
    with Progress(title, 0, len(items)) as bar:
        for item in items:
            yield item
            bar.advance()
