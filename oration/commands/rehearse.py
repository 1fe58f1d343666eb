"""`oration rehearse`: scripted users against a live model, and who took the floor when."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from oration.commands.converse import clips_of
from oration.commands.results import finish
from oration.core import BadInput
from oration.data.manifest import Clip, read_manifest
from oration.dialogue.measures import percentile
from oration.evaluate.interval import Bootstrap, Estimate
from oration.evaluate.report import NOTHING, Cell, Column, Item, Player, Players, Section, Table
from oration.live import Engine, open_engine
from oration.model import DEFAULT, SpeechLM
from oration.rehearse.judge import Verdict, together
from oration.rehearse.rehearse import Rehearsal, bursts, rehearse, voices_of
from oration.rehearse.script import SCRIPTS

SAMPLES = Path(__file__).parents[1] / "samples"
RATES = ("answered", "early", "taken in pauses", "yielded", "false stops", "false starts")
WANTED = {"answered", "yielded"}
HEARD = 2
"""Rehearsals of each script that can be listened to on the page."""


def run(
    names: tuple[str, ...],
    model: Path | None,
    kind: str | None,
    sources: tuple[Path, ...],
    noises: tuple[Path, ...],
    feedback: tuple[Path, ...],
    seeds: int,
    longest: float,
    out: Path,
) -> None:
    """Rehearse, print what came of it, write the page.

    Raises:
        BadInput: an unknown script, a number or a source that will not do, or a model that cannot converse.
    """
    unknown = [name for name in names if name not in SCRIPTS]
    if unknown:
        raise BadInput(f"there is no script {unknown[0]!r}; expected one of {', '.join(SCRIPTS)}")
    if seeds < 1:
        raise BadInput(f"--seeds {seeds}: expected 1 or more rehearsals of each script; give e.g. 3")
    loaded = SpeechLM.load(model or DEFAULT)
    engine = open_engine(loaded, slots=1, kind=kind)
    voices = _voices(engine.rate, sources, noises, feedback, longest)
    chosen = names or tuple(SCRIPTS)
    done = _rehearse(engine, chosen, voices, seeds)
    facts = {
        "Model": f"{loaded.recipe.name} ({model or DEFAULT.name})",
        "Engine": f"{engine.name}, {1000 * engine.delay:.0f} ms by its layout",
        "Speech": ", ".join(map(str, sources)) or "the toolkit's samples",
        "Noises": ", ".join(map(str, noises)) or "made up",
        "Rehearsals": f"{seeds} of each script",
    }
    finish(out, f"Rehearsals of {loaded.recipe.name}", _sections(done), facts, [_saved(one) for one in done])


def _voices(
    rate: int, sources: tuple[Path, ...], noises: tuple[Path, ...], feedback: tuple[Path, ...], longest: float
) -> dict[str, Sequence[np.ndarray]]:
    speech = _held_out(clips_of(sources)) if sources else read_manifest(SAMPLES)
    fits = [clip for clip in speech if clip.seconds <= longest] or speech
    found: dict[str, Sequence[np.ndarray]] = {"speech": voices_of(fits, rate, spoken=True, longest=longest)}
    found["bystander"] = found["speech"]
    found["noise"] = voices_of(_held_out(clips_of(noises)), rate, spoken=False, longest=1.2) if noises else bursts(rate)
    if feedback:
        found["feedback"] = voices_of(_held_out(clips_of(feedback)), rate, spoken=True, longest=0.7)
    else:
        found["feedback"] = [wave[: round(0.4 * rate)] for wave in found["speech"]]
    return found


def _held_out(clips: Sequence[Clip]) -> Sequence[Clip]:
    """Those that no model was trained on, where the source tells."""
    return [clip for clip in clips if clip.split != "train"] or clips


def _rehearse(
    engine: Engine, names: Sequence[str], voices: dict[str, Sequence[np.ndarray]], seeds: int
) -> list[Rehearsal]:
    done = []
    with Progress(disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("rehearsing", total=len(names) * seeds)
        for name in names:
            for seed in range(seeds):
                bar.update(task, description=f"{name}, {seed + 1} of {seeds}")
                done.append(rehearse(engine, SCRIPTS[name], voices, seed=seed))
                bar.advance(task)
    return done


def _sections(done: Sequence[Rehearsal]) -> list[Section]:
    names = list(dict.fromkeys(one.script.name for one in done))
    groups = {name: [one for one in done if one.script.name == name] for name in names}
    verdicts = {name: together([one.verdict for one in group]) for name, group in groups.items()}
    rows = [_row(name, verdict) for name, verdict in verdicts.items()]
    if len(names) > 1:
        rows.append(_row("together", together(list(verdicts.values()))))
    columns = [Column("Script")]
    columns += [Column(name, percent=True, better="higher" if name in WANTED else "lower") for name in RATES]
    columns += [Column(label, 2, better="lower") for label in ("answer after, s", "95 %", "stops after, s", "95 % ")]
    note = (
        "Answered: a reply began after a turn, within 3 s and not before its end (early). Yielded: a reply that was "
        "spoken over stopped in time. False stops: a reply ended by a noise, a bystander or short feedback. False "
        "starts: a reply to nobody. A model that is always silent has no false start and no answer: read all columns."
    )
    items: list[Item] = [Table("Who took the floor", tuple(columns), tuple(rows), note)]
    work, total = sum(one.work for one in done), sum(one.seconds for one in done)
    stale = sum(one.verdict.stale for one in done)
    ledger = Table(
        "The ledger",
        (Column("Of all rehearsals"), Column("")),
        (
            ("seconds of dialogue", f"{total:.1f}"),
            ("seconds of computing", f"{work:.1f}"),
            ("slowest frame, ms", f"{1000 * max(one.slowest for one in done):.1f}"),
            ("samples sent after they were to be flushed", f"{stale}"),
            ("samples discarded", f"{sum(sum(one.counts.discarded.values()) for one in done)}"),
        ),
    )
    items.append(ledger)
    sections = [Section("Turn-taking", tuple(items))]
    for name, group in groups.items():
        players = tuple(
            player
            for number, one in enumerate(group[:HEARD], 1)
            for player in (
                Player(f"{name} {number}: the user", one.said, _told(one)),
                Player(f"{name} {number}: the model, as heard", one.heard),
            )
        )
        sections.append(Section(name, (Players(players),), group[0].script.about))
    return sections


def _told(one: Rehearsal) -> str:
    rate = one.said.rate
    return "; ".join(f"{did.start / rate:.1f} s {did.kind}" for did in one.did if did.kind != "silence")


def _row(name: str, verdict: Verdict) -> tuple[Cell, ...]:
    rates: list[Cell] = []
    for rate, (part, whole) in zip(RATES, _counts(verdict), strict=True):
        assert rate in verdict.rates()
        rates.append(_share(part, whole) if whole else NOTHING)
    times: list[Cell] = []
    for values in (verdict.waits, verdict.stops):
        times += [percentile(values, 50), percentile(values, 95)] if values else [NOTHING, NOTHING]
    return (name, *rates, *times)


def _counts(v: Verdict) -> list[tuple[int, int]]:
    return [
        (v.answered, v.turns),
        (v.early, v.turns),
        (v.taken, v.pauses),
        (v.yielded, v.interruptions),
        (v.false_stops, v.ignorable),
        (v.false_starts, v.unasked),
    ]


def _share(part: int, whole: int) -> Estimate:
    return Bootstrap().ratio([1] * part + [0] * (whole - part), [1] * whole)


def _saved(one: Rehearsal) -> dict[str, Any]:
    """A rehearsal as JSON: what was done, what came of it."""
    verdict = {name: value for name, value in vars(one.verdict).items() if name != "statistics"}
    return {
        "script": one.script.name,
        "seconds": one.seconds,
        "work": one.work,
        "slowest": one.slowest,
        "verdict": verdict | {"rates": one.verdict.rates()},
        "did": [asdict(did) for did in one.did],
    }
