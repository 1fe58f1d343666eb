"""A corpus of made-up dialogues: `converse.compose` over and over, as two-channel files with a manifest.

Beside the manifest lies `marks.jsonl`: what happens when in each dialogue, which tests of turn-taking need and training
does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from oration.audio.io import info, write_channels
from oration.core import BadInput
from oration.core.files import reason, replace_file
from oration.data.converse import Cast, Manners, Mark, compose
from oration.data.manifest import Clip, read_rows, write_manifest

DEV = 20
"""Every so many dialogues are `dev`, where there are clips for it."""

Track = Callable[[Iterable[int], str], Iterable[int]]
"""Wraps the loop, for a progress bar."""


def write_dialogues(
    casts: Mapping[str, Cast],
    out: Path,
    *,
    hours: float,
    seconds: float = 40.0,
    seed: int = 0,
    manners: Manners | None = None,
    track: Track = lambda items, title: items,
) -> list[Clip]:
    """Compose `hours` of dialogues of `seconds` each into `out`. The same call again goes on where it was.

    Args:
        casts: split (`train`, `dev`) -> who and what is heard in it.

    Raises:
        BadInput: no time, no cast for `train`, or no place to write.
    """
    count = round(hours * 3600 / seconds) if seconds > 0 else 0
    if count < 1 or "train" not in casts:
        raise BadInput(
            f"{hours} hours of dialogues of {seconds} s each by casts for {sorted(casts)}: expected at least one "
            "dialogue, and clips whose split is train"
        )
    try:
        (out / "audio").mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise reason(failure, out) from failure
    manners, licences = manners or Manners(), licence(casts.values())
    _same(out, casts, manners, seconds, seed)
    clips = []
    for number in track(range(count), "dialogues"):
        split = "dev" if number % DEV == DEV - 1 and "dev" in casts else "train"
        path = out / "audio" / f"{number:06d}.flac"
        note = path.with_suffix(".json")
        if not (path.exists() and note.exists()):
            made = compose(casts[split], manners, np.random.default_rng((seed, number)), seconds)
            replace_file(note, json.dumps([list(asdict(mark).values()) for mark in made.marks]).encode())
            write_channels((made.agent, made.user), path, overwrite=True)
        clips.append(Clip(path.stem, path, info(path).seconds, split, corpus=out.name, licence=licences, agent=0))
    lines = ({"id": c.id, "marks": json.loads(c.path.with_suffix(".json").read_text())} for c in clips)
    replace_file(out / "marks.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    write_manifest(clips, out / "manifest.jsonl")
    return clips


def read_marks(folder: Path) -> Iterator[tuple[str, tuple[Mark, ...]]]:
    """The id of each dialogue that `write_dialogues` left, and what happens in it."""
    for _, line in read_rows(folder / "marks.jsonl"):
        yield str(line["id"]), tuple(Mark(*mark) for mark in line["marks"])


def licence(casts: Iterable[Cast]) -> str:
    """The licences of all that is heard, in one line."""
    found = {c.licence for cast in casts for part in (cast.agent, cast.users, cast.noises, cast.feedback) for c in part}
    return "; ".join(sorted(found - {""}))


def cast(clips: Sequence[Clip], agent: str, beside: Mapping[str, Sequence[Clip]], split: str, longest: float) -> Cast:
    """Who is heard in one split.

    Args:
        clips: of both parties.
        agent: the agent's corpus, or `corpus/speaker`; everybody else is a user.
        beside: `noises`, `feedback` and `rooms`; those whose clips have no such split give all of theirs.
        longest: seconds; longer clips are left out.

    Raises:
        BadInput: nobody of that name speaks in this split, or nobody else.
    """
    chosen = [c for c in clips if c.split == split and 0.3 <= c.seconds <= longest]
    own = [c for c in chosen if agent in (c.corpus, f"{c.corpus}/{c.speaker}")]
    users = [c for c in chosen if agent not in (c.corpus, f"{c.corpus}/{c.speaker}")]
    if not own or not users:
        names = sorted({c.corpus for c in chosen})
        raise BadInput(
            f"the split {split!r} has {len(own)} clips by {agent!r} and {len(users)} by others of at most {longest} s; "
            f"expected some of both: name one of {', '.join(names) or 'none'}, or corpus/speaker"
        )
    noises, feedback, rooms = (
        [c for c in found if c.split == split] or list(found)
        for found in (beside.get(name, ()) for name in ("noises", "feedback", "rooms"))
    )
    return Cast(agent=own, users=users, noises=noises, feedback=feedback, rooms=rooms)


def _same(out: Path, casts: Mapping[str, Cast], manners: Manners, seconds: float, seed: int) -> None:
    """Remember what was asked for; a folder is of one asking."""
    ids = {split: [[c.id for c in part] for part in (x.agent, x.users, x.noises)] for split, x in casts.items()}
    asked = json.dumps({"manners": asdict(manners), "seconds": seconds, "seed": seed, "clips": ids})
    path = out / "asked.json"
    if path.exists() and path.read_text(encoding="utf-8") != asked:
        raise BadInput(f"{str(out)!r} holds dialogues that were asked for otherwise; give another --out, or remove it")
    replace_file(path, asked.encode())
