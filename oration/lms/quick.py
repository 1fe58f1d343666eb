"""A language model as it is used, not trained: the same class and the same numbers, in frozen layers."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar, cast

import torch
from torch import nn

from oration.lms.depth import DepthModel
from oration.lms.heads import RowsModel
from oration.lms.text import merge
from oration.nn.flat import FlatStack
from oration.nn.graph import GraphStack
from oration.nn.linear import Weights, freeze, frozen
from oration.nn.native import NativeLinear, NativeStack, usable

M = TypeVar("M", bound=nn.Module)
Make = Callable[[nn.Linear, Weights], nn.Module]


def quick(model: M, weights: Weights) -> M:
    """A copy whose body and head have `frozen` linear layers. What else it has, embeddings above all, is shared.

    On a CPU with a C compiler they are those of `oration.nn.native`, and Transformers of the usual kinds run in C.
    """
    shared = {id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in model.parameters()}
    copy = cast(Any, deepcopy(model, cast(Any, shared)).eval())
    merge(copy.body)
    stack = getattr(copy.body, "stack", copy.body)
    make: Make = NativeLinear if usable(model) else frozen
    if model.first.is_cuda and weights != "int8" and FlatStack.fits(stack):  # type: ignore[union-attr]
        dtype = torch.bfloat16 if weights == "bf16" else torch.float32
        copy.body.stack = GraphStack(stack.to(dtype), dtype)
    else:
        freeze(copy.body, weights, make)
        if make is NativeLinear and NativeStack.fits(stack):
            copy.body.stack = NativeStack(stack)
        elif FlatStack.fits(stack):
            copy.body.stack = FlatStack(stack)
    if isinstance(copy.head, RowsModel) and copy.head.tied:
        _untie(copy.head, weights, make)
    elif not hasattr(copy, "cell_nats"):  # models of whole grids have their own ways with the head's weights
        freeze(copy.head, weights, make)
        if make is NativeLinear and isinstance(copy.head, DepthModel):
            copy.head.lay_out()
    return cast(M, copy)


def _untie(head: RowsModel, weights: Weights, make: Make) -> None:
    """Projections of its own for a head that shares the embeddings: a frozen layer is another thing than a table."""
    for name, table in head._embeddings[0].items():
        weight: Any = table.weight
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
        layer.weight = weight
        head.projections[name] = make(layer, weights)
    head.tied = False
