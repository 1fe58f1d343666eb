"""Codebooks that say the same in fewer numbers. Layers only; knows no speech."""

from __future__ import annotations

from dataclasses import replace

import torch

from oration.core import BadInput
from oration.nn.quantize.rvq import RvqLayer


@torch.no_grad()
def narrow(layer: RvqLayer, dim: int) -> RvqLayer:
    """A trained `RvqLayer` without projection as one whose codewords have `dim` numbers, between two projections.

    The directions kept are those in which the codewords differ most, all levels together. What vectors have in others
    is lost; an encoder and a quantizer that were trained together leave next to nothing there.

    Raises:
        BadInput: it has projections already, or is as narrow.
    """
    books = [level.codebook for level in layer.books]
    width = books[0].shape[1]
    if layer.inward is not None or not 0 < dim < width:
        raise BadInput(f"narrow takes codewords without projection to fewer numbers than their {width}, not {dim}")
    directions = torch.linalg.svd(torch.cat(books).double(), full_matrices=False).Vh[:dim].float()
    made = RvqLayer(replace(layer.numbers, dim=dim), width, projected=True).to(books[0].device)
    assert made.inward is not None
    assert made.outward is not None
    made.inward.weight.copy_(directions[:, :, None])
    made.outward.weight.copy_(directions.T[:, :, None])
    for ours, theirs in zip(made.books, layer.books, strict=True):
        ours.codebook.copy_(theirs.codebook @ directions.T)
        ours.mass.copy_(theirs.mass)
    return made.train(layer.training)
