"""A layer over time gives the same in any pieces as in one, and what it gives is what torch gives."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from oration.core import BadInput
from oration.nn.activations import Snake
from oration.nn.conv import Conv, Upsample
from oration.nn.pieces import Beside, Chain, Pieces, Residual, ahead, choose, join, whole

WIDTH = 4


def in_pieces(layer, x, cuts):
    state, parts, at = layer.start(len(x), x), [], 0
    for cut in [*sorted(cuts), x.shape[1]]:
        y, state = layer.push(x[:, at:cut], state)
        parts.append(y)
        at = cut
    return join([*parts, layer.flush(state)])


def net(kind, padding):
    torch.manual_seed(3)
    sides = {"same": lambda k, s: ((k - s + 1) // 2, (k - s) // 2), "causal": lambda k, s: (k - s, 0)}[kind]

    def conv(a, b, k, s=1, **more):
        left, right = sides((k - 1) * more.get("dilation", 1) + 1, s)
        return Conv(a, b, k, stride=s, left=left, right=right, padding=padding, **more)

    def up(a, b, k, s, **more):
        left = 0 if kind == "causal" else (k - s + 1) // 2
        return Upsample(a, b, k, stride=s, left=left, **more)

    unit = Residual(Chain(Snake(WIDTH), conv(WIDTH, 3, 3, dilation=2), nn.ELU(), conv(3, WIDTH, 1)), None)
    other = Residual(Chain(conv(WIDTH, WIDTH, 5, groups=WIDTH)), conv(WIDTH, WIDTH, 1, normed=True))
    return Chain(
        conv(1, WIDTH, 7), unit, conv(WIDTH, WIDTH, 4, 2), other, conv(WIDTH, 6, 9, 5, groups=2), nn.ELU(),
        up(6, WIDTH, 10, 5), up(WIDTH, WIDTH, 5, 2, groups=WIDTH), up(WIDTH, WIDTH, 3, 3, groups=2), conv(WIDTH, 2, 3),
    ).double()  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["same", "causal"]),
    padding=st.sampled_from(["zeros", "reflect", "replicate"]),
    length=st.integers(1, 90),
    cuts=st.lists(st.integers(0, 90), max_size=8),
    seed=st.integers(0, 99),
)
def test_any_cutting_gives_what_one_piece_gives(kind, padding, length, cuts, seed):
    x = torch.randn(2, length, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        layer = net(kind, padding)
        torch.testing.assert_close(in_pieces(layer, x, [min(c, length) for c in cuts]), layer(x), rtol=0, atol=1e-12)
        torch.testing.assert_close(whole(layer, x, 7), layer(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_an_aligned_layer_answers_at_once_and_is_reset_stream_by_stream(padding):
    layer = net("causal", padding)
    assert layer.aligned
    assert not net("same", padding).aligned
    x = torch.randn(3, 60, 1, dtype=torch.float64)
    with torch.no_grad():
        state = layer.start(3, x)
        y, state = layer.push(x[:, :20], state)
        assert y.shape[1] == 20 // layer.down * layer.up
        state = layer.reset(state, torch.tensor([False, True, False]), x)
        after, _ = layer.push(x[:, 20:40], state)
        torch.testing.assert_close(after[1], layer(x[1:2, 20:40])[0])
        torch.testing.assert_close(after[::2], layer(x[::2])[:, y.shape[1] :][:, : after.shape[1]])


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("length", [9, 400])
def test_convolutions_are_torchs(normed, groups, length):
    torch.manual_seed(0)
    x = torch.randn(2, length, 4)
    conv = Conv(4, 8, 5, stride=1, dilation=2, groups=groups, left=3, right=2, whole=False, normed=normed)
    up = Upsample(4, 8, 7, stride=3, groups=groups, left=2, right=1, normed=normed)
    with torch.no_grad():
        if normed:
            conv.gain.mul_(1.7)
            up.gain.mul_(0.3)
    wanted = F.conv1d(F.pad(x.mT, (3, 2)), kernel(conv), conv.bias, dilation=2, groups=groups).mT
    torch.testing.assert_close(conv(x), wanted, rtol=1e-4, atol=1e-5)
    full = F.conv_transpose1d(x.mT, kernel(up), up.bias, stride=3, groups=groups).mT
    torch.testing.assert_close(up(x), full[:, 2:-1], rtol=1e-4, atol=1e-5)
    with torch.no_grad():  # the remembered kernel is forgotten when the weight changes
        before = conv(x)
        (conv.gain if normed else conv.weight).mul_(2)
        conv.bias.mul_(2)
        torch.testing.assert_close(conv(x), 2 * before, rtol=1e-4, atol=1e-5)


def test_gradients_are_torchs():
    torch.manual_seed(0)
    x = torch.randn(2, 40, 4, dtype=torch.float64, requires_grad=True)
    for layer in (
        Conv(4, 4, 3, groups=4).double(),
        Conv(4, 6, 4, stride=2).double(),
        Upsample(4, 3, 6, stride=3).double(),
    ):
        assert torch.autograd.gradcheck(lambda t, layer=layer: layer(t), (x,), fast_mode=True)


def kernel(layer):
    """The weight with torch's weight norm."""
    return layer.weight if layer.gain is None else torch._weight_norm(layer.weight, layer.gain, 0)


