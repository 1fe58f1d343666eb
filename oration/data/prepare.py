"""Sources -> one checked, aligned manifest. Killed at any moment, it goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Any, Literal, TypeVar

from oration.audio.io import blocks
from oration.core import BadInput
from oration.core.files import reason, replace_file
from oration.data.align import MODEL, Alignment, Kind, align_clip
from oration.data.ctc_align import MODEL as CTC
from oration.data.manifest import Clip, Corpus, clip_from, read_rows, row, write_manifest
from oration.data.pool import in_order
from oration.data.sources import read_source
from oration.data.synthesize import VOICES, plain, sentences, synthesize

T = TypeVar("T")
Asked = bool | Literal["ctc"]
"""Whether a clip is to be aligned; True is by pocketsphinx."""


@dataclass(frozen=True)
class Prepared:
    """What `prepare` made; the same stands in `report.json`."""

    manifest: Path
    clips: int
    hours: float
    aligned: int
    """Clips with phones."""
    refused: tuple[tuple[str, str], ...]
    """(id, reason): not in the manifest."""
    unaligned: tuple[tuple[str, str], ...]
    """(id, reason): in the manifest, without phones."""


@dataclass(frozen=True)
class Checked:
    """What is known of one clip after it was read."""

    seconds: float
    result: Alignment


def prepare(
    sources: Sequence[Path | str],
    out: Path | str,
    *,
    align: bool = True,
    aligner: Kind = "pocketsphinx",
    voices_hours: float = 0.0,
    voices: Sequence[str] = VOICES,
    texts: Sequence[Path | str] = (),
    seed: int = 0,
    workers: int = 1,
    progress: bool = True,
) -> Prepared:
    """Read every recording once, align those with a transcript, add synthetic voices; write `out/manifest.jsonl`.

    `out/alignments.jsonl` grows clip by clip and is what an interrupted run goes on from; `out/report.json` says what
    was refused and why.

    Args:
        align: have `aligner` find words and phones (English). Clips that bring phones keep theirs.
        voices_hours: hours of flite's voices to add.
        texts: files with sentences for them (see `synthesize.sentences`); default: the sources' own train transcripts.
        seed: order of those sentences.
        workers: processes.

    Raises:
        BadInput: a source that cannot be read at all, an id that occurs twice, nothing usable, or no place to write.
    """
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise reason(failure, out) from failure
    clips, refused = _collect(sources)
    clips, found_refused, unaligned = _check(clips, out, aligner if align else None, workers, progress)
    refused += found_refused
    if voices_hours > 0:
        spoken = _texts(texts, clips, seed)
        clips += _voices(spoken, out, voices_hours, voices, workers, progress)
    if not clips:
        raise BadInput(
            f"none of {len(refused)} recordings can be used, the first because {refused[0][1] if refused else ''}"
        )
    write_manifest(clips, out / "manifest.jsonl")
    corpus = Corpus(tuple(clips))
    done = Prepared(
        out / "manifest.jsonl",
        len(clips),
        corpus.hours(),
        sum(bool(c.phones) for c in clips),
        tuple(refused),
        tuple(unaligned),
    )
    report = asdict(done) | {
        "manifest": "manifest.jsonl",
        "corpora": corpus.counts(),
        "aligner": {"pocketsphinx": MODEL, "ctc": CTC}[aligner] if align else None,
    }
    replace_file(out / "report.json", json.dumps(report, indent=1, ensure_ascii=False).encode())
    return done


def _collect(sources: Sequence[Path | str]) -> tuple[list[Clip], list[tuple[str, str]]]:
    clips: list[Clip] = []
    refused: list[tuple[str, str]] = []
    for source in sources:
        more, why = read_source(source)
        clips += more
        refused += why
    twice = [name for name, count in Counter(clip.id for clip in clips).items() if count > 1]
    if twice:
        raise BadInput(f"{len(twice)} ids occur in two sources, the first is {twice[0]!r}; give each clip its own id")
    return clips, refused


def _check(
    clips: list[Clip], out: Path, aligner: Kind | None, workers: int, progress: bool
) -> tuple[list[Clip], list[tuple[str, str]], list[tuple[str, str]]]:
    """The readable clips with their alignments, the unreadable ones, and the readable ones without alignment."""
    known = {_key(line["clip"], line["align"]): _checked(line) for line in _kept(out / "alignments.jsonl")}
    # What an older journal calls True is pocketsphinx.
    asked: Asked = "ctc" if aligner == "ctc" else aligner is not None
    wanted: dict[str, Asked] = {clip.id: asked if clip.text and not clip.phones else False for clip in clips}
    fields = {clip.id: row(clip, out) for clip in clips}
    missing = [clip for clip in clips if _key(fields[clip.id], wanted[clip.id]) not in known]
    answers: dict[str, Checked] = {}
    with _append(out / "alignments.jsonl") as journal:
        jobs = [(clip, wanted[clip.id]) for clip in missing]
        for (clip, aligning), answer in _shown(in_order(examine, jobs, workers), len(jobs), "reading", progress):
            answers[clip.id] = answer
            _note(journal, {"clip": fields[clip.id], "align": aligning} | asdict(answer))
    kept: list[Clip] = []
    refused: list[tuple[str, str]] = []
    unaligned: list[tuple[str, str]] = []
    for clip in clips:
        answer = answers.get(clip.id) or known[_key(fields[clip.id], wanted[clip.id])]
        if answer.result.unreadable:
            refused.append((clip.id, answer.result.refused or ""))
            continue
        if answer.result.refused:
            unaligned.append((clip.id, answer.result.refused))
        words, phones = answer.result.words or clip.words, answer.result.phones or clip.phones
        kept.append(replace(clip, seconds=answer.seconds, words=words, phones=phones))
    return kept, refused, unaligned


def examine(job: tuple[Clip, Asked]) -> Checked:
    """Decode a clip to its end; align it if asked. Runs in another process."""
    clip, aligning = job
    try:
        seconds = sum(block.seconds for block in blocks(clip.path, start=clip.start, stop=clip.stop))
    except BadInput as why:
        return Checked(0.0, Alignment(refused=str(why), unreadable=True))
    kind: Kind = "ctc" if aligning == "ctc" else "pocketsphinx"
    return Checked(round(seconds, 9), align_clip(clip, kind) if aligning else Alignment())


def _key(fields: dict[str, Any], aligning: Asked) -> str:
    """What an answer depends on: if the transcript or the place changes, the clip is read again."""
    parts = [fields.get(name) for name in ("id", "path", "text", "start", "stop", "duration_s")]
    return json.dumps([*parts, aligning, bool(fields.get("phones"))])


def _checked(line: dict[str, Any]) -> Checked:
    result = line["result"]
    spans = {name: tuple((start, stop, label) for start, stop, label in result[name]) for name in ("words", "phones")}
    return Checked(line["seconds"], Alignment(**spans, refused=result["refused"], unreadable=result["unreadable"]))


def _kept(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal. A kill may have cut its last line: that is taken off."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    for _, line in read_rows(path):
        yield line


def _append(path: Path) -> FileIO:
    """A journal to add to, for this process alone until it is closed."""
    try:
        journal = path.open("ab", buffering=0)
    except OSError as failure:
        raise reason(failure, path) from failure
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as failure:
        journal.close()
        raise BadInput(
            f"{str(path)!r} is being written by another run; wait for it or prepare into another folder"
        ) from failure
    return journal


def _note(journal: FileIO, line: dict[str, Any]) -> None:
    """Add a line without any buffer, so that a full disk shows here and not when the file is closed."""
    rest = (json.dumps(line, ensure_ascii=False) + "\n").encode()
    try:
        while rest:
            rest = rest[journal.write(rest) :]
    except OSError as failure:
        raise reason(failure, str(journal.name)) from failure


def _texts(texts: Sequence[Path | str], clips: list[Clip], seed: int) -> list[str]:
    """Sentences to read out, shuffled; from several files in equal parts, as long as each lasts."""
    import numpy as np

    if texts:
        piles = [sentences(path) for path in texts]
    else:
        piles = [list(dict.fromkeys(s for c in clips if c.split == "train" and c.text for s in _said(c.text)))]
    rng = np.random.default_rng(seed)
    shuffled = [[pile[i] for i in rng.permutation(len(pile))] for pile in piles]
    mixed = [pile[i] for i in range(max(map(len, shuffled))) for pile in shuffled if i < len(pile)]
    if not mixed:
        raise BadInput("the sources' transcripts hold no plain English sentence to read out; give a text file")
    return list(dict.fromkeys(mixed))


def _said(text: str) -> Iterator[str]:
    """A transcript's sentences; many corpora write them in lower case and without a stop."""
    text = text.strip()
    yield from plain(text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else "."))


def _voices(
    spoken: list[str], out: Path, hours: float, voices: Sequence[str], workers: int, progress: bool
) -> list[Clip]:
    journal_path = out / "voices.jsonl"
    lines = enumerate(_kept(journal_path))
    known = {line["id"]: clip_from(line, journal_path, number) for number, line in lines}
    clips: list[Clip] = []
    made = synthesize(spoken, out / "voices", hours=hours, voices=voices, known=known, workers=workers)
    with _append(journal_path) as journal:
        for clip in _shown(made, None, "speaking", progress):
            clips.append(clip)
            if known.get(clip.id) is not clip:
                _note(journal, row(clip, out))
    return clips


def _shown(items: Iterable[T], total: int | None, title: str, progress: bool) -> Iterator[T]:
    """The same items, counted on the terminal with the time left."""
    from rich.console import Console
    from rich.progress import track

    yield from track(items, title, total=total, console=Console(stderr=True), disable=not progress)
