"""`oration score units`: do units tell phones apart, and what do they cost?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oration.commands.results import finish
from oration.commands.score.clips import choose, spread, tracked
from oration.core import BadInput, Stream, Waveform
from oration.data.manifest import Clip
from oration.evaluate.abx import ABX, ABXResult
from oration.evaluate.mend import mend_newlines
from oration.evaluate.report import Section
from oration.evaluate.tables import abx_table, units_table
from oration.evaluate.units import UnitCost, UnitPurity, cost, purity
from oration.model import SpeechLM
from oration.text.phones import INDEX, SILENCE, fold_39, fold_arpabet, fold_timit


@dataclass(frozen=True)
class Found:
    """What one model's units are worth."""

    recipe: str
    abx: dict[str, dict[str, ABXResult]]
    """Of the "units" and of the "features" that they divide, by speaker condition: "within", "across"."""
    purity: UnitPurity
    cost: UnitCost


def run(data: Path, models: Sequence[Path], split: str, count: int, mend: bool, out: Path) -> None:
    """One row a model.

    Raises:
        BadInput: no clip with phones, or a model whose first tokenizer gives no units.
    """
    labelled = [clip for clip in choose(data, split) if clip.phones]
    if not labelled:
        raise BadInput(f"no clip of {str(data)!r}, split {split!r}, has phones with times; name a labelled corpus")
    clips = spread(labelled, count)
    waves = [clip.wave() for clip in clips]
    facts = {"data": f"{data.name}, {split}"}
    if mend:
        mended = [mend_newlines(wave) for wave in waves]
        waves = [one.wave for one in mended]
        facts["mended"] = f"{sum(one.lost_bytes > 0 for one in mended)} clips of lost bytes"
    found = {str(folder or "default"): measure(SpeechLM.load(folder), clips, waves) for folder in (models or (None,))}
    people = len({(clip.corpus, clip.speaker) for clip in clips})
    rows = {f"{what} of {one.recipe}": tasks for one in found.values() for what, tasks in one.abx.items()}
    sections = [
        Section("Do they tell phones apart?", (abx_table(rows, "ABX error, phones in any context"),)),
        Section(
            "What they are and cost", (units_table({one.recipe: (one.purity, one.cost) for one in found.values()}),)
        ),
    ]
    facts["clips"] = f"{len(clips)} of {people} speakers"
    finish(out, "Units against phones", sections, facts, found)


def fold(label: str) -> str:
    """A phone of TIMIT (lower case) or ARPAbet -> the 39 classes of Lee & Hon, so that corpora compare.

    >>> fold("tcl"), fold("AO1"), fold("ao"), fold("SIL")
    ('SIL', 'AA', 'AA', 'SIL')
    """
    if label in INDEX:
        return fold_39(label)
    return fold_timit(label) if label == label.lower() else fold_39(fold_arpabet(label))


def measure(model: SpeechLM, clips: Sequence[Clip], waves: Sequence[Waveform]) -> Found:
    """Encode the clips, whose sound is `waves`, and score units and features.

    Raises:
        BadInput: the model's first tokenizer gives no units with features.
    """
    name, spec = next(iter(model.recipe.tokenizers[0].specs().items()))
    part = model.part(name)
    if not hasattr(part, "features") or spec.dim or spec.rate is None:
        raise BadInput(f"the first tokenizer of {model.recipe.name!r} gives {name!r}, expected units with a rate")
    units: list[Stream] = []
    features: list[Stream] = []
    for wave in tracked(waves, f"encode {name} ({model.recipe.name})"):
        units += [part.encode([wave])[0][name]]
        features += part.features([wave])
    people = [f"{clip.corpus}/{clip.speaker}" for clip in clips]
    clusters = people if len(set(people)) > 1 else None
    conditions: tuple[Literal["within", "across"], ...] = ("within", "across") if clusters else ("within",)

    def abx(streams: list[Stream]) -> dict[str, ABXResult]:
        tasks = {condition: ABX(speaker=condition, context="any") for condition in conditions}
        return {name: task(streams, clips, float(spec.rate or 0), fold=fold) for name, task in tasks.items()}

    return Found(
        model.recipe.name,
        {"units": abx(units), "features": abx(features)},
        purity(units, clips, spec, fold=fold, leave_out=(SILENCE,), clusters=clusters),
        cost(units, spec, clusters=clusters),
    )
