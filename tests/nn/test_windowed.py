"""A windowed Transformer gives the same in any pieces as in one, laid out for few steps or not."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from oration.core import BadInput
from oration.nn import windowed
from oration.nn.few import few
from oration.nn.linear import PackedLinear, matrix
from oration.nn.pieces import Chain, choose, join
from oration.nn.transformer import Layer, TransformerStack
from oration.nn.windowed import Windowed

LAYER = Layer(norm="layer", norm_eps=1e-5, mlp="gelu", scale=0.3, final=False)


def net(layer=LAYER, width=12, window=9, positions="rotary_interleaved", **more):
    torch.manual_seed(0)
    stack = TransformerStack(dim=16, layers=2, heads=2, ffn=24, window=window, layer=layer, positions=positions, **more)
    with torch.no_grad():
        for weight in stack.parameters():
            weight.normal_(std=0.4)
    return Windowed(stack, width=width, dim=10).eval()


def in_pieces(layer, x, cuts):
    state, parts, at = layer.start(len(x), x), [], 0
    for cut in [*sorted(cuts), x.shape[1]]:
        y, state = layer.push(x[:, at:cut], state)
        parts.append(y)
        at = cut
    return join([*parts, layer.flush(state)])


@settings(max_examples=25, deadline=None)
@given(
    window=st.integers(1, 30),
    length=st.integers(1, 200),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    laid=st.booleans(),
    gated=st.booleans(),
)
@torch.no_grad()
def test_any_cutting_gives_what_one_piece_gives(window, length, cuts, laid, gated):
    layer = net(Layer() if gated else LAYER, window=window)
    x = torch.randn(3, length, 12)
    wanted = layer(x)
    if laid:
        layer = Chain(copy.deepcopy(layer))
        few(layer, "fp32")
    torch.testing.assert_close(in_pieces(layer, x, [min(c, length) for c in cuts]), wanted, rtol=0, atol=3e-5)


@torch.no_grad()
def test_streams_begin_anew_and_sit_out_while_the_others_go_on():
    layer, steps = net(), 60
    x = torch.randn(3, steps, 2, 12)
    state, heard = layer.start(3, x), [[], [], []]
    draw = torch.Generator().manual_seed(1)
    for step in range(steps):
        active = torch.rand(3, generator=draw) < 0.6
        if step == 30:
            slots = torch.tensor([False, True, False])
            state = layer.reset(state, slots, x)
            heard[1] = []
        y, after = layer.push(x[:, step], state)
        state = choose(active, after, state)
        for i in range(3):
            if active[i]:
                heard[i].append((x[i, step], y[i]))
    for pairs in heard:
        given_, got = (torch.cat(side)[None] for side in zip(*pairs, strict=True))
        torch.testing.assert_close(got, layer(given_), rtol=0, atol=1e-5)


@torch.no_grad()
def test_an_hour_needs_no_more_than_a_minute():
    layer = net()
    state = layer.start(1, torch.zeros(1, 1, 12))
    sizes = sum(ring.numel() for ring in state[0])
    for length in (1, 500, 3):
        _, state = layer.push(torch.randn(1, length, 12), state)
    assert sum(ring.numel() for ring in state[0]) == sizes == 2 * 4 * (9 + windowed.ROOM) * 8
    assert state[1].tolist() == [504]


def test_it_trains_and_is_given_what_it_needs():
    layer = net()
    layer(torch.randn(2, 30, 12)).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in layer.parameters())
    for wrong in ({"window": None}, {"causal": False}, {"positions": "sine"}):
        with pytest.raises(ValueError, match="causal"):
            net(**wrong)


@torch.no_grad()
@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_fewer_bits_change_little(weights):
    layer, x = net(), torch.randn(2, 30, 12)
    laid = Chain(copy.deepcopy(layer))
    few(laid, weights)
    found, wanted = in_pieces(laid, x, range(0, 30, 2)), layer(x)
    assert 0 < (found - wanted).norm() < 0.1 * wanted.norm()


def test_another_precision():
    with pytest.raises(BadInput, match="int3"):
        few(Chain(net()), "int3")


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 9])
def test_packed_products_with_sums_and_gelu(rows):
    layer = nn.Linear(8, 24)
    packed = PackedLinear(matrix(layer.weight, layer.bias), torch.float32, alone=False)
    x, other = torch.randn(rows, 8), torch.randn(rows, 24)
    torch.testing.assert_close(packed(x[None]), layer(x)[None])
    torch.testing.assert_close(packed.plus(x, other), other + layer(x))
    torch.testing.assert_close(packed.gelu(x), nn.functional.gelu(layer(x)))
