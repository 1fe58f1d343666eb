"""Where to compute."""

from __future__ import annotations

import torch

from oration.core import BadInput


def choose(device: str) -> str:
    """`auto`, `cpu` or `cuda` -> a device of torch.

    Raises:
        BadInput: CUDA is asked for, but there is none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInput(
            f"--device cuda: torch {torch.__version__} sees no GPU; use --device cpu, or ask `oration doctor`"
        )
    return device
