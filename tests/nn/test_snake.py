"""Snakes, alone, in a residual unit and between filters, are what their formulas say."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.nn import snake_unit
from oration.nn.activations import Snake, SnakeBeta
from oration.nn.antialias import AntiAliased, lowpass
from oration.nn.pieces import join, whole
from oration.nn.snake_unit import SnakeUnit

WIDTH = 4


def varied(layer, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if name.endswith(("alpha", "gain")):
                weight.uniform_(0.3, 2)
            else:
                weight.normal_(std=0.5)
    return layer


def in_pieces(layer, x, cuts):
    state, parts, at = layer.start(len(x), x), [], 0
    for cut in [*sorted(cuts), x.shape[1]]:
        y, state = layer.push(x[:, at:cut], state)
        parts.append(y)
        at = cut
    return join([*parts, layer.flush(state)])


@pytest.mark.parametrize("over", [False, True])
def test_a_snake_with_and_without_gradients_is_the_formula(over):
    x = 3 * torch.randn(2, 500, 7)
    snake, beta = varied(Snake(7, over=over)), varied(SnakeBeta(7))
    wanted = x + (snake.alpha * x).sin() ** 2 / snake.alpha
    torch.testing.assert_close(snake(x), wanted)
    two = x + (beta.alpha.exp() * x).sin() ** 2 / beta.beta.exp()
    torch.testing.assert_close(beta(x), two)
    with torch.no_grad():
        torch.testing.assert_close(beta(x), two, rtol=1e-5, atol=1e-5)
        kept = x.clone()
        torch.testing.assert_close(snake(kept.transpose(0, 1)), wanted.transpose(0, 1), rtol=1e-5, atol=1e-5)
        kept = x.clone()
        torch.testing.assert_close(snake(x), wanted, rtol=1e-5, atol=1e-5)
        assert torch.equal(x, kept) != over


def test_gradients_of_snakes():
    x = torch.randn(2, 9, 4, dtype=torch.float64, requires_grad=True)
    for layer in (varied(Snake(4)).double(), varied(SnakeBeta(4)).double()):
        weights = list(layer.parameters())
        assert torch.autograd.gradcheck(lambda t, *_, layer=layer: layer(t), (x, *weights))


def plain(unit, x):
    """The unit with torch's functions."""
    first, wide, second, narrow = unit.inner
    y = x.mT
    for snake, conv in ((first, wide), (second, narrow)):
        y = y + (snake.alpha[:, None] * y).sin() ** 2 / (snake.alpha[:, None] + 1e-9)
        weight = torch._weight_norm(conv.weight, conv.gain, 0)
        padding = conv.dilation * (conv.size - 1) // 2
        y = F.conv1d(y, weight, conv.bias, padding=padding, dilation=conv.dilation, groups=conv.groups)
    return x + y.mT


@pytest.mark.parametrize("groups", [1, WIDTH])
@pytest.mark.parametrize("flat", [False, True])
def test_a_folded_unit_is_the_plain_one(groups, flat, monkeypatch):
    monkeypatch.setattr(snake_unit, "CACHE", 64 * WIDTH)
    monkeypatch.setattr(snake_unit, "LEAST", {True: 64, False: 64})
    unit = varied(SnakeUnit(WIDTH, dilation=3, groups=groups))
    x = torch.randn(2, 700, WIDTH)
    with torch.no_grad():
        if flat:
            unit.inner[0].alpha[1] = 0
        wanted = plain(unit, x)
    torch.testing.assert_close(unit(x), wanted, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(unit(x), wanted, rtol=1e-4, atol=1e-5)
        unit.inner[2].alpha.mul_(1.5)  # what was folded is forgotten
        torch.testing.assert_close(unit(x), plain(unit, x), rtol=1e-4, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(length=st.integers(1, 80), cuts=st.lists(st.integers(0, 80), max_size=6), seed=st.integers(0, 9))
def test_units_and_filters_give_the_same_in_any_pieces(length, cuts, seed):
    x = torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    cuts = [min(cut, length) for cut in cuts]
    layers = (SnakeUnit(WIDTH, dilation=3), SnakeUnit(WIDTH, dilation=9, groups=WIDTH), AntiAliased(SnakeBeta(WIDTH)))
    for layer in layers:
        varied(layer, seed).double()
        assert not layer.aligned
        with torch.no_grad():
            torch.testing.assert_close(in_pieces(layer, x, cuts), layer(x), rtol=0, atol=1e-11)
            torch.testing.assert_close(whole(layer, x, 7), layer(x), rtol=0, atol=1e-11)


def test_the_filters_around_an_activation_are_those_of_the_paper():
    taps = torch.tensor(lowpass())
    assert taps.sum() == pytest.approx(1)
    assert torch.equal(taps, taps.flip(0))
    response = torch.fft.rfft(taps, 512).abs()
    assert response[:90].min() > 0.7  # half of the band passes, the rest does not
    assert response[200:].max() < 0.02
    x = torch.randn(1, 50, WIDTH)
    padded = F.pad(x.mT, (5, 5), mode="replicate")
    filters = taps.expand(WIDTH, 1, -1)
    up = 2 * F.conv_transpose1d(padded, filters, stride=2, groups=WIDTH)[..., 15:-15]
    wanted = F.conv1d(F.pad(up.exp(), (5, 6), mode="replicate"), filters, stride=2, groups=WIDTH)

    class Exp(torch.nn.Module):
        def forward(self, y):
            return y.exp()

    torch.testing.assert_close(AntiAliased(Exp())(x), wanted.mT, rtol=1e-4, atol=1e-5)
