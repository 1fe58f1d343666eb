"""`oration reply`, `encode` and `decode`: one file in, one file out."""

from __future__ import annotations

import sys
from pathlib import Path

from oration.audio.io import FORMATS, blocks, info, read, write, write_blocks
from oration.commands import orat, streams_file
from oration.core import BadInput
from oration.core.container import Reader
from oration.core.files import replace_file
from oration.generate.sampler import Sampler
from oration.model import SpeechLM
from oration.nn.linear import Weights

PROMPT = 60.0
"""Seconds at the end of a recording that `reply` hears: memory does not grow with the file."""


def check_out(path: Path, kinds: tuple[str, ...], overwrite: bool) -> None:
    """Refuse an output file before any work is done for it.

    Raises:
        BadInput: an unknown suffix, a folder that is not there, or a file that would be lost.
    """
    if path.suffix.lower() not in kinds:
        raise BadInput(f"--out {str(path)!r} ends in {path.suffix!r}, expected one of {', '.join(kinds)}; rename it")
    if not path.parent.is_dir():
        raise BadInput(f"--out {str(path)!r}: the folder {str(path.parent)!r} does not exist; make it first")
    if path.exists() and not overwrite:
        raise BadInput(f"--out {str(path)!r} exists; choose another name, or add --overwrite to replace it")


def reply(
    recording: Path | None,
    text: str | None,
    out: Path | None,
    model: Path | None,
    task: str | None,
    seconds: float,
    sampler: Sampler,
    seed: int,
    voice: str | None,
    weights: Weights | None,
    overwrite: bool,
) -> None:
    """Continue or answer a prompt: write the sound, show the text."""
    if out is not None:
        check_out(out, (*FORMATS, ".txt"), overwrite)
    if not 0 < seconds <= 600:
        raise BadInput(f"--seconds {seconds}: expected a length above 0 and up to 600 s; give e.g. 5")
    if recording is None and text is None:
        raise BadInput("there is no prompt; name a recording, or say something with --text, or both")
    length = info(recording).seconds if recording is not None else 0.0
    lm = SpeechLM.load(model, weights=weights)
    if not lm.readers():  # it knows no text, so it will answer in sound alone: say so before the work
        if out is None:
            raise BadInput(f"{lm.recipe.name!r} answers in sound alone; say where to write it with --out FILE")
        if out.suffix.lower() == ".txt":
            raise BadInput(f"--out {str(out)!r} is text, but {lm.recipe.name!r} answers in sound alone; name a .wav")
    prompt = read(recording, rate=lm.rate, start=max(0.0, length - PROMPT)) if recording is not None else None
    if length > PROMPT:
        print(f"{recording} lasts {length:.0f} s; its last {PROMPT:.0f} s are the prompt", file=sys.stderr)
    answer = lm.reply(prompt, text=text, task=task, seconds=seconds, sampler=sampler, seed=seed, voice=voice)
    if answer.text is not None:
        print(answer.text)
    if out is None:
        if answer.text is None:
            raise BadInput("the model answers in sound alone; say where to write it with --out FILE")
        return
    if out.suffix.lower() == ".txt":
        if answer.text is None:
            raise BadInput(f"--out {str(out)!r} is for text, but the model answered in sound alone; name a .wav file")
        replace_file(out, answer.text + "\n")
    elif not len(answer.wave) and answer.text is not None:
        raise BadInput(f"--out {str(out)!r} is for sound, but the model answered in text alone; name a .txt file")
    else:
        write(answer.wave, out, overwrite=overwrite)
    spent = ", ".join(f"{name} {took:.2f} s" for name, took in answer.timings.items())
    print(f"{out}: {answer.wave.seconds:.1f} s, of which {answer.continuation.seconds:.1f} s are new ({spent})")


def encode(recording: Path, out: Path, model: Path | None, entropy: bool, overwrite: bool) -> None:
    """Write the streams of a recording."""
    check_out(out, (orat.KIND, *streams_file.KINDS), overwrite)
    lm = SpeechLM.load(model)
    if out.suffix.lower() == orat.KIND:
        example, seconds = orat.save(out, blocks(recording, rate=lm.rate), lm, entropy=entropy, overwrite=overwrite)
        counts, size = f"{len(example)} streams", out.stat().st_size
        if len(example) <= 4:
            counts = ", ".join(f"{len(stream)} {name}" for name, stream in example.items())
        print(f"{out}: {seconds:.1f} s as {counts} in {size} bytes, {8 * size / seconds / 1000:.2f} kbit/s")
        return
    example = lm.encode_blocks(blocks(recording, rate=lm.rate))
    streams_file.save(out, example, lm.specs, lm.recipe.name, overwrite=overwrite)
    counts = ", ".join(f"{len(stream)} {name}" for name, stream in example.items())
    print(f"{out}: {info(recording).seconds:.1f} s as {counts}")


def decode(streams: Path, out: Path, model: Path | None, voice: str | None, overwrite: bool) -> None:
    """Write the recording that streams stand for."""
    check_out(out, tuple(FORMATS), overwrite)
    if streams.suffix.lower() == orat.KIND:
        _decode_orat(streams, out, model, voice, overwrite)
        return
    example, recipe = streams_file.load(streams)
    lm = SpeechLM.load(model)
    for name, stream in example.items():
        if name not in lm.specs:
            raise BadInput(
                f"{str(streams)!r} (recipe {recipe!r}) holds the stream {name!r}, which {lm.recipe.name!r} does not "
                "have; decode it with the model that made it (--model)"
            )
        stream.verify(name, lm.specs[name])
    wave = lm.decode([example], voice=voice)[0]
    write(wave, out, overwrite=overwrite)
    print(f"{out}: {wave.seconds:.1f} s at {wave.rate} Hz")


def _decode_orat(streams: Path, out: Path, model: Path | None, voice: str | None, overwrite: bool) -> None:
    """The same from an .orat file, piece by piece."""
    with Reader(streams) as file:
        lm = SpeechLM.load(model)
        orat.check(file, lm)
        spoken = orat.Spoken(file, lm, voice)
        samples = write_blocks(spoken, out, lm.rate, overwrite=overwrite)
    if spoken.damage:
        print(f"{streams} is damaged: {'; '.join(spoken.damage)}", file=sys.stderr)
    print(f"{out}: {samples / lm.rate:.1f} s at {lm.rate} Hz")
