"""`oration talk`: a conversation in this process, with a file or with microphone and loudspeaker."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import numpy as np

from oration.audio.io import read, write_channels
from oration.commands.console import console, table
from oration.commands.speak import check_out
from oration.core import BadInput, Waveform, optional
from oration.dialogue.events import Event, Floor, Heard, Said, Trouble
from oration.dialogue.ledger import Ledger
from oration.dialogue.measures import STAGES, latencies, losses, percentile, stop_times
from oration.generate import Sampler
from oration.live import Engine, Options, open_engine
from oration.live.client import Client
from oration.model import SpeechLM
from oration.nn.linear import Weights

PIECE = 0.02
"""Seconds of sound that go in at a time."""


def run(
    heard: Path | None,
    out: Path | None,
    model: Path | None,
    kind: str | None,
    fast: bool,
    seconds: float,
    after: float,
    temperature: float,
    seed: int,
    voice: str | None,
    weights: Weights | None,
    overwrite: bool,
) -> None:
    """Converse, then sum up.

    Raises:
        BadInput: options that do not go together, or a file that cannot be read or written.
    """
    if out is not None:
        check_out(out, (".wav", ".flac"), overwrite)
    if fast and (heard is None or out is None):
        raise BadInput("--fast goes with --in FILE and --out FILE: a microphone hears no faster than one speaks")
    if not 0 < seconds <= 60 or not 0 <= after <= 600:
        raise BadInput(f"--seconds {seconds} --after {after}: expected up to 60 s of a reply and 600 s after it")
    if heard is None:
        _microphone()  # say that there is none before a model is loaded
    engine = open_engine(SpeechLM.load(model, weights=weights), slots=1, kind=kind)
    sampler = Sampler(temperature=temperature)
    client = Client(engine, engine.open(Options(longest=seconds, voice=voice, sampler=sampler), seed))
    told = _Told()
    if heard is None:
        spoken = _live(engine, client, told)
    else:
        spoken = _filed(engine, client, told, read(heard, rate=engine.rate), after, fast or out is None, out is None)
    client.session.ledger.balance()
    if out is not None:
        write_channels(spoken, out, overwrite=overwrite)
        print(f"{out}: {spoken[0].seconds:.1f} s, you on the left, the model on the right")
    summary(client.session.ledger, engine)


class _Told:
    """What happens, one line each."""

    def __init__(self) -> None:
        self.words = False

    def __call__(self, events: list[Event], rate: int) -> None:
        for event in events:
            at = f"{event.heard / rate:7.2f} s  "
            if isinstance(event, Floor):
                print(f"{at}{event.holder} {'have' if event.holder == 'both' else 'has'} the floor", flush=True)
            elif isinstance(event, Said | Heard):
                print(f"{at}{'model' if isinstance(event, Said) else 'user'}: {event.text.strip()}", flush=True)
            elif isinstance(event, Trouble):
                print(f"{at}{event.sentence}", file=sys.stderr, flush=True)
        events.clear()


def _filed(
    engine: Engine, client: Client, told: _Told, wave: Waveform, after: float, fast: bool, aloud: bool
) -> tuple[Waveform, Waveform]:
    """A recording says what the user says, piece by piece; the time after it is silent."""
    said = np.concatenate([wave.samples, np.zeros(round(after * wave.rate), np.float32)])
    size, answered, begun = round(PIECE * wave.rate), list[np.ndarray](), time.monotonic()
    speaker = _loudspeaker(engine.rate) if aloud else None
    for at in range(0, len(said), size):
        piece = said[at : at + size]
        now = (at + len(piece)) / wave.rate
        if not fast or speaker is not None:
            time.sleep(max(0.0, begun + now - time.monotonic()))
            now = time.monotonic() - begun
        answered.append(client.turn(piece, now, steps=64 if fast else 1))
        if speaker is not None:
            speaker.write(answered[-1][:, None])
        told(client.events, wave.rate)
    client.session.close(len(said) / wave.rate)
    client.collect(len(said) / wave.rate)
    return Waveform(said, wave.rate), Waveform(np.concatenate(answered), wave.rate)


def _live(engine: Engine, client: Client, told: _Told) -> tuple[Waveform, Waveform]:
    """Microphone and loudspeaker, until the user ends it with Ctrl-C."""
    sound, size = _microphone(), round(PIECE * engine.rate)
    queue: Queue[np.ndarray] = Queue(maxsize=500)
    said: list[np.ndarray] = []
    answered: list[np.ndarray] = []
    begun = time.monotonic()
    stream = sound.InputStream(
        samplerate=engine.rate, channels=1, blocksize=size, callback=lambda data, *_: queue.put(data[:, 0].copy())
    )
    speaker = _loudspeaker(engine.rate)
    print("speak; Ctrl-C ends the conversation", flush=True)
    with stream:
        while True:
            try:
                piece = queue.get(timeout=5.0)
            except Empty:
                print("the microphone gives nothing any more; the conversation ends", file=sys.stderr)
                break
            except KeyboardInterrupt:
                break
            answered.append(client.turn(piece, time.monotonic() - begun, steps=1))
            said.append(piece)
            speaker.write(answered[-1][:, None])
            told(client.events, engine.rate)
    client.session.close(time.monotonic() - begun)
    pair = [np.concatenate([np.zeros(1, np.float32), *parts]) for parts in (said, answered)]
    return Waveform(pair[0], engine.rate), Waveform(pair[1], engine.rate)


def _microphone() -> Any:
    """The package that knows sound devices.

    Raises:
        OrationError: it is not installed, or the system has no library for it.
        BadInput: there is no microphone.
    """
    sound = optional("sounddevice", "talk", "a microphone and a loudspeaker")
    try:
        sound.check_input_settings()
    except Exception as none:  # the package's own kinds of error differ from system to system
        raise BadInput(f"there is no microphone ({none}); let a file speak: --in FILE --out FILE") from none
    return sound


def _loudspeaker(rate: int) -> Any:
    """An open output.

    Raises:
        BadInput: there is none.
    """
    sound = optional("sounddevice", "talk", "a loudspeaker")
    try:
        stream = sound.OutputStream(samplerate=rate, channels=1)
        stream.start()
    except Exception as none:
        raise BadInput(f"there is no loudspeaker ({none}); write what is said: --out FILE") from none
    return stream


def summary(ledger: Ledger, engine: Engine) -> None:
    """What the ledger knows of delays and losses."""
    shown, rate, counts = console(), ledger.rate, ledger.counts
    rows = table(f"Ledger of the {engine.name} engine", "what", ">s")
    rows.add_row("heard of you", f"{counts.consumed / rate:.2f}")
    rows.add_row("said by the model", f"{counts.emitted / rate:.2f}")
    rows.add_row("of it played", f"{counts.played / rate:.2f}")
    for why, samples in counts.discarded.items():
        rows.add_row(f"of it left out, {why}", f"{samples / rate:.2f}")
    for why, samples in losses(ledger).items():
        rows.add_row(f"lost, {why}", f"{samples / rate:.2f}")
    found = latencies(ledger)
    # While one process computes, its microphone stands still: what the clock of samples does not see, the other does.
    waits = [max(latency.samples / rate, latency.seconds or 0.0) for latency in found]
    if waits:
        rows.add_row(f"from your last sample to its first, median of {len(waits)}", f"{percentile(waits, 50):.3f}")
        rows.add_row("the longest", f"{max(waits):.3f}")
    for stage in STAGES:
        spent = [latency.stages[stage] for latency in found if stage in latency.stages]
        if spent:
            rows.add_row(f"of it to {stage}, median", f"{percentile(spent, 50):.3f}")
    stops = [stop.samples / rate for stop in stop_times(ledger)]
    if stops:
        rows.add_row(f"from your onset to its last sample, median of {len(stops)}", f"{percentile(stops, 50):.3f}")
    shown.print(rows)
