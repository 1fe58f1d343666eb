"""`oration demo`: recordings through units and back, a prompt continued three times, one page of it all."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console

import oration
from oration.audio.io import info, read
from oration.commands.console import console
from oration.commands.folder import fresh
from oration.core import BadInput, Example, Waveform
from oration.core.files import replace_file
from oration.data.manifest import read_manifest
from oration.generate import Sampler
from oration.model import Reply, SpeechLM

SAMPLES = Path(__file__).parent / "samples"
LONGEST = 30.0
"""Seconds of a user's recording that are used."""
PROMPT = 3.0
"""Seconds of the first recording that are continued."""
SECONDS = 5.0
"""Length of a continuation."""
TEMPERATURES = (0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Heard:
    """A recording, what was made of it, and what that took."""

    name: str
    text: str
    source: str
    wave: Waveform
    example: Example
    copy: Waveform
    seconds: dict[str, float]
    """Stage -> seconds of work."""


@dataclass
class Stages:
    """What is being done, on the terminal; how long each stage took."""

    out: Console = field(default_factory=console)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        with self.out.status(what):
            yield
        self.seconds[what] = time.perf_counter() - started
        self.out.print(f"  {what:48} {self.seconds[what]:6.1f} s", markup=False)


def run(recordings: Sequence[Path], out: Path, folder: Path | None, seed: int) -> Path:
    """Make the page; gives its path.

    Raises:
        BadInput: a recording that cannot be used, or no model.
    """
    stage = Stages()
    with stage("load the model"):
        model = SpeechLM.load(folder)
        for name in model.configs:
            model.part(name)
    with stage("read the recordings"):
        given = list(mine(recordings, model.rate) if recordings else bundled(model.rate))
    with stage(f"through units and back ({sum(wave.seconds for *_, wave in given):.0f} s of sound)"):
        heard = [listen(model, *one) for one in given]
    prompt = heard[0].wave.cut(0.0, PROMPT)
    replies = {}
    for temperature in TEMPERATURES:
        with stage(f"continue {prompt.seconds:.1f} s by {SECONDS:.0f} s, temperature {temperature:g}"):
            sampler = Sampler(temperature=temperature)
            replies[temperature] = model.reply(prompt, seconds=SECONDS, sampler=sampler, seed=seed)
    with stage("write the page"):
        target = fresh(out)
        replace_file(
            target / "demo.json", (json.dumps(figures(model, heard, replies, stage), indent=1) + "\n").encode()
        )
    stage.out.print(f"\n{(target / 'index.html').resolve()}", markup=False, no_wrap=True)
    return target / "index.html"


def bundled(rate: int) -> Iterator[tuple[str, str, str, Waveform]]:
    """Name, transcript, source and sound of the recordings that come with the package."""
    for clip in read_manifest(SAMPLES):
        yield clip.id, clip.text or "", clip.licence, clip.wave(rate=rate)


def mine(paths: Sequence[Path], rate: int) -> Iterator[tuple[str, str, str, Waveform]]:
    """The same of the user's recordings."""
    for path in paths:
        length = info(path).seconds
        if length < 0.5:
            raise BadInput(f"{str(path)!r} lasts {length:.2f} s, expected at least half a second of speech to work on")
        said = f"its first {LONGEST:.0f} of {length:.0f} s" if length > LONGEST else "yours"
        yield path.name, "", said, read(path, rate=rate, stop=LONGEST)


def listen(model: SpeechLM, name: str, text: str, source: str, wave: Waveform) -> Heard:
    """Encode and resynthesise one recording."""
    started = time.perf_counter()
    example = model.encode([wave])[0]
    encoded = time.perf_counter()
    copy = model.resynthesize(wave)
    took = {"encode": encoded - started, "encode and speak": time.perf_counter() - encoded}
    return Heard(name, text, source, wave, example, copy, took)


def figures(model: SpeechLM, heard: Sequence[Heard], replies: dict[float, Reply], stage: Stages) -> dict[str, object]:
    """Everything the page says, for programs."""
    return {
        "oration": oration.__version__,
        "model": model.recipe.name,
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "cores": os.cpu_count(),
        },
        "stages": stage.seconds,
        "recordings": [
            {
                "name": one.name,
                "text": one.text,
                "source": one.source,
                "seconds": one.wave.seconds,
                "items": {name: len(stream) for name, stream in one.example.items()},
                "units": one.example["units"].ids.tolist() if "units" in one.example else [],
                "took": one.seconds,
            }
            for one in heard
        ],
        "continuations": [
            {
                "temperature": temperature,
                "seconds": reply.continuation.seconds,
                "units": {name: stream.ids.tolist() for name, stream in reply.new.items()},
                "took": reply.timings,
            }
            for temperature, reply in replies.items()
        ],
    }
