"""Speech with exact phone times, from the voices of flite (the command of that name): sentences -> clips."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from oration.audio.io import read, write
from oration.core import BadInput, OrationError, Waveform
from oration.core.files import reason
from oration.data.manifest import Clip, Span
from oration.text.phones import SILENCE, fold_flite

VOICES = ("rms", "awb", "slt", "kal16")
"""Flite's English voices at 16 kHz: US man, Scottish man, US woman, US man (diphones, more of a machine)."""

LICENCE = "voice: flite (CMU, BSD-style)"


def sentences(path: Path | str, *, shortest: int = 4, longest: int = 18) -> list[str]:
    """The plain English sentences of a text file, each once, in order.

    Reads `.txt` (one or more sentences a line) and `.jsonl`, `.jsonl.gz` (fields `en` or `text`; no split but "train").
    Keeps ASCII sentences of `shortest` to `longest` words without digits, abbreviations or shouting.

    Raises:
        BadInput: no such file, or no sentence in it.
    """
    path = Path(path)
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            texts = [line if path.suffix == ".txt" else _text(json.loads(line)) for line in file if line.strip()]
    except OSError as failure:
        raise reason(failure, path) from failure
    except (ValueError, EOFError, zlib.error) as failure:
        raise BadInput(
            f"{str(path)!r} is neither text nor JSON lines ({failure}); give a .txt or .jsonl file"
        ) from failure
    found = {sentence: None for text in texts for sentence in plain(text, shortest=shortest, longest=longest)}
    if not found:
        raise BadInput(
            f"{str(path)!r} holds no plain English sentence of {shortest} to {longest} words; give another text file"
        )
    return list(found)


def _text(line: Any) -> str:
    if not isinstance(line, Mapping):
        raise ValueError("a line is no object")
    return str(line.get("en") or line.get("text") or "") if line.get("split", "train") == "train" else ""


def plain(text: str, *, shortest: int = 4, longest: int = 18) -> Iterator[str]:
    """The sentences of a text that can be read out only one way.

    >>> list(plain("He came home late. It was 9 p.m. by then. She had been waiting for him!"))
    ['He came home late.', 'She had been waiting for him!']
    """
    for sentence in re.findall(r"[^.!?]*[.!?]+[\"')]*(?=\s|$)", " ".join(text.split())):
        sentence = sentence.strip().strip("\"'()").strip()
        usable = re.fullmatch(r"[A-Z][A-Za-z' ,;:-]*[.!?]", sentence) and not re.search(r"\b[A-Z]{2,}\b|--", sentence)
        if usable and shortest <= len(sentence.split()) <= longest:
            yield sentence


def speak(text: str, voice: str) -> tuple[Waveform, tuple[Span, ...]]:
    """One sentence spoken by flite, with its phones (folded to the CMU set, pauses as SIL) in seconds.

    Raises:
        BadInput: an unknown voice, or a text that flite cannot say in one go.
        OrationError: flite is not installed.
    """
    if voice not in VOICES:
        raise BadInput(f"flite has no 16 kHz voice {voice!r}; choose one of {', '.join(VOICES)}")
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "-psdur", "-t", text, "-o", str(sound)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
        except FileNotFoundError as missing:
            raise OrationError(
                "synthetic voices need the command 'flite'; install flite (apt install flite)"
            ) from missing
        except subprocess.TimeoutExpired as slow:
            raise BadInput(f"flite did not finish {text[:60]!r} within 120 s; give it shorter sentences") from slow
        if done.returncode or not sound.exists():
            raise BadInput(f"flite cannot say {text[:60]!r} ({done.stderr.strip()[:100]}); give it a plain sentence")
        wave = read(sound)
    return wave, _phones(done.stdout, wave.seconds, text)


def _phones(printed: str, seconds: float, text: str) -> tuple[Span, ...]:
    """`pau:0.195 p:0.301 ...` (label and end) -> spans; a last pause that the voice cut short ends with the sound."""
    phones: list[Span] = []
    at = 0.0
    for item in printed.split():
        label, _, end = item.partition(":")
        stop = min(float(end), seconds)
        if float(end) < at:
            raise BadInput(f"flite says {text[:60]!r} in several pieces, expected one sentence; split it")
        folded = fold_flite(label)
        if stop > at:
            if folded == SILENCE and phones and phones[-1][2] == SILENCE:
                at = phones.pop()[0]
            phones.append((at, stop, folded))
        at = stop
    if not phones:
        raise BadInput(f"flite gave no phones for {text[:60]!r}; give it a plain sentence")
    phones[-1] = (phones[-1][0], seconds, phones[-1][2])
    return tuple(phones)


def synthesize(
    texts: Sequence[str],
    folder: Path | str,
    *,
    hours: float,
    voices: Sequence[str] = VOICES,
    known: Mapping[str, Clip] | None = None,
    dev: float = 0.03,
    workers: int = 1,
) -> Iterator[Clip]:
    """Read `texts` out in turn by the voices until each has spoken its part of `hours`; FLAC files in `folder`.

    Args:
        known: clips of an earlier, interrupted run by id; those whose text and file are still there are not made again.
        dev: share of sentences for the split "dev", evenly spread.

    Raises:
        BadInput: the texts end before the hours are full (after all of them have been spoken).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    share = {voice: hours * 3600 / len(voices) for voice in voices}
    step = max(2, round(1 / dev)) if dev > 0 else 0
    # A step that is prime to the number of voices gives every voice its part of "dev".
    while step and len(voices) > 1 and step % 2 == 0:
        step += 1
    plan = (
        (f"flite-{voices[n % len(voices)]}-{n:05d}", voices[n % len(voices)], text, bool(step) and n % step == step - 1)
        for n, text in enumerate(texts)
    )
    make = partial(_clip, folder, known or {})
    with ThreadPoolExecutor(max(1, workers)) as pool:
        while chunk := [job for job in islice(plan, 16 * max(1, workers)) if share[job[1]] > 0]:
            for clip in pool.map(make, chunk):
                if share[clip.speaker or ""] > 0:
                    share[clip.speaker or ""] -= clip.seconds
                    yield clip
                else:
                    clip.path.unlink(missing_ok=True)  # made ahead, before the voice had spoken its part
    if any(left > 0 for left in share.values()):
        raise BadInput(
            f"the text of {len(texts)} sentences is too short for {hours} h of voices; give more text or fewer hours"
        )


def _clip(folder: Path, known: Mapping[str, Clip], job: tuple[str, str, str, bool]) -> Clip:
    name, voice, text, dev = job
    path = (folder / f"{name}.flac").absolute()
    before = known.get(name)
    if before is not None and before.text == text and path.exists():
        return before
    wave, phones = speak(text, voice)
    write(wave, path, overwrite=True)
    return Clip(
        id=name,
        path=path,
        seconds=wave.seconds,
        split="dev" if dev else "train",
        speaker=voice,
        text=text,
        phones=phones,
        corpus="flite",
        licence=LICENCE,
    )
