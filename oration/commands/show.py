"""`oration show`: what a recipe is made of. Parts are built without weights, so that a large one costs nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console

from oration.audio.io import read
from oration.commands.console import console, table
from oration.core import TICKS, BadInput, Example, Spec, Stream
from oration.layouts import delay, picture
from oration.lms import LM
from oration.model import SpeechLM
from oration.recipe import Recipe, find
from oration.sizes import Part, invented, parts_of
from oration.tasks import Task


def run(name: str, recording: Path | None, settings: tuple[str, ...]) -> None:
    """Print everything that follows from a recipe, or from a model folder.

    Raises:
        BadInput: no such recipe or folder; or a recording without weights to encode it with.
    """
    folder = Path(name)
    trained = (folder / "recipe.json").is_file()
    recipe = (SpeechLM.recipe_of(folder) if trained else find(name)).with_set(list(settings))
    if recording is not None and not trained:
        raise BadInput(
            f"{name!r} is a recipe without weights, so it cannot encode {str(recording)!r}; "
            "name a model folder instead, or leave the recording out"
        )
    model = SpeechLM(recipe, folder if trained else None)
    out = console()
    out.print(f"[bold]{recipe.name}[/]  {_first_line(recipe)}")
    parts = parts_of(model)
    example, seconds = _heard(model, recording) if recording else (invented(model.specs), 1.0)
    _streams(out, model, example if recording else None, seconds)
    for lm, task in _tasks(recipe):
        _task(out, model, lm, task, example, seconds, str(recording) if recording else None)
    _delays(out, model, parts)
    _sizes(out, recipe, parts)
    _training(out, recipe)


def _first_line(recipe: Recipe) -> str:
    """What the recipe's own module says of it; nothing for a recipe from elsewhere."""
    try:
        text = importlib.import_module(f"oration.recipes.{recipe.name}").__doc__ or ""
    except ImportError:
        return ""
    return text.strip().splitlines()[0]


def _heard(model: SpeechLM, recording: Path) -> tuple[Example, float]:
    wave = read(recording, rate=model.rate, stop=30.0)
    example = model.encode([wave])[0]
    for _, task in _tasks(model.recipe):
        example |= task.prepare(example, model.specs, np.random.default_rng(0))
    return example, wave.seconds


def _streams(out: Console, model: SpeechLM, heard: Example | None, seconds: float) -> None:
    rows = table("Streams", "stream", "given by", ">symbols", ">a second", ">bits/s")
    given_once = {name for tokenizer in model.recipe.tokenizers if not tokenizer.needs for name in tokenizer.specs()}
    for name, giver in _givers(model).items():
        spec = model.specs[name]
        size = f"{spec.dim} numbers" if spec.dim else str(spec.size)
        rate = f"{float(spec.rate):g}" if spec.rate else ("once" if name in given_once else "varies")
        bits = "" if spec.bits_per_second is None else f"{spec.bits_per_second:.0f}"
        if not spec.rate and heard is not None and name in heard:
            rate = f"{len(heard[name]) / seconds:.1f} here"
        rows.add_row(name, giver, size, rate, bits)
    out.print(rows)
    out.print("[dim]bits/s: with all symbols equally likely; what is spoken costs less.[/]")


def _givers(model: SpeechLM) -> dict[str, str]:
    """Stream -> the part or operation that makes it."""
    givers: dict[str, str] = {}
    for tokenizer in model.recipe.tokenizers:
        encoder = getattr(tokenizer, "encoder", None)
        inside = f" of {type(encoder).__name__}" if encoder is not None else ""
        givers |= dict.fromkeys(tokenizer.specs(), type(tokenizer).__name__ + inside)
    for _, task in _tasks(model.recipe):
        specs = dict(model.specs)
        for operation in task.operations:
            made = operation.specs(specs)
            givers |= {name: type(operation).__name__ for name in made if name not in givers}
            specs |= made
    return givers


def _tasks(recipe: Recipe) -> Iterator[tuple[LM, Task]]:
    for lm in recipe.lms:
        for task in lm.tasks:
            yield lm, cast(Task, task)


