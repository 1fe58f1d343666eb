"""What sees every frame of a stretch sees the same stretches in any cutting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from oration.nn.pieces import join, whole
from oration.nn.stretches import GroupNorm, NormedAttention, NormedConvs, Stretches

WIDTH = 6


def layer(frames):
    torch.manual_seed(0)
    inner = nn.Sequential(NormedConvs(WIDTH, 2, 0.1), NormedAttention(WIDTH, 3), GroupNorm(WIDTH, 2))
    return Stretches(inner, frames).double().eval()


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 60), frames=st.integers(1, 30), cuts=st.lists(st.integers(0, 60), max_size=6))
@torch.no_grad()
def test_any_cutting_gives_what_one_piece_gives(length, frames, cuts):
    net, x = layer(frames), torch.randn(2, length, WIDTH, dtype=torch.float64)
    state, parts, at = net.start(2, x), [], 0
    for cut in [*sorted(min(c, length) for c in cuts), length]:
        y, state = net.push(x[:, at:cut], state)
        parts.append(y)
        assert sum(part.shape[1] for part in state) < 2 * frames
        at = cut
    torch.testing.assert_close(join([*parts, net.flush(state)]), net(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(whole(net, x, 7), net(x), rtol=0, atol=1e-10)
    if length < 2 * frames:
        torch.testing.assert_close(net(x), net.layer(x))


@torch.no_grad()
def test_it_is_what_the_library_gives():
    x = torch.randn(2, 9, WIDTH)
    norm = GroupNorm(WIDTH, 3)
    norm.weight.normal_(), norm.bias.normal_()
    wanted = nn.functional.group_norm(x.mT, 3, norm.weight, norm.bias, 1e-6).mT
    torch.testing.assert_close(norm(x), wanted)
    net = NormedAttention(WIDTH, 3)
    q, k, v = net.inward(net.norm(x)).chunk(3, -1)
    said = torch.softmax(q @ k.mT / WIDTH**0.5, -1) @ v
    torch.testing.assert_close(net(x), x + net.outward(said))
    assert net(x[:, :1]).shape == (2, 1, WIDTH)


def test_nothing_comes_of_nothing():
    net = layer(4)
    assert net.flush(net.start(1, torch.zeros(1, 0, WIDTH))) is None
    assert not net.aligned
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 3, WIDTH + 1, dtype=torch.float64))
