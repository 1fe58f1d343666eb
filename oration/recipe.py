"""A recipe: everything that makes one SpeechLM, as one value. A variant is `dataclasses.replace` of another."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from oration.core import BadInput, assign
from oration.lms import LM
from oration.train.stage import Train


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """M_out = SpeechLM(M_in): tokenizers, language models, token-to-speech synthesis, and how each is trained."""

    name: str
    tokenizers: tuple[Any, ...]
    """What gives streams from a recording or its labels."""
    lms: tuple[LM, ...] = ()
    """In the order in which one reads what another gave."""
    prosody: Any | None = None
    """Fills in what the LMs do not say: durations, F0."""
    vocoder: Any | None = None
    voice: str | None = None
    """The voice a reply speaks with, where the vocoder knows several."""
    coder: str | None = None
    """The language model whose expectations entropy-code its streams in .orat files."""
    pitch: Mapping[str, float] = field(default_factory=dict)
    """Median F0 of a voice in Hz: what the pitch of other speakers is moved to when that voice speaks for them."""
    training: tuple[Train, ...] = ()
    weights: Literal["float32", "float16", "int8"] = "float32"
    """How finished parts are stored; training itself always keeps float32."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Language model -> how many parameters its paper gives it. `oration show` compares."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Part -> what the published system has in its place, and this recipe has not."""

    def parts(self) -> dict[str, Any]:
        """Name -> configuration: a tokenizer goes by its first stream (`codec` for `codec.0`), an LM by its own name.

        Raises:
            BadInput: two parts of one name.
        """
        named: dict[str, Any] = {named_after(next(iter(t.specs()))): t for t in self.tokenizers}
        named |= {lm.name: lm for lm in self.lms}
        named |= {"prosody": self.prosody} if self.prosody else {}
        named |= {"vocoder": self.vocoder} if self.vocoder else {}
        expected = len(self.tokenizers) + len(self.lms) + bool(self.prosody) + bool(self.vocoder)
        if len(named) != expected:
            raise BadInput(
                f"recipe {self.name!r} has two parts of one name; its parts are {list(named)}, so rename one"
            )
        return named

    def tiny(self) -> Recipe:
        """The same composition, every part at its smallest and every stage three updates long: for tests."""
        return replace(
            self,
            name=f"{self.name}-tiny",
            tokenizers=tuple(map(_tiny, self.tokenizers)),
            lms=tuple(lm.tiny() for lm in self.lms),
            prosody=_tiny(self.prosody),
            vocoder=_tiny(self.vocoder),
            training=tuple(stage.tiny() for stage in self.training),
        )

    def with_set(self, settings: list[str]) -> Recipe:
        """A copy with `path=value` settings, each typed by the dataclass it lands in (`lms.0.body.layers=4`)."""
        recipe = self
        for setting in settings:
            path, equals, text = setting.partition("=")
            if not equals:
                raise BadInput(f"--set {setting!r} has no value; expected path=value, such as lms.0.body.layers=4")
            recipe = assign(recipe, path.strip(), text.strip())
        return recipe


def named_after(stream: str) -> str:
    """The name of the part that gives a stream first."""
    return stream.partition(".")[0]


def _tiny(part: Any) -> Any:
    """The smallest of the part's kind that reads and gives the same streams, with the parts inside it at theirs."""
    if not hasattr(part, "tiny"):
        return part
    if not isinstance(inspect.getattr_static(part, "tiny"), classmethod):
        return part.tiny()
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    kept = {name: values[name] for name in ("needs", "stream", "names") if name in values}
    inner = {name: _tiny(value) for name, value in values.items() if hasattr(value, "tiny")}
    return replace(type(part).tiny(), **kept, **inner)


def names() -> list[str]:
    """The recipes that come with the toolkit."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "recipes")]))


def find(name: str) -> Recipe:
    """A recipe by its name, or from a Python file of the user's that assigns `recipe`.

    Raises:
        BadInput: neither exists.
    """
    if name.endswith(".py"):
        path = Path(name)
        spec = importlib.util.spec_from_file_location(f"oration_user_{path.stem}", path) if path.is_file() else None
        if spec is None or spec.loader is None:
            raise BadInput(f"there is no recipe file {name!r}; check the path, or name one of: {', '.join(names())}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module
        spec.loader.exec_module(module)
    elif name.replace("-", "_") in names():
        module = importlib.import_module(f"oration.recipes.{name.replace('-', '_')}")
    else:
        raise BadInput(f"there is no recipe {name!r}; expected one of {', '.join(names())}, or a path to a .py file")
    recipe = getattr(module, "recipe", None)
    if not isinstance(recipe, Recipe):
        raise BadInput(f"{name} assigns no recipe; a recipe module ends with: recipe = Recipe(name=..., ...)")
    return recipe
