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

SCALE = "#scale"
"""Behind the name of a tensor in 8 bits: the scale of its rows."""


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None, about: Mapping[str, str] | None = None
) -> None:
    """Tensors -> one safetensors file. `dtype` converts the floating-point ones (float16 halves a shipped model).

    Args:
        dtype: with int8, rows of 32 numbers or more get 8 bits a number and a scale a row; the rest is float16.
        about: strings that travel in the file's header.
    """
    own: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        t = tensor.detach().cpu()
        if dtype == torch.int8 and t.is_floating_point():
            own |= _rounded(name, t)
        else:
            own[name] = (t.to(dtype) if dtype and t.is_floating_point() else t).clone().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with aside(path) as temporary:
            save_file(own, temporary, metadata=dict(about) if about else None)
    except SafetensorError as failed:
        raise OrationError(
            f"could not write {path} ({failed}); what was saved before is untouched, "
            "so free some space or check the permission and run the same command again to resume"
        ) from failed


def _rounded(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """A tensor in 8 bits with the scale of each row beside it, where rows are long enough for that to be smaller."""
    if tensor.ndim < 2 or tensor[0].numel() < 32:
        return {name: tensor.half().contiguous()}
    rows = tensor.float()
    scale = rows.abs().amax(tuple(range(1, tensor.ndim)), keepdim=True).clamp_min(1e-12) / 127
    return {name: (rows / scale).round().to(torch.int8).contiguous(), name + SCALE: scale}


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, those in 8 bits multiplied out.

    Raises:
        BadInput: the file is missing, truncated or not safetensors.
    """
    if not path.is_file():
        raise BadInput(f"there is no weight file {path}; train that part, or check the folder's name")
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as damaged:
        raise BadInput(
            f"{path} ({path.stat().st_size} bytes) cannot be read as safetensors ({damaged}); "
            "the file is truncated or damaged, so copy it again or resume from an older checkpoint"
        ) from damaged
    scales = {name.removesuffix(SCALE): found.pop(name) for name in list(found) if name.endswith(SCALE)}
    return found | {name: found[name].float() * scale for name, scale in scales.items()}


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
