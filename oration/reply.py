"""From a prompt to an answer: streams, then each language model in turn. Knows no waveforms and no vocoder.

A task whose layout has streams of the other party (`user.units`) answers: what was heard is theirs, and what it
predicts begins with nothing. Any other task goes on: what was heard is the beginning of what it predicts. One that
hears the other party beside what it says (`Link.listens`) says something from the first step on, on the clock of what
it hears: its answer lasts as long as the prompt and the time after it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from oration.core import BadInput, Example, Spec, Specs, Stream, Waveform
from oration.generate import Sampler, generate
from oration.generate.voice import Reply as Said
from oration.layouts import Line, Say, Stack, Weave
from oration.lms import LM
from oration.tasks import Task

USER = "user."
"""What the names of the other party's streams begin with."""

SYMBOLS = 20.0
"""Symbols of text a second, at most: bytes of fast speech."""

RUNS = 0.7
"""Runs of merged units a frame in hurried speech; 0.5 is usual."""


@dataclass(frozen=True, eq=False)
class Reply:
    """What a model answers."""

    wave: Waveform
    """The answer; where a model goes on, the prompt as it heard it and then the continuation; where it listens while it
    speaks, its own channel from the prompt's beginning on. Empty: text only."""
    continuation: Waveform
    """What is new; of a model that listens while it speaks, what it says after the prompt."""
    text: str | None
    """What it says in text, where it says any."""
    example: Example
    """The streams the vocoder spoke, or all that were made."""
    new: Example
    """What the language models added."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds of work by stage."""


class Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._at = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._at = now - self._at, now


@dataclass(frozen=True)
class Link:
    """One language model of a recipe at work on one of its tasks."""

    lm: LM
    task: Task

    @property
    def given(self) -> tuple[str, ...]:
        """The streams it reads and does not predict."""
        return tuple(name for name in self.task.layout.streams if name not in self.task.predict)

    @property
    def answers(self) -> bool:
        """Whether the prompt is another party's."""
        needs = {name for operation in self.task.operations for name in operation.needs}
        return any(name.startswith(USER) for name in (*self.task.layout.streams, *needs)) and not self.both

    @property
    def both(self) -> bool:
        """Whether it predicts both parties (dGSLM, NTPP): the prompt is then a beginning for both."""
        pairs = any(name.startswith(USER) for name in self.task.predict if name[len(USER) :] in self.task.predict)
        return pairs and not any(name.startswith(USER) for name in self.given)

    @property
    def listens(self) -> tuple[str, ...]:
        """The other party's streams that it hears while it speaks: given and predicted ones in one block."""
        streams = [
            {name for names in block.holds().values() for name in names}
            for block in self.task.layout.blocks
            if not isinstance(block, Line | Say)
        ]
        beside = [names for names in streams if names & set(self.task.predict)]
        return tuple(name for name in self.given if name.startswith(USER) and any(name in names for names in beside))


def chain(lms: Sequence[LM], task: str | None = None) -> list[Link]:
    """The language models of a recipe, each with the task it replies by: the named one where it has it, else its first.

    Raises:
        BadInput: no language model, or none that has the named task.
    """
    if not lms:
        raise BadInput("this recipe has no language model, so it cannot reply; it can encode and decode")
    known = [t.name for lm in lms for t in lm.tasks]
    if task is not None and task not in known:
        raise BadInput(f"there is no task {task!r}; this model has {', '.join(known)}")
    links = []
    for lm in lms:
        named = [t for t in lm.tasks if t.name == task]
        links.append(Link(lm, cast(Task, (named or lm.tasks)[0])))
    if task is not None:  # a task named in one model of several is meant alone, unless the others go on from it
        start = next(i for i, link in enumerate(links) if link.task.name == task)
        links = links[start:]
    return links


