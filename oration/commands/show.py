"""`oration show`: what a recipe is made of. Parts are built without weights, so that a large one costs nothing."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import numpy as np
from rich.console import Console

from oration.audio.vad import HOP, RATE
from oration.commands.console import console, table
from oration.commands.gridprint import beginning
from oration.commands.heard import Heard
from oration.commands.inspector import inspect, streams, tasks
from oration.commands.sheet import sheet
from oration.core import BadInput, Example, Waveform
from oration.core.decoder import Decoder
from oration.data.manifest import Clip
from oration.dialogue.policy import Endpoint
from oration.layouts import delay, rate
from oration.live.choose import KINDS, kind_of
from oration.lms import LM
from oration.model import SpeechLM
from oration.recipe import Recipe, find, named_after
from oration.sizes import Part, invented, parts_of
from oration.tasks import Task


def run(
    name: str,
    recording: Path | None,
    text: str | None,
    task: str | None,
    out: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Print everything that follows from a recipe or a model folder; or the grids that a recording becomes.

    Raises:
        BadInput: no such recipe, folder or task; or a recording that cannot be drawn.
    """
    folder = Path(name)
    trained = (folder / "recipe.json").is_file()
    recipe = (SpeechLM.recipe_of(folder) if trained else find(name)).with_set(list(settings))
    links = tasks(recipe, task)
    model = SpeechLM(recipe, folder if trained else None)
    shown = console()
    shown.print(f"[bold]{recipe.name}[/]  {first_line(recipe)}")
    if recording is not None:
        inspect(shown, model, links, recording, text, out)
        return
    for option, value in (("--out", out), ("--text", text)):
        if value is not None:
            raise BadInput(f"{option} goes with a recording, which show draws; name one, such as jfk.flac")
    parts = parts_of(model)
    streams(shown, model, None, 1.0)
    example = invented(model.specs)
    for lm, one in links:
        _task(shown, model, lm, one, example)
    _live(shown, model, _delays(shown, model, parts), _spoken(model, parts))
    _sizes(shown, recipe, parts)
    _instead(shown, recipe)
    _training(shown, recipe)


def first_line(recipe: Recipe) -> str:
    """What the recipe's own module says of it; nothing for a recipe from elsewhere."""
    try:
        text = importlib.import_module(f"oration.recipes.{recipe.name}").__doc__ or ""
    except ImportError:
        return ""
    return text.strip().splitlines()[0]


def _task(out: Console, model: SpeechLM, lm: LM, task: Task, example: Example) -> None:
    out.print(f"\n[bold]Task {task.name!r} of {lm.name!r}[/], predicts {', '.join(task.predict)}")
    try:
        found = sheet(model, lm, task, Heard(Clip("", Path(), 1.0), Waveform(np.zeros(1, np.float32), 1), example))
    except BadInput as unfit:
        out.print(f"  no picture: {unfit}")
        return
    out.print("  [dim]a second, were every sound two frames long[/]")
    beginning(out, found)
    pace = rate(task.layout, found.specs, found.example)
    paces = [
        f"{value:.4g} {what} a second" for value, what in ((pace.steps, "steps"), (pace.tokens, "tokens")) if value
    ]
    context = f"context {lm.context or 'unbounded'} steps"
    if lm.context and pace.steps:
        context += f" or about {lm.context / pace.steps:.0f} s"
    out.print("  " + "; ".join([*(paces or [f"{found.cells.steps} steps"]), context]))


