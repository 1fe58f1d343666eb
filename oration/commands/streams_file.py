"""Streams in a file, for `oration encode` and `oration decode`: JSON, or NumPy's .npz without pickles."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oration.core import BadInput, Example, Spec, Stream
from oration.core.files import reason, replace_file

FIELDS = ("ids", "onsets", "values")
KINDS = (".json", ".npz")


def check_suffix(path: Path) -> None:
    """Refuse a name that says nothing of the format, before any work is done.

    Raises:
        BadInput: neither .json nor .npz.
    """
    if path.suffix.lower() not in KINDS:
        raise BadInput(f"{str(path)!r} ends in {path.suffix!r}, expected {', '.join(KINDS)} or .orat; rename it")


def save(path: Path, example: Example, specs: Mapping[str, Spec], recipe: str, *, overwrite: bool = False) -> Path:
    """Write an example. Onsets are in ticks (`oration.core.TICKS` a second).

    Raises:
        BadInput: an unknown suffix, a file that exists, or a place that cannot be written.
    """
    check_suffix(path)
    arrays = {
        name: {field: getattr(stream, field) for field in FIELDS if getattr(stream, field) is not None}
        for name, stream in example.items()
    }
    if path.suffix.lower() == ".npz":
        content = io.BytesIO()
        flat = {f"{name}/{field}": array for name, fields in arrays.items() for field, array in fields.items()}
        np.savez_compressed(content, recipe=np.array(recipe), **flat)  # type: ignore[arg-type]
        return replace_file(path, content.getvalue(), overwrite=overwrite)
    streams = {
        name: {
            "size": specs[name].size,
            "rate": None if specs[name].rate is None else float(specs[name].rate or 0),
            **{field: array.tolist() for field, array in fields.items()},
        }
        for name, fields in arrays.items()
    }
    text = json.dumps({"recipe": recipe, "streams": streams}) + "\n"
    return replace_file(path, text.encode(), overwrite=overwrite)


def load(path: Path) -> tuple[Example, str]:
    """The example in a file, and the name of the recipe that made it.

    Raises:
        BadInput: not a file of `oration encode`, or damaged.
    """
    check_suffix(path)
    try:
        content = path.read_bytes()
    except OSError as failure:
        raise reason(failure, path) from failure
    try:
        recipe, fields = _npz(content) if path.suffix.lower() == ".npz" else _json(content)
        streams = {
            name: Stream(
                np.asarray(found["ids"], np.int64) if len(found["ids"]) else np.zeros(0, np.int64),
                None if "onsets" not in found else np.asarray(found["onsets"], np.int64),
                None if "values" not in found else np.asarray(found["values"], np.float32),
            )
            for name, found in fields.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, OSError, zipfile.BadZipFile) as damaged:
        raise BadInput(
            f"{str(path)!r} does not hold streams ({type(damaged).__name__}: {damaged}); expected a file that "
            "`oration encode` wrote, so make it again"
        ) from damaged
    return streams, recipe


def _json(content: bytes) -> tuple[str, dict[str, dict[str, Any]]]:
    data = json.loads(content)
    return str(data["recipe"]), {str(name): dict(fields) for name, fields in data["streams"].items()}


def _npz(content: bytes) -> tuple[str, dict[str, dict[str, Any]]]:
    fields: dict[str, dict[str, Any]] = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for key in arrays.files:
            name, slash, field = key.rpartition("/")
            if slash:
                fields.setdefault(name, {})[field] = arrays[key]
        return str(arrays["recipe"]), fields
