"""`oration demo`: recordings through units and back, a prompt continued three times, one page of it all."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from rich.console import Console

import oration
from oration.audio.io import info, read
from oration.commands.console import console
from oration.commands.folder import fresh
from oration.commands.threads import cores
from oration.core import BadInput, Example, Waveform
from oration.data.manifest import read_manifest
from oration.evaluate.draw import Lane
from oration.evaluate.report import Column, Picture, Player, Players, Section, Table, Timings, write_page
from oration.generate import Sampler
from oration.layouts import picture
from oration.model import Reply, SpeechLM
from oration.tasks import Task

SAMPLES = Path(__file__).parent / "samples"
CODEC = Path(__file__).parent / "pocket_codec"
LEVELS = (1, 2, 4, 12)
"""How many levels of the codec are heard."""
CODED = 3
"""Recordings that are coded."""
LONGEST = 30.0
"""Seconds of a user's recording that are used."""
PROMPT = 3.0
"""Seconds of the first recording that are continued."""
SECONDS = 5.0
"""Length of a continuation."""
TEMPERATURES = (0.6, 0.8, 1.0)

TITLE = "oration: speech in, speech out"
LEAD = (
    "Recordings of people became streams of symbols, a language model went on with them, a vocoder made them sound. "
    "This page was made on your machine and holds everything inside."
)


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


@dataclass(frozen=True)
class Coded:
    """A recording as a codec keeps it."""

    heard: Heard
    copies: dict[float, Waveform]
    """kbit/s -> what so many levels sound like."""

    @classmethod
    def of(cls, model: SpeechLM, heard: Heard) -> Coded:
        """Through the first levels of a model that is a codec."""
        codec = model.part("codec")
        (example,) = codec.encode([heard.wave])
        bits = [spec.bits_per_second or 0.0 for spec in codec.specs().values()]
        return cls(heard, {sum(bits[:n]) / 1000: codec.decode([example], levels=n)[0] for n in LEVELS})


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
    with stage(f"through a codec, at {len(LEVELS)} bitrates"):
        coded = [Coded.of(SpeechLM.load(CODEC), one) for one in heard[:CODED]]
    prompt = heard[0].wave.cut(0.0, PROMPT)
    replies = {}
    for temperature in TEMPERATURES:
        with stage(f"continue {prompt.seconds:.1f} s by {SECONDS:.0f} s, temperature {temperature:g}"):
            sampler = Sampler(temperature=temperature)
            replies[temperature] = model.reply(prompt, seconds=SECONDS, sampler=sampler, seed=seed)
    with stage("write the page"):
        target = fresh(out) / "index.html"
        sections = [
            through_units(model, heard),
            through_codec(coded),
            continued(model, prompt, replies),
            inside(model, heard[0]),
            Section("How long it took", (timings(stage, heard, replies),)),
        ]
        write_page(target, sections, results=figures(heard, replies, stage), title=TITLE, lead=LEAD, facts=facts(model))
    stage.out.print(f"\n{target.resolve()}", markup=False, soft_wrap=True)
    return target


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


def lanes(model: SpeechLM, example: Example) -> tuple[Lane, ...]:
    """What is drawn under a spectrogram: the streams with a rate; pitch as levels, blank where there is no voice."""
    found = []
    for name, stream in example.items():
        spec = model.specs.get(name)
        if spec is not None and spec.rate is not None and not spec.dim:
            blank = getattr(model.configs.get(name), "unvoiced", None)
            found.append(Lane(name, stream, spec, ordered=blank is not None, blank=blank))
    return tuple(found)


def through_units(model: SpeechLM, heard: Sequence[Heard]) -> Section:
    """Originals beside their copies."""
    pairs = tuple(
        Players(
            (
                Player("original", one.wave, lanes=lanes(model, one.example)),
                Player("through units and back", one.copy),
            ),
            caption=f"“{one.text}” {one.name}, {one.source}" if one.text else f"{one.name}, {one.source}",
        )
        for one in heard
    )
    return Section(
        "Through units and back",
        pairs,
        "What the language model can know of a recording is what lies under its spectrogram: symbols. The copy is made "
        "from them alone, so the words and the melody stay, and the voice becomes the vocoder's.",
    )


