"""A session as a file that runs again: what came in, in the order in which it took effect, and a digest of what left.

A folder: log.jsonl, input.f32 and output.f32 (little-endian floats). Nothing in it is code. An entry says how far the
session had come when it took effect, so a replay needs no clock, and what is logged as `now` decides nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oration.core import BadInput, Waveform
from oration.dialogue.events import Audio, Event
from oration.live.engine import Engine, Options, Session

if TYPE_CHECKING:
    from oration.serve.call import Call

VERSION = 1


def _digest(into: Any, events: list[Event]) -> None:
    """What was told, sample for sample."""
    for event in events:
        if isinstance(event, Audio):
            into.update(f"{event.start} {event.epoch} {event.heard}".encode())
            into.update(np.asarray(event.wave, "<f4").tobytes())
        else:
            into.update(f"{type(event).__name__} {sorted(asdict(event).items())}".encode())


class Log:
    """Writes one session down."""

    def __init__(self, folder: Path, call: Call, now: float) -> None:
        """`folder`: where logs of all sessions are; this one is named after its session."""
        self.folder = folder / call.id
        self.folder.mkdir(parents=True, mode=0o700)
        self._lines = (self.folder / "log.jsonl").open("w", encoding="utf-8")
        self._input = (self.folder / "input.f32").open("wb")
        self._output = (self.folder / "output.f32").open("wb")
        self._told, self._sum = 0, hashlib.sha256()
        engine = call.worker.engine
        head = {"version": VERSION, "engine": engine.name, "rate": engine.rate, "frame": engine.frame}
        self._write({**head, "seed": call.seed, "voice": call.options.voice, "now": now})

    def sound(self, call: Call, wave: Waveform, now: float) -> None:
        """Input."""
        self._input.write(np.asarray(wave.samples, "<f4").tobytes())
        self.note(call, "push", now, samples=len(wave), rate=wave.rate)

    def note(self, call: Call, op: str, now: float, **values: Any) -> None:
        """Anything else that a client did."""
        ledger = call.ledger
        self._write({"op": op, "at": [ledger.taken, ledger.emitted, self._told], "now": now, **values})

    def events(self, call: Call, events: list[Event]) -> None:
        """What the session told."""
        self._told += len(events)
        _digest(self._sum, events)
        for event in events:
            if isinstance(event, Audio):
                self._output.write(np.asarray(event.wave, "<f4").tobytes())

    def close(self, call: Call) -> None:
        """The session is over; or its engine failed, and then there is no end."""
        if call.session is not None and call.session.closed:
            self._write({"op": "end", "events": self._told, "sha256": self._sum.hexdigest()})
        for file in (self._lines, self._input, self._output):
            file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        self._lines.write(json.dumps(entry, separators=(",", ":")) + "\n")


@dataclass(frozen=True)
class Replayed:
    """How a replay compares with its log."""

    events: int
    same: bool
    output: np.ndarray
    """float32[n]: what was emitted."""

    def __str__(self) -> str:
        said = "the same, bit for bit" if self.same else "NOT what is in the log"
        return f"{self.events} events, {len(self.output)} samples of output: {said}"


def replay(folder: Path, engine: Engine) -> Replayed:
    """Run a log again.

    Raises:
        BadInput: it is no log, of another engine, incomplete, or the session goes another way.
    """
    entries, sound = _read(folder)
    head, end = entries[0], entries[-1]
    if (head["engine"], head["rate"]) != (engine.name, engine.rate):
        said = f"{head['engine']} at {head['rate']} Hz, but this is {engine.name} at {engine.rate} Hz"
        raise BadInput(f"the log {str(folder)!r} is of an engine {said}; replay it with the model it was made with")
    session = engine.open(Options(voice=head["voice"]), head["seed"])
    told, total, output, at = 0, hashlib.sha256(), [np.zeros(0, np.float32)], 0

    def take() -> None:
        nonlocal told
        events = session.take()
        told += len(events)
        _digest(total, events)
        output.extend(event.wave for event in events if isinstance(event, Audio))
        if sent := max([0, *(event.stop for event in events if isinstance(event, Audio))]):
            session.ledger.send(sent, 0.0)

    for entry in entries[1:-1]:
        idle = False
        while [session.ledger.taken, session.ledger.emitted, told] != entry["at"]:
            if idle:
                said = f"stopped at {[session.ledger.taken, session.ledger.emitted, told]}, expected {entry['at']}"
                raise BadInput(f"the session of {str(folder)!r} went another way: it {said}; is it the same model?")
            idle = not engine.step(entry["now"])
            take()
        at = _apply(session, entry, sound, at)
    take()
    return Replayed(told, (told, total.hexdigest()) == (end["events"], end["sha256"]), np.concatenate(output))


def _apply(session: Session, entry: dict[str, Any], sound: np.ndarray, at: int) -> int:
    """One entry takes effect -> where the input stands."""
    op, now = entry["op"], entry["now"]
    if op == "push":
        stop = at + entry["samples"]
        session.push(Waveform(sound[at:stop], entry["rate"]), now)
        return stop
    if op == "played":
        session.played(entry["upto"], now)
    elif op == "text":
        session.text(entry["words"])
    elif op == "policy":
        session.policy = session.policy.changed(entry["changes"])
    elif op in ("commit", "respond"):
        getattr(session, op)()
    elif op == "discard":
        session.ledger.discard(entry["start"], entry["stop"], entry["why"], now)
    elif op == "resume":
        session.ledger.resume(entry["upto"], now)
    elif op in ("cancel", "close"):
        getattr(session, op)(now)
    return at


def _read(folder: Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    try:
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        sound = np.fromfile(folder / "input.f32", "<f4")
    except (OSError, ValueError) as broken:
        raise BadInput(f"{str(folder)!r} is no log of a session ({broken}); give the folder with log.jsonl") from broken
    if not entries or entries[0].get("version") != VERSION:
        raise BadInput(f"{str(folder)!r} holds no log of version {VERSION}")
    if entries[-1].get("op") != "end":
        raise BadInput(f"the log {str(folder)!r} has no end: the engine or the server stopped before the session did")
    return entries, sound
