"""What a recording becomes: the grid of each task, on the terminal and on a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from rich.console import Console

import oration
from oration.commands.console import table
from oration.commands.folder import fresh
from oration.commands.gridprint import grid, plain
from oration.commands.heard import Heard, find_clip, listen
from oration.commands.sheet import PARTY, Sheet, sheet
from oration.core import BadInput, Example
from oration.evaluate.draw import Lane
from oration.evaluate.gridview import GridView
from oration.evaluate.report import NOTHING, Column, Item, Player, Section, Table, Text, write_page
from oration.lms import LM
from oration.model import SpeechLM
from oration.recipe import Recipe
from oration.sizes import parts_of
from oration.tasks import Task

Links = Sequence[tuple[LM, Task]]


def tasks(recipe: Recipe, name: str | None = None) -> list[tuple[LM, Task]]:
    """Every task of every language model, or those of one name.

    Raises:
        BadInput: there is none of that name.
    """
    found = [(lm, cast(Task, task)) for lm in recipe.lms for task in lm.tasks]
    chosen = [link for link in found if name in (None, link[1].name)]
    if name is not None and not chosen:
        known = ", ".join(dict.fromkeys(task.name for _, task in found)) or "none"
        raise BadInput(f"recipe {recipe.name!r} has no task {name!r}, only {known}; name one of these")
    return chosen


def inspect(
    out: Console, model: SpeechLM, links: Links, recording: Path, text: str | None, folder: Path | None
) -> None:
    """Print the grids of a recording, and write them as a page if a folder is named.

    Raises:
        BadInput: the recording cannot be read, or no task can be drawn.
    """
    if not links:
        raise BadInput(f"recipe {model.recipe.name!r} has no language model, so it has no grid; oration encode it")
    clip, notes = find_clip(recording, text)
    heard = listen(model, parts_of(model), links, clip, notes)
    sheets: list[Sheet] = []
    failed: list[tuple[LM, Task, str]] = []
    for lm, task in links:
        try:
            sheets.append(sheet(model, lm, task, heard))
        except BadInput as unfit:
            failed.append((lm, task, str(unfit)))
    if not sheets:
        raise BadInput(failed[0][2])
    streams(out, model, _whole(heard, sheets), heard.wave.seconds)
    for note in heard.notes:
        out.print(f"[dim]{note[0].upper()}{note[1:]}.[/]")
    where = "the page has them" if folder else "--out DIR writes a page with all of them"
    for found in sheets:
        out.print(f"\n[bold]{title(found.lm, found.task)}[/], predicts {', '.join(found.task.predict)}")
        grid(out, found, where)
    for lm, task, why in failed:
        out.print(f"\n[bold]{title(lm, task)}[/]: {why}")
    if folder is not None:
        path = page(fresh(folder), model, heard, sheets, failed)
        out.print(f"\n{path.resolve()}", markup=False, soft_wrap=True)


def _whole(heard: Heard, sheets: Sequence[Sheet]) -> Example:
    """The streams that are as long as the recording: those of tasks that do not cut it in turns as well."""
    found: Example = {}
    for one in sheets:
        if not any(name.startswith(PARTY) for name in one.example):
            found |= one.example
    return found | heard.example


def title(lm: LM, task: Task) -> str:
    """What a task's section is called."""
    return f"Task {task.name!r} of {lm.name!r}"


def streams(out: Console, model: SpeechLM, heard: Example | None, seconds: float) -> None:
    """Print the streams of a model: who gives them, how many symbols, how many a second."""
    rows = table("Streams", "stream", "given by", ">symbols", ">a second", ">bits/s")
    given_once = {name for tokenizer in model.recipe.tokenizers if not tokenizer.needs for name in tokenizer.specs()}
    for name, giver in givers(model).items():
        spec = model.specs[name]
        size = f"{spec.dim} numbers" if spec.dim else str(spec.size)
        pace = f"{float(spec.rate):g}" if spec.rate else ("once" if name in given_once else "varies")
        bits = "" if spec.bits_per_second is None else f"{spec.bits_per_second:.0f}"
        if not spec.rate and heard is not None and name in heard:
            pace = f"{len(heard[name]) / seconds:.1f} here"
        rows.add_row(name, giver, size, pace, bits)
    out.print(rows)
    out.print("[dim]bits/s: with all symbols equally likely; what is spoken costs less.[/]")


