"""`oration score alignment`: aligners against words whose times are known."""

from __future__ import annotations

from pathlib import Path

from oration.commands.results import finish
from oration.commands.score.clips import choose, spread, tracked
from oration.core import BadInput
from oration.data.align import RATE, Kind, aligner
from oration.evaluate.alignment import WordTimes, word_times
from oration.evaluate.mend import mend_newlines
from oration.evaluate.report import Column, Section, Table


def run(data: Path, kinds: tuple[Kind, ...], split: str, count: int, mend: bool, out: Path) -> None:
    """One row an aligner.

    Raises:
        BadInput: no clip with words that have times.
    """
    clips = spread([clip for clip in choose(data, split) if clip.words and clip.text], count)
    if not clips:
        raise BadInput(f"no clip of {str(data)!r}, split {split!r}, has words with times; name a labelled corpus")
    waves = [mend_newlines(clip.wave(rate=RATE)).wave if mend else clip.wave(rate=RATE) for clip in clips]
    found: dict[str, WordTimes] = {}
    for kind in kinds:
        align = aligner(kind)
        pairs = tracked(list(zip(waves, clips, strict=True)), f"align ({kind})")
        results = [align(wave, clip.text or "") for wave, clip in pairs]
        found[kind] = word_times([clip.words for clip in clips], [None if r.refused else r.words for r in results])
    facts = {"data": f"{data.name}, {split}", "clips": str(len(clips))}
    finish(out, "Aligners against known word times", [Section("Word times", (table(found),))], facts, found)


def table(found: dict[str, WordTimes]) -> Table:
    """One row an aligner, milliseconds."""
    columns = (
        Column("aligner"), Column("words"), Column("start, median ms", 1, "lower"), Column("start, 90 %", 1, "lower"),
        Column("stop, median ms", 1, "lower"), Column("stop, 90 %", 1, "lower"), Column("refused clips"),
    )  # fmt: skip
    rows = tuple(
        (
            kind, f"{errors.words}", 1000 * errors.start_median, 1000 * errors.start_ninety,
            1000 * errors.stop_median, 1000 * errors.stop_ninety, f"{errors.refused}",
        )
        for kind, errors in found.items()
    )  # fmt: skip
    note = "Clips whose words are spelled otherwise are left out."
    return Table("Absolute errors of word times", columns, rows, note)
