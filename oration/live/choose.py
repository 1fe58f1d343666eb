"""Which engine drives a recipe: the one that its first task allows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from oration.core import BadInput
from oration.dialogue.policy import Policy
from oration.layouts import Chunk, Weave
from oration.live.echo import Echo
from oration.live.engine import Engine
from oration.model import SpeechLM
from oration.recipe import Recipe
from oration.reply import Link, chain

KINDS: Mapping[str, tuple[str, str]] = {
    "duplex": ("Duplex", "listens beside what it says, one step a frame"),
    "slices": ("Slices", "a slice of the user, a slice of its own, in turn"),
    "switching": ("Switching", "says itself, frame by frame, whether it listens or speaks"),
    "turns": ("Turns", "waits for the end of the user's turn, then generates"),
    "cascade": ("Cascade", "recognises words, answers in words, speaks them"),
    "echo": ("Echo", "has no model, says back what it hears"),
}
"""Kind -> its class, in the module of that name, and what it does."""


def kind_of(recipe: Recipe) -> str:
    """The engine that a recipe's first task allows.

    Raises:
        BadInput: it cannot reply in sound.
    """
    if recipe.vocoder is None:
        raise BadInput(f"recipe {recipe.name!r} has no vocoder, so it cannot converse; use one that speaks")
    links = chain(recipe.lms)
    first = links[0]
    if first.both or first.listens:
        if any(isinstance(block, Weave) and isinstance(block.by, Chunk) for block in first.task.layout.blocks):
            return "slices"
        states = "floor.frames" in first.task.predict
        return "switching" if first.listens and (states or (_words_only(first) and len(links) > 1)) else "duplex"
    if len(links) > 2 and _words_only(first) and _words_only(links[1]):
        return "cascade"
    return "turns"


def _words_only(link: Link) -> bool:
    """Whether a model says words, and leaves the sound to the next one."""
    return all(name.removeprefix("user.").partition(".")[0] in ("text", "phonemes") for name in link.task.predict)


def open_engine(model: SpeechLM, *, slots: int = 8, policy: Policy | None = None, kind: str | None = None) -> Engine:
    """The engine that drives a model.

    Args:
        slots: sessions at once.
        policy: of turn-taking, for sessions that bring none.
        kind: one of `KINDS`; None: what the recipe's first task allows.

    Raises:
        BadInput: an unknown kind, or one that this recipe does not allow.
    """
    kind = kind or kind_of(model.recipe)
    if kind not in KINDS:
        raise BadInput(f"there is no engine {kind!r}; expected one of {', '.join(KINDS)}")
    if kind == "echo":
        return Echo(slots=slots)
    module = importlib.import_module(f"oration.live.{kind}")
    made = cast(Callable[..., Any], getattr(module, KINDS[kind][0]))
    return cast(Engine, made(model, slots=slots, policy=policy or Policy()))
