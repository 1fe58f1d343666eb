"""Recipes as data: frozen dataclasses to JSON and back, and one typed setter. A checkpoint can never run code.

Reading a record imports modules of this package (or of packages the user names) and calls frozen dataclass constructors
found there, nothing else.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import types
import typing
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from oration.core.errors import BadInput

MOVED: dict[str, str] = {}
"""Old class path -> new class path ("package.module:Class"), so that old checkpoints keep loading."""


def to_record(value: Any) -> Any:
    """Frozen dataclasses, tuples, mappings, plain values -> JSON data; a class becomes `"class": "module:Name"`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_record(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {"class": f"{type(value).__module__}:{type(value).__qualname__}", **fields}
    if isinstance(value, (tuple, list)):
        return [to_record(item) for item in value]
    if isinstance(value, Mapping):
        return {"mapping": {str(key): to_record(item) for key, item in value.items()}}
    if isinstance(value, Fraction):
        return {"fraction": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise BadInput(f"{value!r} cannot stand in a recipe; use literals, tuples and frozen dataclasses")


def from_record(record: Any, packages: tuple[str, ...] = ("oration",)) -> Any:
    """The inverse of `to_record`.

    Args:
        packages: the only packages a class may come from. Add your own only for records you trust.

    Raises:
        BadInput: a class from elsewhere, something that is no frozen dataclass, or fields that it does not have.
    """
    if isinstance(record, list):
        return tuple(from_record(item, packages) for item in record)
    if not isinstance(record, dict):
        return record
    if set(record) == {"mapping"}:
        return {key: from_record(item, packages) for key, item in record["mapping"].items()}
    if set(record) == {"fraction"}:
        return Fraction(record["fraction"])
    if "class" not in record:
        raise BadInput(f"a recipe's record has no class: {str(record)[:80]}; was the file edited by hand?")
    cls = _class(MOVED.get(record["class"], record["class"]), packages)
    fields = {name: from_record(item, packages) for name, item in record.items() if name != "class"}
    try:
        return cls(**fields)
    except TypeError as wrong:
        raise BadInput(
            f"{cls.__name__} does not fit its record ({wrong}); it was saved by another version of oration, "
            "so load it with that version or retrain"
        ) from wrong


def _class(path: Any, packages: tuple[str, ...]) -> type:
    module, _, name = str(path).partition(":")
    if module.split(".")[0] not in packages or not name.isidentifier() or name.startswith("_"):
        raise BadInput(
            f"a record names the class {path!r}, expected one inside {' or '.join(packages)}; "
            "a checkpoint may not load code from elsewhere, so get it from a source you trust"
        )
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise BadInput(
            f"a record names the class {path!r}, which this version of oration does not have; upgrade it"
        ) from None
    frozen = isinstance(cls, type) and dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    if not frozen or cls.__module__ != module:
        raise BadInput(f"a record names {path!r}, expected a frozen dataclass; nothing else may be built from a file")
    return typing.cast(type, cls)


def dumps(value: Any) -> str:
    """The record as JSON text."""
    return json.dumps(to_record(value), indent=1)


def assign(value: Any, path: str, text: str) -> Any:
    """A copy of `value` with the field at `path` set from `text`, typed by the dataclass.

    >>> from oration.core.spec import Spec
    >>> assign(Spec(10, 50), "size", "12")
    Spec(size=12, rate=Fraction(50, 1), dim=0)

    Raises:
        BadInput: no such field, or text of another type.
    """
    head, _, rest = path.partition(".")
    if isinstance(value, tuple):
        if not head.isdigit() or int(head) >= len(value):
            raise BadInput(f"--set: {head!r} is no place in a tuple of {len(value)}; expected 0 to {len(value) - 1}")
        at = int(head)
        if not rest:
            return (*value[:at], _parse(text, type(value[at]), head), *value[at + 1 :])
        return (*value[:at], assign(value[at], rest, text), *value[at + 1 :])
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise BadInput(f"--set: {head!r} lies inside the plain value {value!r}, which has no fields")
    names = [f.name for f in dataclasses.fields(value) if f.init]
    if head not in names:
        raise BadInput(f"--set: {type(value).__name__} has no field {head!r}; it has {', '.join(names)}")
    if rest:
        new = assign(getattr(value, head), rest, text)
    else:
        new = _parse(text, typing.get_type_hints(type(value))[head], head)
    return dataclasses.replace(value, **{head: new})


def _parse(text: str, hint: Any, name: str) -> Any:
    """`text` as a value of the type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for choice in sorted(arguments, key=lambda a: (a is str, a is float)):
            try:
                return _parse(text, choice, name)
            except BadInput:
                continue
    elif origin is typing.Literal:
        for choice in arguments:
            if str(choice) == text:
                return choice
    elif origin is tuple:
        parts = [part for part in text.strip("()").split(",") if part.strip()]
        kinds = [arguments[0]] * len(parts) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) == len(parts):
            return tuple(_parse(part.strip(), kind, name) for part, kind in zip(parts, kinds, strict=True))
    elif hint is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    elif hint is type(None):
        if text.lower() == "none":
            return None
    elif hint in (int, float, str, Fraction):
        try:
            return hint(text)
        except ValueError:
            pass
    raise BadInput(
        f"--set {name}={text}: expected {getattr(hint, '__name__', None) or hint}; give a value of that type"
    )
