"""Results of this folder as tables of a report."""

from __future__ import annotations

from collections.abc import Mapping

from oration.evaluate.abx import ABXResult
from oration.evaluate.interval import Estimate
from oration.evaluate.likelihood import Likelihood
from oration.evaluate.report import NOTHING, Cell, Column, Table
from oration.evaluate.resynthesis import ORIGINAL, Resynthesis
from oration.evaluate.units import UnitCost, UnitPurity

INTERVAL = "The second line is the 95 % interval"


def resynthesis_table(result: Resynthesis, caption: str = "Resynthesis beside the original recordings") -> Table:
    """One row a system; the columns that nobody computed are left out."""

    def against(cells: list[Estimate | None]) -> list[Cell]:
        """The original has no distance from itself, which is not the same as one that nobody computed."""
        return [
            cell if cell is not None or row.system != ORIGINAL else NOTHING
            for cell, row in zip(cells, result.rows, strict=True)
        ]

    named: list[tuple[Column, list[Cell]]] = [(Column("system"), [row.system for row in result.rows])]
    columns: list[tuple[Column, list[Cell]]] = [
        (Column("WER", better="lower", percent=True), [r.recognition.wer for r in result.rows]),
        (Column("WER above original", percent=True), against([r.wer_above_original for r in result.rows])),
        (Column("CER", better="lower", percent=True), [r.recognition.cer for r in result.rows]),
        (Column("DNSMOS overall", 2, "higher"), [r.quality.overall if r.quality else None for r in result.rows]),
        (Column("DNSMOS P.808", 2, "higher"), [r.quality.p808 if r.quality else None for r in result.rows]),
        (Column("mel distance", better="lower"), against([r.mel for r in result.rows])),
        (Column("F0 error, cents", 0, "lower"), against([r.f0.cents if r.f0 else None for r in result.rows])),
        (Column("voicing error", 3, "lower", True), against([r.f0.voicing if r.f0 else None for r in result.rows])),
        (Column("same voice", 2, "higher"), against([r.speaker for r in result.rows])),
    ]
    kept = named + [one for one in columns if any(isinstance(cell, Estimate) for cell in one[1])]
    recognition = result.rows[0].recognition
    note = (
        f"{result.clips} clips, {result.audio_seconds:.0f} s, {recognition.words} words. {INTERVAL}, clips resampled; "
        f"differences are paired by clip. Words heard by {recognition.recogniser}, normaliser {recognition.normaliser}."
    )
    rows = tuple(zip(*(cells for _, cells in kept), strict=True))
    return Table(caption, tuple(column for column, _ in kept), rows, note)


def likelihood_table(result: Likelihood, caption: str = "Held-out speech, nats per unit") -> Table:
    """One row a model, the difference to the reference beside it."""
    columns = [
        Column("model"),
        Column("nats per token", better="lower"),
        Column(f"minus {result.reference}'s"),
        Column("perplexity", 2, "lower"),
        Column("bits per second", 1, "lower"),
    ]
    rows: list[tuple[Cell, ...]] = [
        (row.model, row.nats, NOTHING if row.against is None else row.against, row.perplexity, row.bits_per_second)
        for row in result.rows
    ]
    if all(row.bits_per_second is None for row in result.rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    note = f"{result.clips} clips, {result.tokens} tokens. {INTERVAL}, clips resampled; differences are paired by clip."
    return Table(caption, tuple(columns), tuple(rows), note)


def abx_table(results: Mapping[str, Mapping[str, ABXResult]], caption: str = "ABX error between phones") -> Table:
    """Representation -> task name ("within", "across", ...) -> result; one row a representation."""
    tasks = list(dict.fromkeys(task for row in results.values() for task in row))
    columns = (Column("representation"), *(Column(task, better="lower", percent=True) for task in tasks))
    rows = tuple(
        (name, *((row[task].error if task in row else None) for task in tasks)) for name, row in results.items()
    )
    each = [result for row in results.values() for result in row.values()]
    note = ""
    if each:
        limits = f"at most {each[0].group} tokens a group and {each[0].x_speakers} speakers of X, seed {each[0].seed}"
        note = f"Chance is 50 %. {each[0].error.n} speakers; {limits}. {INTERVAL}, speakers resampled."
    return Table(caption, columns, rows, note)


def units_table(results: Mapping[str, tuple[UnitPurity | None, UnitCost]], caption: str = "Units") -> Table:
    """Tokenizer -> its purity (None where phones are unknown) and cost; one row a tokenizer."""
    columns = (
        Column("units"),
        Column("phone purity", better="higher"),
        Column("cluster purity", better="higher"),
        Column("PNMI", better="higher"),
        Column("codebook used", percent=True),
        Column("perplexity", 0),
        Column("bit/s, nominal", 0),
        Column("bit/s, entropy of units", 0),
        Column("runs a second", 1),
        Column("bit/s, runs with durations", 0),
    )
    rows: list[tuple[Cell, ...]] = []
    for name, (p, c) in results.items():
        says = (None, None, None) if p is None else (p.phone_purity, p.cluster_purity, p.pnmi)
        costs = (c.nominal_bitrate, c.entropy_bitrate, c.runs_per_second, c.runs_bitrate)
        rows.append((name, *says, c.used, c.perplexity, *costs))
    frames = ", ".join(sorted({f"{p.frames} frames with a phone" for p, _ in results.values() if p is not None}))
    note = (
        f"{frames + '. ' if frames else ''}Runs are units with repeats merged; their bits count the durations too. "
        f"{INTERVAL}, clips resampled."
    )
    return Table(caption, columns, tuple(rows), note, turned=True)
