"""Saving and resuming a run: safetensors and JSON only, written aside and moved into place, never half-written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from oration.core import BadInput, OrationError
from oration.core.files import aside


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None, about: Mapping[str, str] | None = None
) -> None:
    """Tensors -> one safetensors file. `dtype` converts the floating-point ones (float16 halves a shipped model).

    Args:
        about: strings that travel in the file's header.
    """
    own = {
        name: (t.to(dtype) if dtype and t.is_floating_point() else t).detach().cpu().clone().contiguous()
        for name, t in tensors.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with aside(path) as temporary:
            save_file(own, temporary, metadata=dict(about) if about else None)
    except SafetensorError as failed:
        raise OrationError(
            f"could not write {path} ({failed}); what was saved before is untouched, "
            "so free some space or check the permission and run the same command again to resume"
        ) from failed


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        BadInput: the file is missing, truncated or not safetensors.
    """
    if not path.is_file():
        raise BadInput(f"there is no weight file {path}; train that part, or check the folder's name")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as damaged:
        raise BadInput(
            f"{path} ({path.stat().st_size} bytes) cannot be read as safetensors ({damaged}); "
            "the file is truncated or damaged, so copy it again or resume from an older checkpoint"
        ) from damaged


def about(path: Path) -> dict[str, str]:
    """The strings in the header of a safetensors file.

    Raises:
        BadInput: the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        load_tensors(path)  # says what is wrong with it
        raise


def load_part(module: nn.Module, path: Path) -> None:
    """Weights into a module, shape by shape.

    Raises:
        BadInput: the file belongs to another recipe: names or shapes differ.
    """
    found = load_tensors(path)
    if (adopt := getattr(module, "adopt", None)) is not None:  # what it holds is as long as it is
        adopt(found)
    wanted = module.state_dict()
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or extra:
        raise BadInput(
            f"{path.name} holds {len(found)} tensors, expected the {len(wanted)} of {type(module).__name__} "
            f"(missing: {missing[:2] or 'none'}, unknown: {extra[:2] or 'none'}); it belongs to another recipe, "
            "so load it with the recipe.json that lies beside it"
        )
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise BadInput(
                f"{path.name}: {name} has shape {list(tensor.shape)}, expected {list(wanted[name].shape)}; "
                "the recipe's sizes or vocabularies are not those of its training, so load it with its own recipe.json"
            )
    module.load_state_dict({name: tensor.to(wanted[name].dtype) for name, tensor in found.items()})


class RunFolder:
    """The checkpoints of one stage: `step-00001234/` folders, of which only complete ones carry that name."""

    def __init__(self, path: Path, keep: int = 1) -> None:
        self.path, self.keep = path, keep
        for left in path.glob(".step-*.part"):  # by a process that was killed while saving
            shutil.rmtree(left, ignore_errors=True)

    def complete(self) -> list[Path]:
        return sorted(p for p in self.path.glob("step-*") if p.is_dir())

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """`write` fills a folder aside, which then takes its name in one move; older ones are removed afterwards.

        Raises:
            OrationError: the disk is full; earlier checkpoints are untouched.
        """
        final = self.path / f"step-{step:08d}"
        aside = self.path / f".{final.name}.part"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            write(aside)
            shutil.rmtree(final, ignore_errors=True)
            os.replace(aside, final)
        except OSError as failed:
            raise OrationError(
                f"could not save the checkpoint of step {step} to {self.path} ({failed}); the earlier one "
                "is untouched, so free some space or check the permission and run the same command again to resume"
            ) from failed
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        for old in self.complete()[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)


def optimizer_tensors(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, Tensor]:
    """The state of named optimizers as flat tensors, by group name and parameter number."""
    flat: dict[str, Tensor] = {}
    for name, optimizer in optimizers.items():
        for number, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                flat[f"{name}/{number}/{key}"] = torch.as_tensor(value)
    return flat


def load_optimizers(optimizers: Mapping[str, torch.optim.Optimizer], flat: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`, into optimizers over the same parameters."""
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Any]] = {}
        for key, value in flat.items():
            group, number, field = key.split("/")
            if group == name:
                state.setdefault(int(number), {})[field] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def read_json(path: Path) -> Any:
    """A JSON file's content.

    Raises:
        BadInput: missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(
            f"there is no {path.name} in {path.parent}; expected a model folder with recipe.json and weights"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as damaged:
        raise BadInput(
            f"{path} cannot be read ({damaged}); it is damaged, so copy it again from its source"
        ) from damaged
