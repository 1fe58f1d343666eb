import pytest
import torch
from torch import nn

from oration.core import BadInput
from oration.nn.linear import freeze, frozen


def relative(got, want):
    return float((got - want).norm() / want.norm())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inward", "outward"), [(64, 200), (48, 16), (7, 5), (512, 64)])
@torch.no_grad()
def test_frozen_layers_give_what_the_layer_gives(inward, outward, bias):
    torch.manual_seed(0)
    layer, x = nn.Linear(inward, outward, bias=bias), torch.randn(3, 5, inward)
    x[1] *= 100
    want = layer(x)
    torch.testing.assert_close(frozen(layer, "fp32")(x), want, atol=1e-4, rtol=1e-5)
    for weights, bound in (("bf16", 0.01), ("int8", 0.02)):
        got = frozen(layer, weights)(x)
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        assert max(relative(got[i], want[i]) for i in range(3)) < bound  # a row's size does not spoil its neighbours


@torch.no_grad()
def test_eight_bits_of_a_row_do_not_depend_on_its_neighbours():
    torch.manual_seed(1)
    layer, x = frozen(nn.Linear(40, 24), "int8"), torch.randn(6, 40) * torch.tensor([1, 100, 0.01, 3, 0, 1.0])[:, None]
    alone = torch.cat([layer(row[None]) for row in x])
    assert torch.equal(layer(x), alone)
    assert torch.equal(layer(x[None])[0], alone)
    assert bool(torch.isfinite(alone).all())


@torch.no_grad()
def test_both_kernels_for_eight_bits_round_alike():
    torch.manual_seed(2)
    layer, x = frozen(nn.Linear(96, 48), "int8"), torch.randn(200, 96)
    few = torch.cat([layer(rows) for rows in x.split(50)])
    torch.testing.assert_close(layer(x), few, atol=2e-5, rtol=1e-5)


def test_a_module_is_frozen_in_place_and_nothing_is_left_to_train():
    module = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 4)), nn.LayerNorm(4))
    x = torch.randn(2, 8)
    want = module(x)
    freeze(module, "fp32")
    torch.testing.assert_close(module(x), want)
    assert [type(m) for m in module.modules() if type(m) is nn.Linear] == []
    assert {name for name, _ in module.named_parameters()} == {"2.weight", "2.bias"}


def test_another_precision_is_refused():
    with pytest.raises(BadInput, match="weights='int4' is no precision of frozen weights; take 'fp32', 'bf16' or 'in"):
        frozen(nn.Linear(2, 2), "int4")