def test_choosing_streams_of_nested_states():
    left, right = ((torch.ones(2, 3), None), torch.ones(2)), ((torch.zeros(2, 3), None), torch.zeros(2))
    chosen = choose(torch.tensor([True, False]), left, right)
    assert chosen[0][0].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert chosen[1].tolist() == [1, 0]
    assert not any(isinstance(layer, Pieces) for layer in (nn.ELU(), Snake(2)))


@settings(max_examples=25, deadline=None)
@given(kernels=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=4))
def test_a_chain_says_how_far_it_looks_ahead(kernels):
    """No further than it says, and as far for convolutions of stride 1."""
    layers = [
        Conv(1, 1, kernel * stride, stride=stride, left=max(0, (kernel - 1) * stride - right), right=right, whole=False)
        for kernel, right, stride in kernels
    ]
    chain = Chain(*layers).double()
    said, x = ahead(chain), torch.randn(1, 400, 1, dtype=torch.float64)
    state, given, answered, most = chain.start(1, x), 0, 0, 0
    with torch.no_grad():
        for frame in x.split(1, 1):
            y, state = chain.push(frame, state)
            given, answered = given + 1, answered + y.shape[1]
            # Frames that were given beyond those whose outputs are there, and beyond a stride that is not yet full.
            most = max(most, given - answered * chain.down // chain.up - (chain.down - 1))
    assert most <= said + 1e-9
    if chain.down == 1:
        assert most == said


@torch.no_grad()
def test_layers_beside_each_other_stream_as_they_are_whole():
    torch.manual_seed(0)
    layer = Beside(Chain(Conv(2, 3, 4, stride=2), nn.ELU(), Conv(3, 3, 3)), Conv(2, 5, 2, stride=2)).double()
    assert (layer.up, layer.down, layer.aligned, ahead(layer)) == (1, 2, True, 0)
    x = torch.randn(2, 13, 2, dtype=torch.float64)
    y = layer(x)
    assert y.shape == (2, 7, 8)
    torch.testing.assert_close(in_pieces(layer, x, [1, 2, 7]), y)
    torch.testing.assert_close(y[..., 3:], layer.right(x))
    _, state = layer.push(x[:, :8], layer.start(2, x))
    after, _ = layer.push(x[:, 8:12], layer.reset(state, torch.tensor([False, True]), x))
    torch.testing.assert_close(after[0], y[0, 4:6])
    torch.testing.assert_close(after[1], layer(x[1:, 8:12])[0])
    with pytest.raises(BadInput, match="one looks ahead or is faster"):
        Beside(Conv(2, 2, 3, left=1, right=1), nn.Identity())
    with pytest.raises(BadInput, match="one looks ahead or is faster"):
        Beside(Conv(2, 2, 2, stride=2), nn.Identity())