def _delays(out: Console, model: SpeechLM, parts: dict[str, Part]) -> float:
    """Seconds from the moment something is said to the first at which its answer could sound, computing not counted."""
    rows: list[tuple[str, str, float | None]] = []
    read_by_tasks = {name for _, task in tasks(model.recipe) for name in task.layout.streams}
    read_by_tasks |= {name for _, task in tasks(model.recipe) for step in task.operations for name in step.needs}
    for tokenizer in model.recipe.tokenizers:
        specs = tokenizer.specs()
        rate = next((spec.rate for spec in specs.values() if spec.rate), None)
        if rate is None or "wave" not in tokenizer.needs or (read_by_tasks and not read_by_tasks & set(specs)):
            continue
        name, frame = next(iter(specs)), 1 / float(rate)
        part = parts[named_after(name)]
        if hasattr(part.module or tokenizer, "live"):
            rows.append((name, f"a frame of {1000 * frame:g} ms and what it looks ahead", frame + part.delay))
        else:
            rows.append((name, "the whole recording: it is not live", None))
    heard = max((seconds for _, _, seconds in rows if seconds), default=0.0)
    placed = 0.0
    for _, task in tasks(model.recipe):
        lags = [seconds for seconds in delay(task.layout, task.specs(model.specs)).values() if seconds]
        placed = max(placed, *lags, 0.0)
        rows.append((task.name, "the layout", max(lags, default=0.0)))
    spoken = _spoken(model, parts)
    if "vocoder" in parts:
        rows.append(("vocoder", "what it looks ahead", spoken))
    if not rows:
        return 0.0
    shown = table("Delay", "part", "waits for", ">ms")
    why = "the slowest live tokenizer, the layout, the vocoder; computing comes on top"
    for waits, reason, seconds in (*rows, ("together", why, heard + placed + spoken)):
        shown.add_row(waits, reason, "?" if seconds is None or math.isinf(seconds) else f"{1000 * seconds:.0f}")
    out.print(shown)
    return heard + placed + spoken


def _live(out: Console, model: SpeechLM, together: float, spoken: float) -> None:
    """Which engine converses with it, and how late its answer is at best."""
    try:
        kind = kind_of(model.recipe)
    except BadInput:  # it does not reply, or not in sound
        return
    seconds = together
    if kind in ("turns", "cascade"):
        seconds = Endpoint().silence + HOP / RATE + spoken
    late = "?" if math.isinf(seconds) else f"{1000 * seconds:.0f} ms"
    out.print(f"\n[bold]Live[/] by the engine {kind!r}, which {KINDS[kind][1]}: {late} after you at best")


def _spoken(model: SpeechLM, parts: dict[str, Part]) -> float:
    """Seconds that sound comes after the streams it is made of."""
    vocoder = model.recipe.vocoder
    if isinstance(vocoder, Decoder):
        return float(getattr(parts[named_after(vocoder.of)].module, "late", 0.0))
    return parts["vocoder"].delay if "vocoder" in parts else 0.0


def _sizes(out: Console, recipe: Recipe, parts: dict[str, Part]) -> None:
    says = bool(recipe.published)
    rows = table("Parts", "part", "is", ">parameters", *([">published", ">differs"] if says else []), ">MB")
    width = {"float32": 4, "float16": 2, "int8": 1}[recipe.weights]
    for name, part in parts.items():
        kind, size = type(part.config).__name__, f"{part.numbers * width / 1e6:,.1f}"
        paper = recipe.published.get(name)
        beside = [f"{paper:,.0f}", f"{part.parameters / paper - 1:+.1%}"] if paper and part.module else ["", ""]
        if part.trouble:
            out.print(f"{name} cannot be built here: {part.trouble}", markup=False)
        known = "" if part.trouble else f"{part.parameters:,}" if part.module is not None else "none"
        rows.add_row(name, kind, known, *(beside if says else []), size if part.module is not None else "")
    numbers = sum(part.numbers for part in parts.values())
    total = f"{sum(part.parameters for part in parts.values()):,}"
    empty = ["", ""] if says else []
    size = f"{numbers * width / 1e6:,.1f}"
    rows.add_row("together", f"stored as {recipe.weights}", total, *empty, size, style="bold")
    out.print(rows)
    out.print("[dim]MB: of the file, with what is not learned by gradient, such as centroids.[/]")


def _instead(out: Console, recipe: Recipe) -> None:
    if not recipe.instead:
        return
    rows = table("What stands in", "part", "the published system has there")
    for name, what in recipe.instead.items():
        rows.add_row(name, what)
    out.print(rows)


def _training(out: Console, recipe: Recipe) -> None:
    if not recipe.training:
        return
    rows = table("Training", "part", "objective", ">updates", "data")
    for stage in recipe.training:
        data = ", ".join(f"{share:.0%} {name}" for name, share in stage.data.corpora.items()) or "everything"
        rows.add_row(stage.part, type(stage.objective).__name__, f"{stage.budget.steps:,}", data)
    out.print(rows)
