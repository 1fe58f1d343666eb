"""Writes docs/systems.md from what tests saw: pytest --systems FILE.json, then python docs/systems.py FILE.json."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from oration.core import BadInput
from oration.layouts import Chunk, Layout, Line, Ratio, Say, Stack, Time, Weave
from oration.layouts.block import streams_of
from oration.lms import LM
from oration.model import SpeechLM
from oration.recipe import Recipe, find, names
from oration.tasks import Task
from oration.works import Works, built

PAGE = Path(__file__).parent / "systems.md"
NOT = "not computed"
HEAD = """# The systems

Every recipe that comes with the package, as `make systems` saw it: how it is put together, and what works. This
page is generated; a cell reads "not computed" where nothing was run. `oration show NAME` says more of each,
`oration check NAME` tries it again.
"""
SIGNS = """\
`L` Line, `W` Weave, `S` Stack, `Say` fixed symbols ([which layout for what](layouts.md)); `!` is predicted.
Parameters are those of the language models, published ones in brackets. Steps and tokens are those of a second of
speech under the first language model, with `~` where the streams have no rate: then two frames a sound and four
symbols of text a second are assumed. The delay is the layout's alone.
"""
SEEN = """\
At the smallest size, on a few seconds of speech: whether the parts fit together, not how well they do. *Learned*:
nats a predicted symbol on held-out speech, and in brackets what a unigram model pays; of a codec by itself, how far
the log-mel spectra of its copies are from the speech, in nats, and in brackets how far the median spectrum is.
*Loads*: saved and loaded again, it gives the same reply. *Parity*: the same random weights give what another
implementation gives, of a codec in one of its family's configurations. [Codecs](codecs.md) have a page of their own.
"""


def signs(layout: Layout, predict: Sequence[str]) -> str:
    """A layout in a few signs.

    >>> signs(Layout((Line("phonemes"), Stack(("codec.0", "codec.1", "codec.2"), delays=(0, 1, 2)))), ("codec.0",))
    'L phonemes, S codec.0! codec.1-2, delays 0-2'
    """
    return ", ".join(_block(block, predict) for block in layout.blocks)


def _block(block: Any, predict: Sequence[str]) -> str:
    if isinstance(block, Say):
        return "Say"
    if isinstance(block, Line):
        return f"L {_streams([block.stream], predict)}"
    streams = _streams(streams_of(block), predict)
    if isinstance(block, Weave):
        by = block.by
        how = {
            Time: lambda: "by time",
            Chunk: lambda: f"by {1000 * float(cast(Chunk, by).seconds):g} ms",
            Ratio: lambda: "by " + ":".join(map(str, cast(Ratio, by).counts)),
        }.get(type(by), lambda: f"by {type(by).__name__}")()
        return f"W {streams} {how}"
    delays = getattr(block, "delays", None) or ()
    if not isinstance(block, Stack) or not any(delays):
        return f"S {streams}"
    return f"S {streams}, delays {min(delays)}-{max(delays)}"


def _streams(streams: Iterable[str], predict: Sequence[str]) -> str:
    """Names, levels of a codec as one."""
    found: list[tuple[str, list[int], bool]] = []
    for name in streams:
        stem, _, last = name.rpartition(".")
        level = [int(last)] if last.isdigit() else []
        same = found and level and found[-1][0] == stem and found[-1][1] and found[-1][2] == (name in predict)
        if same and found[-1][1][-1] + 1 == level[0]:
            found[-1][1].append(level[0])
        else:
            found.append((stem if level else name, level, name in predict))
    shown = []
    for name, levels, asked in found:
        numbers = f".{levels[0]}" if len(levels) == 1 else f".{levels[0]}-{levels[-1]}" if levels else ""
        shown.append(name + numbers + "!" * asked)
    return " ".join(shown)


def paper(name: str) -> str:
    """A link to the paper that the recipe names first."""
    text = importlib.import_module(f"oration.recipes.{name}").__doc__ or ""
    found = re.search(r"arXiv:(\d{4}\.\d{4,5})", text.strip().splitlines()[0]) or re.search(
        r"arXiv:(\d{4}\.\d{4,5})", text
    )
    if found:
        return f"[{found[1]}](https://arxiv.org/abs/{found[1]})"
    link = re.search(r"https://([\w./-]*\w)", text)
    return f"[{link[1]}]({link[0]})" if link else "this repository"


def model_of(lm: LM) -> str:
    """Body, head, start, generator."""
    body: Any = lm.body
    kind = type(body).__name__
    if isinstance(folder := getattr(body, "folder", None), str):
        kind += f" {folder}"
    generator = f", {type(lm.generator).__name__}" if lm.generator is not None else ""
    return f"{kind}, {type(lm.head).__name__}, {type(lm.start).__name__}{generator}"


def made_of(recipe: Recipe) -> list[str]:
    """The cells that follow from the recipe alone."""
    try:
        works = built(recipe)
    except BadInput as trouble:
        works = Works(recipe.name, trouble=str(trouble))
    tasks = [cast(Task, lm.tasks[0]) for lm in recipe.lms]
    counts = [
        f"{count / 1e6:,.0f} M" + (f" ({works.published[lm] / 1e6:,.0f} M)" if lm in works.published else "")
        for lm, count in works.parameters.items()
    ]
    steps, tokens = pace(recipe, works)
    return [
        f"`{recipe.name}`",
        paper(recipe.name),
        "; then ".join(signs(task.layout, task.predict) for task in tasks) or "–",
        "; then ".join(model_of(lm) for lm in recipe.lms) or "–",
        "; ".join(counts) or (NOT if tasks else "–"),
        steps,
        tokens,
        (NOT if works.delay is None else f"{1000 * works.delay:.0f} ms") if tasks else "–",
        "; ".join(f"{part}: {what}" for part, what in recipe.instead.items()) or "–",
    ]


def pace(recipe: Recipe, works: Works) -> tuple[str, str]:
    """Steps and tokens a second; `~` where streams without a rate make them a guess."""
    if not recipe.lms:
        return "–", "–"
    if works.steps is None or works.tokens is None:
        return NOT, NOT
    task = cast(Task, recipe.lms[0].tasks[0])
    specs = task.specs(SpeechLM(recipe, device="meta").specs)
    about = "" if all(specs[name].rate is not None for name in task.layout.streams) else "~"
    return f"{about}{works.steps:.3g}", f"{about}{works.tokens:.3g}"


def was_seen(recipe: Recipe, seen: Mapping[str, Any]) -> list[str]:
    """The cells that tests saw."""
    works, parity = seen.get("works", {}).get(recipe.name), compared(recipe, seen)
    cells = [f"`{recipe.name}`"]
    if works is None:
        cells += [NOT] * 4
    else:
        learned = [f"{one['nats']:.2f} ({one['unigram']:.2f})" for one in works["learned"]]
        learned += [f"{one['nats']:.2f} ({one['flat']:.2f})" for one in works.get("copied", ())]
        cells += [
            "yes" if works["holds"] else f"no: {works['trouble'] or 'see its figures'}",
            "; ".join(learned) or NOT,
            works["replied"] or "no",
            "yes" if works["loads"] else "no",
        ]
    return [*cells, agreement(parity) if parity else NOT]


def compared(recipe: Recipe, seen: Mapping[str, Any]) -> Mapping[str, Mapping[str, int]] | None:
    """What was compared of a recipe or, of a codec, of its family: `dac` stands for `dac_24k`."""
    parity: Mapping[str, Any] = seen.get("parity", {})
    family = next((known for known in parity if of_family(recipe, known)), None)
    return parity.get(recipe.name) or (None if family is None else parity[family])


def of_family(recipe: Recipe, name: str) -> bool:
    """Whether a codec by itself is of a family."""
    return not recipe.lms and recipe.name.startswith(f"{name}_")


def agreement(parity: Mapping[str, Mapping[str, int]]) -> str:
    """References, and whether all tests against them passed."""
    said = []
    for reference, outcomes in parity.items():
        passed, total = outcomes.get("passed", 0), sum(outcomes.values())
        count = str(total) if passed == total else f"{passed} of {total}"
        said.append(f"{reference}: {count} test{'s' * (total != 1)}" + " passed" * (passed < total))
    return "; ".join(said)


def page(recipes: Sequence[Recipe], seen: Mapping[str, Any]) -> str:
    """The whole page."""
    made = [made_of(recipe) for recipe in recipes]
    heads = (
        "system",
        "paper",
        "layout",
        "body, head, start",
        "parameters",
        "steps/s",
        "tokens/s",
        "delay",
        "stands in for",
    )
    parts = [HEAD, "## What they are made of\n", SIGNS, table(heads, made)]
    tried = ("system", "works", "learned", "replies with", "loads", "parity")
    parts += ["## What was seen\n", SEEN, table(tried, [was_seen(recipe, seen) for recipe in recipes])]
    known = {recipe.name for recipe in recipes}
    others = {
        name: found
        for name, found in seen.get("parity", {}).items()
        if name not in known and not any(of_family(recipe, name) for recipe in recipes)
    }
    if others:
        rows = [[f"`{name}`", agreement(found)] for name, found in sorted(others.items())]
        parts += ["Parts that have been compared and are no recipe by themselves:\n", table(("part", "parity"), rows)]
    return "\n".join(parts)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read what was seen, write the page."""
    seen = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")) if len(sys.argv) > 1 else {}
    PAGE.write_text(page([find(name) for name in names()], seen), encoding="utf-8")


if __name__ == "__main__":
    main()
