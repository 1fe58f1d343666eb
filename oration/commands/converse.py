"""`oration converse`: dialogues in two channels, from recordings of single speakers."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from rich.progress import track

from oration.commands.console import console
from oration.core import BadInput
from oration.data.converse import Cast
from oration.data.dialogues import cast, write_dialogues
from oration.data.manifest import Clip
from oration.data.sources import read_source


def run(
    sources: tuple[Path, ...],
    agent: str,
    out: Path,
    hours: float,
    seconds: float,
    longest: float,
    beside: dict[str, tuple[Path, ...]],
    seed: int,
) -> None:
    """Compose, then say how much there is.

    Raises:
        BadInput: a source, a name or a number that will not do.
    """
    clips = clips_of(sources)
    others = {name: clips_of(paths) for name, paths in beside.items()}
    casts: dict[str, Cast] = {"train": cast(clips, agent, others, "train", longest)}
    if any(clip.split == "dev" for clip in clips):
        casts["dev"] = cast(clips, agent, others, "dev", longest)
    made = write_dialogues(
        casts, out, hours=hours, seconds=seconds, seed=seed, track=_shown if sys.stderr.isatty() else _plain
    )
    total = sum(clip.seconds for clip in made) / 3600
    dev = sum(clip.split == "dev" for clip in made)
    console().print(
        f"{len(made)} dialogues, {total:.2f} hours, {dev} of them dev: {out / 'manifest.jsonl'}", soft_wrap=True
    )


def clips_of(sources: tuple[Path, ...]) -> list[Clip]:
    """The clips of several sources.

    Raises:
        BadInput: a source that cannot be read, or an id that two of them have.
    """
    clips: dict[str, Clip] = {}
    for source in sources:
        for clip in read_source(source)[0]:
            if clip.id in clips:
                raise BadInput(f"the id {clip.id!r} occurs in two sources; give each clip its own id")
            clips[clip.id] = clip
    return list(clips.values())


def _shown(items: Iterable[int], title: str) -> Iterable[int]:
    return track(items, title)


def _plain(items: Iterable[int], title: str) -> Iterable[int]:
    return items
