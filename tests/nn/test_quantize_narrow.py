"""Codewords that lie in few directions are the same with as many numbers."""

import pytest
import torch

from oration.core import BadInput
from oration.nn.quantize import Rvq, narrow


def fitted(rank, width=24):
    torch.manual_seed(0)
    x = torch.randn(4, 200, rank) @ torch.randn(rank, width) + 1e-5 * torch.randn(4, 200, width)
    layer = Rvq(levels=3, size=16, pool=2).build(width).train()
    for _ in range(5):
        layer(x)
    return layer.eval(), x


@torch.no_grad()
def test_vectors_of_few_directions_keep_their_codes():
    layer, x = fitted(rank=5)
    made = narrow(layer, 6)
    assert made.books[0].codebook.shape == (16, 6)
    for ours, theirs in zip(made.encode(x), layer.encode(x), strict=True):
        assert (ours == theirs).float().mean() > 0.99
    codes = layer.encode(x)
    torch.testing.assert_close(made.decode(codes), layer.decode(codes), atol=1e-3, rtol=1e-3)
    again = Rvq(levels=3, size=16, dim=6).build(24)  # what a recipe with this width builds
    again.load_state_dict(made.state_dict())
    assert torch.equal(again.eval().encode(x)[0], made.encode(x)[0])


def test_what_cannot_be_narrower_is_refused():
    layer, _ = fitted(rank=5)
    for dim in (0, 24):
        with pytest.raises(BadInput, match=f"fewer numbers than their 24, not {dim}"):
            narrow(layer, dim)
    with pytest.raises(BadInput, match="without projection"):
        narrow(narrow(layer, 6), 4)