def say(
    parts: Mapping[str, Any],
    links: Sequence[Link],
    heard: Example,
    specs: Specs,
    *,
    seconds: float,
    sampler: Sampler,
    seed: int,
) -> tuple[Example, list[Said]]:
    """Run the language models one after another.

    Args:
        parts: name -> built language model.
        heard: the prompt's streams.
        seconds: how long to go on, at most.

    Returns:
        What the models predicted, beginnings included, with what follows from it; and what each model said.

    Raises:
        BadInput: a stream that a model needs is neither heard nor made before it.
    """
    going = saying(parts, links, heard, specs, seconds=seconds, sampler=sampler, seed=seed)
    while True:
        try:
            next(going)
        except StopIteration as end:
            spoken, said = end.value
            return spoken, said


def saying(
    parts: Mapping[str, Any],
    links: Sequence[Link],
    heard: Example,
    specs: Specs,
    *,
    seconds: float,
    sampler: Sampler,
    seed: int,
    before: Mapping[str, Sequence[Example]] | None = None,
) -> Generator[tuple[Link, str, Any], bool | None, tuple[Example, list[Said]]]:
    """As `say`, item by item: (who says it, its stream, the item), as soon as it is final. Sent True, it stops there.

    Args:
        before: language model -> the earlier turns of the dialogue, as it said them.
    """
    state, spoken, said, answering, clocked = dict(heard), dict[str, Stream](), [], False, False
    stopped = False
    for link in links:
        answering = answering or link.answers  # what an answer is made of does not begin with the question either
        example = prepared(link, state, specs, seed, spoken)
        prompt = _prompt(link, example, state, answering)
        seconds = max(seconds, _listened(link, prompt, specs))
        # What follows from something said on the clock of what was heard lasts as long.
        limits = _limits(link, prompt, specs, seconds, answering and not clocked)
        clocked = clocked or bool(link.listens)
        model, exposes = parts[link.lm.name], link.lm.exposes
        known_specs = {**specs, **link.lm.specs(specs)}
        turns = [[*(before or {}).get(link.lm.name, ()), prompt]] if before else [prompt]
        if link.lm.generator is None:
            going = generate(
                model, link.task, turns, known_specs, seeds=[seed], sampler=sampler, expose=exposes, **limits
            )
            for _, name, item in going:
                if stopped := bool((yield link, name, item)):
                    break
            reply = going.voices[0].reply() if stopped else going.replies()[0]
        else:
            reply = link.lm.generator.complete(
                model, link.task, [prompt], known_specs, seeds=[seed], sampler=sampler, seconds=seconds, expose=exposes
            )[0]
            for name, stream in reply.new().items():
                for item in stream.ids if stream.values is None else stream.values:
                    yield link, name, item
        said.append(reply)
        spoken = undone(link.task, spoken | {name: reply.example[name] for name in link.task.predict}, specs)
        state |= example | spoken
        state |= {f"{name}.hidden": Stream.dense(vectors) for name, vectors in reply.hidden.items()}
        if stopped:
            break
    return spoken, said


def prepared(link: Link, state: Example, specs: Specs, seed: int, made: Collection[str] = ()) -> Example:
    """The streams after those operations of a task that can be done with what is there.

    What a task does for training alone (`learning`) is left out, and so is what would need the answer itself.

    Args:
        made: what earlier models said; an operation that would make it anew from the prompt is left out.
    """
    example, known = dict(state), dict(specs)
    rng = np.random.default_rng(seed)
    for operation in link.task.operations:
        after = operation.specs(known)
        if not getattr(operation, "learning", False) and not set(after) & set(made):
            theirs = {need: need[len(USER) :] for need in operation.needs if need.startswith(USER)}
            example |= {need: example[own] for need, own in theirs.items() if need not in example and own in example}
            if all(need in example for need in operation.needs):
                example = operation(example, known, rng)
        known |= after
    for name in link.task.layout.streams:
        if name.startswith(USER) and name not in example and name[len(USER) :] in example:
            example[name] = example[name[len(USER) :]]
    return example