def _task(
    out: Console, model: SpeechLM, lm: LM, task: Task, example: Example, seconds: float, recording: str | None
) -> None:
    out.print(f"\n[bold]Task {task.name!r} of {lm.name!r}[/], predicts {', '.join(task.predict)}")
    rng = np.random.default_rng(0)
    try:
        prepared = task.prepare(example, model.specs, rng)
        specs = task.specs(model.specs)
        drawn = picture(task.layout, prepared, specs, width=out.width - 2)
        steps = task.place([prepared], specs).steps / seconds
    except BadInput as unfit:
        out.print(f"  no picture: {unfit}")
        return
    what = f"the beginning of {recording}" if recording else "a second, were every sound two frames long"
    out.print(f"  [dim]{what}[/]")
    for line in drawn.splitlines():
        out.print("  " + line, markup=False, no_wrap=True)
    out.print(f"  {steps:.0f} steps a second; context {lm.context or 'unbounded'} steps"
              f"{f' or about {lm.context / steps:.0f} s' if lm.context else ''}")  # fmt: skip


def _delays(out: Console, model: SpeechLM, parts: dict[str, Part]) -> None:
    """From the moment something is said to the first moment its answer could sound, computing not counted."""
    rows: list[tuple[str, str, float | None]] = []
    read_by_tasks = {name for _, task in _tasks(model.recipe) for name in task.layout.streams}
    read_by_tasks |= {name for _, task in _tasks(model.recipe) for step in task.operations for name in step.needs}
    for tokenizer in model.recipe.tokenizers:
        specs = tokenizer.specs()
        rate = next((spec.rate for spec in specs.values() if spec.rate), None)
        if rate is None or "wave" not in tokenizer.needs or (read_by_tasks and not read_by_tasks & set(specs)):
            continue
        name, frame = next(iter(specs)), 1 / float(rate)
        if hasattr(parts[name].module or tokenizer, "live"):
            rows.append((name, f"a frame of {1000 * frame:g} ms and what it looks ahead", frame + parts[name].delay))
        else:
            rows.append((name, "the whole recording: it is not live", None))
    heard = max((seconds for _, _, seconds in rows if seconds), default=0.0)
    placed = 0.0
    for _, task in _tasks(model.recipe):
        lags = [seconds for seconds in delay(task.layout, task.specs(model.specs)).values() if seconds]
        placed = max(placed, *lags, 0.0)
        rows.append((task.name, "the layout", max(lags, default=0.0)))
    spoken = parts["vocoder"].delay if "vocoder" in parts else 0.0
    if "vocoder" in parts:
        rows.append(("vocoder", "what it looks ahead", spoken))
    if not rows:
        return
    shown = table("Delay", "part", "waits for", ">ms")
    why = "the slowest live tokenizer, the layout, the vocoder; computing comes on top"
    for part, reason, seconds in (*rows, ("together", why, heard + placed + spoken)):
        shown.add_row(part, reason, "" if seconds is None else f"{1000 * seconds:.0f}")
    out.print(shown)


def _sizes(out: Console, recipe: Recipe, parts: dict[str, Part]) -> None:
    rows = table("Parts", "part", "is", ">numbers", ">MB")
    width = 2 if recipe.weights == "float16" else 4
    total = 0
    for name, part in parts.items():
        if part.trouble:
            rows.add_row(name, type(part.config).__name__, f"not known here: {part.trouble}", "")
            continue
        if part.module is None:
            rows.add_row(name, type(part.config).__name__, "none", "")
            continue
        total += part.numbers
        rows.add_row(name, type(part.config).__name__, f"{part.numbers:,}", f"{part.numbers * width / 1e6:.1f}")
    rows.add_row("together", f"stored as {recipe.weights}", f"{total:,}", f"{total * width / 1e6:.1f}", style="bold")
    out.print(rows)


def _training(out: Console, recipe: Recipe) -> None:
    if not recipe.training:
        return
    rows = table("Training", "part", "objective", ">updates", "data")
    for stage in recipe.training:
        data = ", ".join(f"{share:.0%} {name}" for name, share in stage.data.corpora.items()) or "everything"
        rows.add_row(stage.part, type(stage.objective).__name__, f"{stage.budget.steps:,}", data)
    out.print(rows)
