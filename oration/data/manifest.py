"""Corpora as lists of clips, and the file they live in: `manifest.jsonl`, one clip a line. Reads no audio by itself.

A line holds `id`, `path` (relative to the manifest), `duration_s`, `split`, `speaker`, `text`, and, where known,
`words` and `phones` as `[start_s, stop_s, label]`, `corpus`, `licence`, `start`, `stop` and `agent`. Others are
ignored.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oration.core import BadInput, Waveform
from oration.core.files import reason, replace_file

Span = tuple[float, float, str]
"""Start and stop in seconds from the clip's start, and a label."""


@dataclass(frozen=True)
class Clip:
    """One utterance of a corpus."""

    id: str
    path: Path
    """The audio file."""
    seconds: float
    split: str = "train"
    speaker: str | None = None
    text: str | None = None
    phones: tuple[Span, ...] = ()
    """Of `oration.text.phones.PHONES` if made by this package; empty where unknown."""
    words: tuple[Span, ...] = ()
    corpus: str = ""
    licence: str = ""
    start: float = 0.0
    """Where the clip lies in its file, seconds."""
    stop: float | None = None
    """None: the file's end."""
    agent: int | None = None
    """Of a dialogue recorded in two channels, the one of the party that a model is to be; the other is the user's."""

    def __post_init__(self) -> None:
        if self.agent not in (None, 0, 1):
            raise BadInput(
                f"clip {self.id!r} has agent={self.agent}, expected 0 or 1, which of its two channels is the agent's"
            )

    def wave(self, *, rate: int | None = None) -> Waveform:
        """The clip's recording, its channels averaged."""
        from oration.audio.io import read

        return read(self.path, rate=rate, start=self.start, stop=self.stop)

    def call(self, *, rate: int | None = None) -> tuple[Waveform, Waveform]:
        """The agent's and the user's side of a dialogue.

        Raises:
            BadInput: the clip does not say which channel is the agent's, or has not both.
        """
        from oration.audio.io import read

        if self.agent is None:
            raise BadInput(f"clip {self.id!r} names no agent's channel; give its line of the manifest agent: 0 or 1")
        agent, user = (
            read(self.path, rate=rate, start=self.start, stop=self.stop, channel=channel)
            for channel in (self.agent, 1 - self.agent)
        )
        return agent, user


@dataclass(frozen=True)
class Corpus:
    """Clips, with the questions one asks of them."""

    clips: tuple[Clip, ...]

    @classmethod
    def read(cls, path: Path | str) -> Corpus:
        """From a manifest or the folder that holds one."""
        return cls(tuple(read_manifest(path)))

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    def split(self, name: str) -> Corpus:
        """The clips of one split, such as "train" or "dev"."""
        return Corpus(tuple(clip for clip in self.clips if clip.split == name))

    def hours(self) -> float:
        return sum(clip.seconds for clip in self.clips) / 3600

    def speakers(self) -> list[str]:
        """Sorted names; a speaker's name counts within its corpus, so two corpora may share one."""
        return sorted({f"{clip.corpus}/{clip.speaker}" for clip in self.clips if clip.speaker is not None})

    def counts(self) -> dict[str, dict[str, dict[str, float]]]:
        """Corpus -> split -> {"clips", "hours"}."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        for clip in self.clips:
            cell = found.setdefault(clip.corpus, {}).setdefault(clip.split, {"clips": 0, "hours": 0.0})
            cell["clips"] += 1
            cell["hours"] += clip.seconds / 3600
        return found


def read_manifest(path: Path | str) -> list[Clip]:
    """The clips of a manifest (`.jsonl`, `.jsonl.gz`), or of the folder that holds a `manifest.jsonl`.

    Raises:
        BadInput: no such file, a line that is no clip, or an id that occurs twice.
    """
    path = Path(path)
    path = path / "manifest.jsonl" if path.is_dir() else path
    corpus, licence = path.parent.name, source_licence(path.parent)
    clips = [clip_from(row, path, number, corpus, licence) for number, row in read_rows(path)]
    twice = [name for name, count in Counter(clip.id for clip in clips).items() if count > 1]
    if twice:
        raise BadInput(
            f"{str(path)!r} has {len(twice)} ids twice, the first is {twice[0]!r}; give each clip its own id"
        )
    return clips


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and content of each line of a JSON-lines file, packed with gzip or not; blank lines are skipped."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise ValueError("not an object")
                    yield number, row
    except OSError as failure:
        raise reason(failure, path) from failure
    except (ValueError, EOFError, zlib.error) as failure:
        raise BadInput(
            f"{str(path)!r} is not JSON lines ({failure}), expected one JSON object a line; "
            "see docs/data.md for the fields, and write it again"
        ) from failure


def clip_from(row: dict[str, Any], path: Path, number: int, corpus: str = "", licence: str = "") -> Clip:
    """Line `number` of the manifest `path` as a clip; corpus and licence are for lines that name none."""
    try:
        clip = Clip(
            id=str(row["id"]),
            path=Path(os.path.normpath(path.parent.absolute() / row["path"])),
            seconds=float(row["duration_s"]),
            split=row.get("split") or "train",
            speaker=None if row.get("speaker") is None else str(row["speaker"]),
            text=row.get("text"),
            phones=_spans(row.get("phones")),
            words=_spans(row.get("words")),
            corpus=row.get("corpus") or corpus,
            licence=row.get("licence") or licence,
            start=float(row.get("start") or 0.0),
            stop=None if row.get("stop") is None else float(row["stop"]),
            agent=None if row.get("agent") is None else int(row["agent"]),
        )
    except (KeyError, TypeError, ValueError) as failure:
        raise BadInput(
            f"line {number} of {str(path)!r} is no clip ({type(failure).__name__}: {failure}); it needs id, path and "
            "duration_s, and phones and words as [start, stop, label]; see docs/data.md"
        ) from failure
    return clip


def _spans(rows: Any) -> tuple[Span, ...]:
    return tuple((float(start), float(stop), str(label)) for start, stop, label in rows or ())


def source_licence(folder: Path) -> str:
    """What the line `Licence:` of the folder's SOURCE.md says; empty where there is none."""
    try:
        lines = (folder / "SOURCE.md").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("licence:")), "")


def row(clip: Clip, folder: Path) -> dict[str, Any]:
    """A clip as a line of a manifest that lies in `folder`; its path is relative if the audio lies there too."""
    path, folder = clip.path.absolute(), folder.absolute()
    fields: dict[str, Any] = {
        "id": clip.id,
        "path": path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix(),
        "duration_s": round(clip.seconds, 9),
        "split": clip.split,
        "speaker": clip.speaker,
        "text": clip.text,
        "corpus": clip.corpus,
        "licence": clip.licence,
    }
    if clip.start or clip.stop is not None:
        fields |= {"start": clip.start, "stop": clip.stop}
    if clip.agent is not None:
        fields["agent"] = clip.agent
    for name, spans in (("words", clip.words), ("phones", clip.phones)):
        if spans:
            fields[name] = [[round(start, 9), round(stop, 9), label] for start, stop, label in spans]
    return fields


def write_manifest(clips: Iterable[Clip], path: Path | str) -> Path:
    """Write a manifest, complete or not at all. Times are kept to the nanosecond.

    Raises:
        BadInput: the place is missing, closed to us or full.
    """
    path = Path(path)
    lines = [json.dumps(row(clip, path.parent), ensure_ascii=False) + "\n" for clip in clips]
    return replace_file(path, "".join(lines).encode())