def undone(task: Task, example: Example, specs: Specs) -> Example:
    """What the operations of a task did to what it predicts, taken back: groups to items, pieces to units."""
    befores = [dict(specs)]
    for operation in task.operations:
        befores.append({**befores[-1], **operation.specs(befores[-1])})
    for operation, before in zip(reversed(task.operations), reversed(befores[:-1]), strict=True):
        if hasattr(operation, "undo") and set(operation.specs(before)) & set(task.predict):
            example = operation.undo(example, before)
    return example


def _prompt(link: Link, example: Example, state: Example, answering: bool) -> Example:
    prompt = {name: example[name] for name in link.given if name in example}
    for name in link.given:
        if name not in prompt:
            base = name.removeprefix(USER)
            hint = "; give it with --text" if base in ("text", "phonemes") else ""
            raise BadInput(
                f"task {link.task.name!r} of {link.lm.name!r} needs the stream {name!r}, but there are only "
                f"{', '.join(sorted(state)) or 'none'}{hint}"
            )
    if not answering:
        prompt |= {name: example[name] for name in link.task.predict if name in example}
    return prompt


def _listened(link: Link, prompt: Example, specs: Specs) -> float:
    """Seconds that a model hears the other party while it speaks; 0 if it does not."""
    rates = {name: link.lm.specs(specs)[name].rate for name in link.listens}
    return max((float(len(prompt[name]) / rate) for name, rate in rates.items() if rate), default=0.0)


def _limits(link: Link, prompt: Example, specs: Specs, seconds: float, free: bool) -> dict[str, Any]:
    """How far one model goes: items of each stream, and steps for all of them. `free`: it may end before that."""
    known, last = link.lm.specs(specs), link.task.layout.blocks[-1]
    most = {name: math.ceil(round(seconds * per_second(name, known), 6)) for name in link.task.predict}
    steps = _columns(link.task, most)
    if isinstance(last, Stack) and last.end != "each":  # no symbol of its own ends it, so nothing else is sure to
        return {"steps": steps + max(last.late.values()), "most": most}
    if link.lm.context is not None:  # marks come on top; where not even the items fit, generation says so
        held = _columns(link.task, {name: len(stream) for name, stream in prompt.items()})
        steps = max(steps, min(2 * sum(most.values()) + 64, link.lm.context - held - len(prompt) - 2))
    else:
        steps = 2 * sum(most.values()) + 64
    free = free and not (link.listens and isinstance(last, Weave))  # whose chunks go on as long as the other's
    least = {} if free else {name: n for name, n in most.items() if _speaks(name, known)}
    return {"steps": steps, "most": most, "least": least}


def _columns(task: Task, items: Mapping[str, int]) -> int:
    """Columns that so many items of each stream take: blocks follow one another, the rows of each go side by side."""
    return sum(
        max((sum(items.get(name, 0) for name in names) for names in block.holds().values()), default=0)
        for block in task.layout.blocks
    )


def _speaks(name: str, specs: Mapping[str, Spec]) -> bool:
    """Whether a stream lasts as long as the sound: it has a rate, or is the runs of one that has, or beside these."""
    return specs[name].rate is not None or name.endswith((".runs", ".timed", ".durations", ".f0"))


def per_second(name: str, specs: Mapping[str, Spec]) -> float:
    """Items of a stream that fill a second, at most."""
    rate, base = specs[name].rate, specs.get(name.rpartition(".")[0])
    if rate is not None:
        return float(rate)
    share = 1.0 if name.endswith(".timed") else RUNS
    return share * float(base.rate) if base is not None and base.rate else SYMBOLS


def exposed(links: Sequence[Link]) -> dict[str, str]:
    """Stream of hidden vectors -> the language model that gives it."""
    return {f"{name}.hidden": link.lm.name for link in links for name in link.lm.exposes}


def reads(links: Sequence[Link], readers: Collection[str]) -> bool:
    """Whether the models need a text that is not theirs to make.

    Args:
        readers: the streams that text tokenizers give.
    """
    made: set[str] = set()
    for link in links:
        if any(name.removeprefix(USER) in readers and name not in made for name in link.given):
            return True
        made |= {*link.task.predict, *(f"{name}.hidden" for name in link.lm.exposes)}
    return False