def through_codec(coded: Sequence[Coded]) -> Section:
    """Originals beside what few and many levels of the codec keep."""
    rows = tuple(
        Players(
            (
                Player("original", one.heard.wave),
                *(Player(f"{kbits:g} kbit/s", copy, note=f"{n} of {LEVELS[-1]} levels") for n, (kbits, copy) in each),
            ),
            caption=one.heard.name,
        )
        for one in coded
        for each in [list(zip(LEVELS, one.copies.items(), strict=True))]
    )
    return Section(
        "Through a codec",
        rows,
        "Twenty-five times a second each level says one of 1024 symbols: what those before it left over. "
        "Here the voice is the speaker's own. The codec was trained on little: what it cannot do yet is heard as well.",
    )


def continued(model: SpeechLM, prompt: Waveform, replies: Mapping[float, Reply]) -> Section:
    """The prompt, and what followed at each temperature."""
    players = tuple(
        Player(
            f"temperature {temperature:g}",
            reply.wave,
            note=f"{reply.continuation.seconds:.1f} s are new, in {sum(reply.timings.values()):.1f} s of work",
            lanes=lanes(model, reply.example),
            mark=prompt.seconds,
        )
        for temperature, reply in replies.items()
    )
    return Section(
        "A prompt, continued",
        (Player("prompt", prompt), Players(players)),
        "From the mark on, every unit is drawn by the language model: the lower the temperature, the more often the "
        "likeliest. It learned from hours of speech, not years: expect babble with the rhythm of English.",
    )


def inside(model: SpeechLM, one: Heard) -> Section:
    """Streams and grid, as `oration show` prints them."""
    example, pictures = dict(one.example), []
    for lm in model.recipe.lms:
        for like in lm.tasks:
            task = cast(Task, like)
            example |= task.prepare(one.example, model.specs, np.random.default_rng(0))
            drawn = picture(task.layout, example, task.specs(model.specs), width=120)
            pictures.append(
                Picture(f"The beginning of {one.name} on the grid of {lm.name!r}, task {task.name!r}", drawn)
            )
    columns = (Column("stream"), Column("symbols"), Column("a second", 1), Column("bits a second", 0))
    rates = {name: len(stream) / one.wave.seconds for name, stream in example.items() if not model.specs[name].dim}
    sizes = {name: model.specs[name].size for name in rates}
    rows = tuple((name, sizes[name], rate, float(rate * np.log2(sizes[name]))) for name, rate in rates.items())
    table = Table(f"Streams of {one.name}", columns, rows, "Bits: if all symbols were equally likely.")
    return Section(
        "What the language model sees", (table, *pictures), "One row a line, one step a column, left to right."
    )


def timings(stage: Stages, heard: Sequence[Heard], replies: Mapping[float, Reply]) -> Timings:
    """Stages as the terminal showed them, with the sound that each worked on."""
    sound = dict.fromkeys(stage.seconds, 0.0)
    for what in sound:
        if what.startswith("through"):
            sound[what] = sum(one.wave.seconds for one in heard)
        for temperature, reply in replies.items():
            if what.endswith(f"temperature {temperature:g}"):
                sound[what] = reply.continuation.seconds
    machine = f"{platform.machine()}, threads: {torch.get_num_threads()} of {cores()} cores, torch {torch.__version__}"
    return Timings(f"Seconds of work by stage ({machine})", stage.seconds, sound)


def facts(model: SpeechLM) -> dict[str, str]:
    """For the head of the page."""
    numbers = sum(t.numel() for name in model.configs for t in _weights(model.part(name)))
    return {
        "model": model.recipe.name,
        "parameters": f"{numbers / 1e6:.1f} million",
        "oration": oration.__version__,
        "made": time.strftime("%Y-%m-%d %H:%M"),
    }


def _weights(part: object) -> list[torch.Tensor]:
    return list(part.state_dict().values()) if isinstance(part, torch.nn.Module) else []


def figures(heard: Sequence[Heard], replies: Mapping[float, Reply], stage: Stages) -> dict[str, object]:
    """Everything the page says, for programs."""
    return {
        "stages": stage.seconds,
        "recordings": [
            {
                "name": one.name,
                "text": one.text,
                "source": one.source,
                "seconds": one.wave.seconds,
                "streams": {name: stream.ids for name, stream in one.example.items()},
                "took": one.seconds,
            }
            for one in heard
        ],
        "continuations": [
            {
                "temperature": temperature,
                "seconds": reply.continuation.seconds,
                "streams": {name: stream.ids for name, stream in reply.new.items()},
                "took": reply.timings,
            }
            for temperature, reply in replies.items()
        ],
    }
