"""Where clips come from: a manifest, a folder of recordings, or lhotse cuts."""

from __future__ import annotations

import os
import zlib
from itertools import islice
from pathlib import Path
from typing import Any

from oration.audio.io import info
from oration.core import BadInput, optional
from oration.data.manifest import Clip, read_manifest, read_rows, source_licence

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".w64", ".caf")
"""What counts as a recording in a folder."""

DEV = 5
"""Percent of the clips of a source without splits that become "dev", chosen by a hash of their id."""


def read_source(source: Path | str) -> tuple[list[Clip], list[tuple[str, str]]]:
    """The clips of one source, and (id, reason) of what cannot be a clip.

    A folder with `manifest.jsonl`; any other folder, whose recordings may have a `.txt` of the same name beside them; a
    manifest file; or lhotse cuts (`.jsonl`, `.jsonl.gz`).

    Raises:
        BadInput: the source is missing, empty or of no known kind.
    """
    source = Path(source)
    if source.is_dir():
        if (source / "manifest.jsonl").exists():
            return read_manifest(source), []
        return _folder(source)
    if not source.exists():
        raise BadInput(
            f"the source {str(source)!r} does not exist, expected a folder, a manifest or lhotse cuts; check the path"
        )
    if not source.name.endswith((".jsonl", ".jsonl.gz")):
        raise BadInput(
            f"the source {str(source)!r} is a single file, expected a folder of recordings, a manifest.jsonl or lhotse "
            "cuts (.jsonl.gz); give its folder"
        )
    for _, row in islice(read_rows(source), 1):
        return _cuts(source) if "duration_s" not in row else (read_manifest(source), [])
    raise BadInput(f"the source {str(source)!r} is empty, expected one clip a line; write it again")


def _split(name: str) -> str:
    return "dev" if zlib.crc32(name.encode()) % 100 < DEV else "train"


def _folder(folder: Path) -> tuple[list[Clip], list[tuple[str, str]]]:
    """Recordings below a folder; the id is the path without its suffix."""
    clips: dict[str, Clip] = {}
    refused: list[tuple[str, str]] = []
    corpus, licence = folder.absolute().name, source_licence(folder)
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        name = f"{corpus}-{path.relative_to(folder).with_suffix('').as_posix().replace('/', '-')}"
        try:
            if name in clips:
                raise BadInput(f"{str(path)!r} and {str(clips[name].path)!r} would share the id {name!r}; rename one")
            clips[name] = Clip(
                id=name,
                path=Path(os.path.abspath(path)),
                seconds=info(path).seconds,
                split=_split(name),
                text=_transcript(path.with_suffix(".txt")),
                corpus=corpus,
                licence=licence,
            )
        except BadInput as why:
            refused.append((name, str(why)))
    if not clips and not refused:
        raise BadInput(
            f"the folder {str(folder)!r} holds no recordings ({', '.join(SUFFIXES)}); name the folder that does"
        )
    return list(clips.values()), refused


def _transcript(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        return " ".join(path.read_text(encoding="utf-8").split()) or None
    except (OSError, UnicodeDecodeError) as failure:
        raise BadInput(f"the transcript {str(path)!r} cannot be read ({failure}); save it as UTF-8 text") from failure


def _cuts(path: Path) -> tuple[list[Clip], list[tuple[str, str]]]:
    """Single-channel cuts of lhotse whose audio is a file; the corpus is the file's name up to the first dot."""
    lhotse: Any = optional("lhotse", "train", f"reading the cuts {str(path)!r}")
    try:
        cuts = list(lhotse.CutSet.from_file(path))
    except Exception as failure:  # lhotse raises whatever its parsers do
        raise BadInput(
            f"lhotse cannot read {str(path)!r} as cuts ({failure}); write them with CutSet.to_file"
        ) from failure
    clips, refused = [], []
    corpus = path.name.partition(".")[0]
    for cut in cuts:
        try:
            clips.append(_cut(cut, corpus, path.parent))
        except BadInput as why:
            refused.append((str(cut.id), str(why)))
    return clips, refused


def _cut(cut: Any, corpus: str, folder: Path) -> Clip:
    recording: Any = getattr(cut, "recording", None)
    files = [source for source in recording.sources if source.type == "file"] if recording is not None else []
    if len(files) != 1 or recording.num_channels != 1:
        raise BadInput(
            f"the cut {cut.id!r} is not one channel of one audio file, which is expected; export it with lhotse"
        )
    if recording.transforms:
        raise BadInput(
            f"the cut {cut.id!r} changes its recording ({recording.transforms!r}); export it with lhotse first"
        )
    said = [supervision for supervision in cut.supervisions if supervision.text]
    speakers = {supervision.speaker for supervision in cut.supervisions if supervision.speaker}
    custom = cut.custom or {}
    audio = Path(files[0].source)
    whole = cut.start == 0 and abs(cut.duration - recording.duration) < 1e-3
    return Clip(
        id=str(cut.id),
        path=audio if audio.is_absolute() or audio.exists() else folder / audio,
        seconds=float(cut.duration),
        split=str(custom.get("split") or _split(str(cut.id))),
        speaker=speakers.pop() if len(speakers) == 1 else None,
        text=" ".join(supervision.text for supervision in said) or None,
        corpus=str(custom.get("corpus") or corpus),
        licence=str(custom.get("licence") or ""),
        start=0.0 if whole else float(cut.start),
        stop=None if whole else float(cut.start + cut.duration),
    )
