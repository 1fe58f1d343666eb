"""`oration score units`: do units tell phones apart, and what do they cost?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oration.commands.results import Table, finish, spell
from oration.commands.score.clips import choose, recordings, spread, tracked
from oration.core import BadInput, Stream
from oration.data.manifest import Clip
from oration.evaluate.abx import ABX, ABXResult
from oration.evaluate.units import UnitCost, UnitPurity, cost, purity
from oration.model import SpeechLM
from oration.text.phones import INDEX, SILENCE, fold_39, fold_arpabet, fold_timit


@dataclass(frozen=True)
class Found:
    """What one model's units are worth."""

    recipe: str
    units: dict[str, ABXResult]
    """By speaker condition: "within", "across"."""
    features: dict[str, ABXResult]
    """The same of the vectors that the units divide."""
    purity: UnitPurity
    cost: UnitCost


def run(data: Path, models: Sequence[Path], split: str, count: int, out: Path) -> None:
    """One column a model.

    Raises:
        BadInput: no clip with phones, or a model whose first tokenizer gives no units.
    """
    labelled = [clip for clip in choose(data, split) if clip.phones]
    if not labelled:
        raise BadInput(f"no clip of {str(data)!r}, split {split!r}, has phones with times; name a labelled corpus")
    clips = spread(labelled, count)
    found = {str(folder or "default"): measure(SpeechLM.load(folder), clips) for folder in (models or (None,))}
    columns = [_column(one) for one in found.values()]
    people = len({(clip.corpus, clip.speaker) for clip in clips})
    table = Table(
        f"Units against phones: {len(clips)} clips of {people} speakers ({split})",
        ("", *(f">{one.recipe}" for one in found.values())),
        [[label, *(column[label] for column in columns)] for label in columns[0]],
        "ABX: share of triples told wrong (chance: 50 %), phones in any context. Purity: share of frames right if "
        "every unit stood for its commonest phone. Merged: repeats as one unit with a duration. Intervals resample "
        "speakers.",
    )
    finish(out, "Units against phones", [table], found)


def fold(label: str) -> str:
    """A phone of TIMIT (lower case) or ARPAbet -> the 39 classes of Lee & Hon, so that corpora compare.

    >>> fold("tcl"), fold("AO1"), fold("ao"), fold("SIL")
    ('SIL', 'AA', 'AA', 'SIL')
    """
    if label in INDEX:
        return fold_39(label)
    return fold_timit(label) if label == label.lower() else fold_39(fold_arpabet(label))


def measure(model: SpeechLM, clips: Sequence[Clip]) -> Found:
    """Encode the clips and score units and features.

    Raises:
        BadInput: the model's first tokenizer gives no units with features.
    """
    name, spec = next(iter(model.recipe.tokenizers[0].specs().items()))
    part = model.part(name)
    if not hasattr(part, "features") or spec.dim or spec.rate is None:
        raise BadInput(f"the first tokenizer of {model.recipe.name!r} gives {name!r}, expected units with a rate")
    units: list[Stream] = []
    features: list[Stream] = []
    for wave in tracked(recordings(clips, model.rate), f"encode {name} ({model.recipe.name})"):
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
        abx(units),
        abx(features),
        purity(units, clips, spec, fold=fold, leave_out=(SILENCE,), clusters=clusters),
        cost(units, spec, clusters=clusters),
    )


def _column(found: Found) -> dict[str, str]:
    """Label -> cell."""
    cells = {}
    for what, results in (("units", found.units), ("features", found.features)):
        for condition, result in results.items():
            cells[f"ABX {condition} speakers, {what}, %"] = spell(result.error.times(100), 1)
    cells["phone purity of units, %"] = spell(found.purity.phone_purity.times(100), 1)
    cells["PNMI, %"] = spell(found.purity.pnmi.times(100), 1)
    cells["units used, %"] = spell(found.cost.used.times(100), 0)
    cells["bits a second, of the units' entropy"] = spell(found.cost.entropy_bitrate, 0)
    cells["bits a second, merged"] = spell(found.cost.runs_bitrate, 0)
    cells["units a second, merged"] = spell(found.cost.runs_per_second, 1)
    return cells
