"""Quantizers without a codebook to look up in, or with a drawn choice."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.nn.quantize import Fsq, GumbelVq, Lfq, usage


@pytest.mark.parametrize("counts", [(8, 5, 5, 5), (3, 4), (2, 7)])
def test_each_combination_of_values_is_a_symbol(counts):
    numbers = Fsq(levels_per_dim=counts)
    layer = numbers.build(len(counts)).eval()
    every = torch.arange(numbers.sizes[0])[None]
    vectors = layer.decode([every])
    assert len({tuple(row) for row in vectors[0].tolist()}) == numbers.sizes[0]
    for place, count in enumerate(counts):
        values = sorted(set(vectors[0, :, place].tolist()))
        assert len(values) == count
        assert values[0] == -1
        assert all(b - a == pytest.approx(1 / (count // 2)) for a, b in itertools.pairwise(values))
    wide = torch.cartesian_prod(*(torch.linspace(-6, 6, 60) for _ in counts[:2]))
    x = torch.cat([wide, wide], 1)[None, :, : len(counts)]
    assert float(usage(layer.encode(x)[0], numbers.sizes[0]).share) > 0.05
    reached = {tuple(row) for row in layer(x).vectors[0, :, :2].tolist()}
    assert len(reached) == counts[0] * counts[1]  # every value can be reached


def test_nothing_is_said_of_nothing():
    layer = Fsq(levels_per_dim=(8, 5, 4)).build(3).eval()
    assert torch.equal(layer(torch.zeros(1, 1, 3)).vectors, torch.zeros(1, 1, 3))


def test_more_levels_are_a_finer_grid():
    torch.manual_seed(0)
    layer = Fsq(levels_per_dim=(5, 4, 3), levels=4).build(3).eval()
    x = torch.randn(1, 500, 3)
    exact = layer._bounded(x)
    codes = layer.encode(x)
    errors = [(layer.decode(codes[: count + 1]) - exact).abs().max(1).values[0] for count in range(4)]
    for count, error in enumerate(errors):
        for place, values in enumerate((5, 4, 3)):
            # Half a step of the grid; where the values are even in number, a whole one at its upper end.
            step = 1 / (values // 2 * (values - 1) ** count)
            assert error[place] <= step * (1.01 if values % 2 == 0 else 0.51)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(0, 99))
def test_signs_are_bits(bits, seed):
    torch.manual_seed(seed)
    layer = Lfq(bits=bits).build(bits).eval()
    x = torch.randn(1, 9, bits)
    code = layer.encode(x)[0]
    for frame in range(9):
        assert int(code[0, frame]) == sum(1 << place for place in range(bits) if x[0, frame, place] > 0)
    assert torch.equal(layer.decode([code]), x.sign())
    assert torch.equal(layer(x).vectors, x.sign())


def test_entropies_are_those_of_all_symbols():
    """By independent bits the loss is computed, by all 2 ** 4 symbols' distances it is defined."""
    torch.manual_seed(0)
    layer = Lfq(bits=4, temperature=3.0, diversity=0.7).build(4)
    y = torch.randn(50, 4)
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4)))
    shares = (-(y[:, None] - corners).square().sum(2) / 3.0).softmax(1)
    each = torch.special.entr(shares).sum(1).mean()
    everyone = torch.special.entr(shares.mean(0)).sum()
    torch.testing.assert_close(layer._entropy(y), each - 0.7 * everyone)
    apart = Lfq(bits=4, temperature=3.0, diversity=0.7, together=3).build(4)._entropy(y)
    assert apart <= layer._entropy(y) + 1e-6  # what groups say apart is at least what they say together


def test_the_entropy_loss_spreads_a_collapsed_codebook():
    torch.manual_seed(0)
    layer = Lfq(bits=4, temperature=4.0, entropy=1.0).build(8)
    with torch.no_grad():
        layer.inward.bias.fill_(1.0)
    x = torch.randn(8, 64, 8)
    before = usage(layer.encode(x)[0], 16).perplexity
    optimizer = torch.optim.Adam(layer.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        sum(layer(x).losses.values()).backward()
        optimizer.step()
    assert usage(layer.encode(x)[0], 16).perplexity > max(14.0, 2 * float(before))


def test_draws_cool_down_and_are_the_most_likely_at_inference():
    torch.manual_seed(0)
    layer = GumbelVq(levels=2, size=4, dim=6, cooling=0.5).build(5)
    x = torch.randn(1, 3, 5)
    drawn = {tuple(layer(x).codes[0].flatten().tolist()) for _ in range(40)}
    assert len(drawn) > 3
    assert int(layer.steps) == 40
    layer.eval()
    assert len({tuple(layer(x).codes[0].flatten().tolist()) for _ in range(5)}) == 1
    assert int(layer.steps) == 40


def test_the_diversity_loss_is_none_when_all_are_chosen_alike():
    layer = GumbelVq(levels=2, size=4, dim=6, diversity=1.0).build(5)
    with torch.no_grad():
        layer.inward.weight.zero_()
        layer.inward.bias.zero_()
        assert float(layer(torch.randn(2, 9, 5)).losses["diversity"]) == pytest.approx(0, abs=1e-5)
        layer.inward.bias[::4] = 100.0
        assert float(layer(torch.randn(2, 9, 5)).losses["diversity"]) == pytest.approx(3 / 4, abs=1e-3)