def givers(model: SpeechLM) -> dict[str, str]:
    """Stream -> the part or operation that makes it."""
    found: dict[str, str] = {}
    for tokenizer in model.recipe.tokenizers:
        encoder = getattr(tokenizer, "encoder", None)
        inside = f" of {type(encoder).__name__}" if encoder is not None and not isinstance(encoder, tuple) else ""
        found |= dict.fromkeys(tokenizer.specs(), type(tokenizer).__name__ + inside)
    for lm, task in tasks(model.recipe):
        specs = dict(model.specs)
        for operation in task.operations:
            made = operation.specs(specs)
            found |= {name: type(operation).__name__ for name in made if name not in found}
            specs |= made
        found |= {f"{name}.hidden": lm.name for name in lm.exposes}
    return {name: giver for name, giver in found.items() if name in model.specs}


def page(
    folder: Path, model: SpeechLM, heard: Heard, sheets: Sequence[Sheet], failed: Sequence[tuple[LM, Task, str]]
) -> Path:
    """Write the page: the recording, then a section a task."""
    sections = [Section("The recording", _recording(model, heard))]
    sections += [_section(found) for found in sheets]
    if failed:
        sections.append(Section("Not drawn", tuple(Text(f"{title(lm, task)}: {why}.") for lm, task, why in failed)))
    facts = {
        "recipe": model.recipe.name,
        "recording": heard.clip.path.name,
        "weights": "none" if model.folder is None else str(model.folder.name),
        "oration": oration.__version__,
    }
    results = [
        {"lm": one.lm.name, "task": one.task.name, "steps": one.cells.steps, "rows": one.cells.counts()}
        for one in sheets
    ]
    lead = "Every cell of the grid that the language model reads: stream, role, delay, and whether it is in the loss."
    named = f"{model.recipe.name}: {heard.clip.path.name} on its grid"
    return write_page(folder / "index.html", sections, results=results, title=named, lead=lead, facts=facts)


def _recording(model: SpeechLM, heard: Heard) -> tuple[Item, ...]:
    lanes = [
        Lane(name, stream, model.specs[name])
        for name, stream in heard.example.items()
        if name in model.specs and model.specs[name].rate is not None and not model.specs[name].dim
    ]
    player = Player(heard.clip.path.name, heard.wave, heard.clip.text or "", tuple(lanes[:3]))
    return (player, *(Text(f"{note[0].upper()}{note[1:]}.") for note in heard.notes))


def _section(found: Sheet) -> Section:
    cells, lm, task = found.cells, found.lm, found.task
    rates = {name: found.specs[name].rate for name in task.layout.streams}
    view = GridView(
        f"{lm.name}, {task.name}: {len(found.shown)} row{'s' * (len(found.shown) > 1)}, {cells.steps:,} steps",
        cells,
        found.shown,
        found.short(),
        lasts={name: 1 / float(rate) for name, rate in rates.items() if rate is not None},
        clock=found.clock,
        weights=found.weights,
        sizes={row: f"{vocab.size:,} symbols" for row, vocab in found.vocabs.items()},
        text=plain(found),
    )
    lead = f"Predicts {', '.join(task.predict)}; {found.padding:.0%} of the grid is padding."
    lead += "".join(f" {share:.0%} of {name} only fills time." for name, share in found.fillers.items())
    if found.clock:
        cut = next(iter(found.clock.values()))
        lead += f" What is said after {cut:.2f} s is the reply."
    return Section(title(lm, task), (view, _rows(found), _vocabulary(found), _loss(found)), lead)


def _rows(found: Sheet) -> Table:
    counts, cells, rows = found.cells.counts(), found.cells, []
    for k, row in enumerate(cells.rows):
        late = [n for n in np.unique(cells.delay[k][cells.kind[k] == "item"]).tolist() if n]
        said = late[0] if len(late) == 1 else ", ".join(map(str, late)) or NOTHING
        rows.append((row, counts[row]["given"], counts[row]["predict"], counts[row]["absent"], said))
    heads = ("row", "given", "predicted", "absent", "late by, steps")
    return Table("What the rows hold", tuple(map(Column, heads)), tuple(rows))


def _vocabulary(found: Sheet) -> Table:
    rows = [
        (row, name, first, last, last - first + 1) for row in found.vocabs for name, first, last in found.blocks(row)
    ]
    heads = ("row", "part of its vocabulary", "first token", "last token", "symbols")
    return Table("Vocabulary", tuple(map(Column, heads)), tuple(rows))


def _loss(found: Sheet) -> Table:
    rows = tuple(
        (name, there, asked, weight or NOTHING, share if share else NOTHING)
        for name, there, asked, weight, share in found.covered()
    )
    columns = (
        Column("what"), Column("cells"), Column("in the loss"), Column("weight"),
        Column("share of the loss's weight", percent=True),
    )  # fmt: skip
    note = f"As {found.trained_by} counts them." if found.weights is not None else ""
    if not found.trained_by:
        note = "No stage of the recipe trains this task."
    elif found.weights is None:
        note = f"{found.trained_by} weighs cells by its own rule; see its docstring."
    return Table("In the loss", columns, rows, note)
