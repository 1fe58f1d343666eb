"""LSTMs: in C as in torch, whole as in pieces, in memory as in a file."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.nn import recurrent
from oration.nn.conv import Conv
from oration.nn.pieces import Chain, join, whole
from oration.nn.recurrent import Lstm
from oration.nn.spool import Spool


def made(dim, layers, both_ways, dtype=torch.float32):
    torch.manual_seed(0)
    layer = Lstm(dim, layers, both_ways=both_ways)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return layer.to(dtype).eval()


def torchs(layer, x):
    y = layer.lstm(x)[0]
    return y + (torch.cat((x, x), 2) if layer.both_ways else x)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize(("dim", "batch"), [(8, 1), (8, 3), (32, 11), (12, 2)])
@torch.no_grad()
def test_it_gives_what_torch_gives(dim, batch, both_ways):
    if recurrent.steps() is None:
        pytest.skip("there is no C compiler")
    layer, x = made(dim, 2, both_ways), torch.randn(batch, 9, dim)
    assert layer._in_c(x) == (dim != 12)
    torch.testing.assert_close(layer(x), torchs(layer, x), rtol=0, atol=2e-6)
    layer.lstm.weight_hh_l0.mul_(0.5)  # what was laid out is made anew
    torch.testing.assert_close(layer(x), torchs(layer, x), rtol=0, atol=2e-6)


@torch.no_grad()
def test_halves_are_computed_in_full():
    layer, x = made(16, 1, True, torch.bfloat16), torch.randn(2, 9, 16).bfloat16()
    y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), torchs(layer.float(), x.float()), rtol=0.02, atol=0.05)


def test_it_is_trained_by_torch():
    layer, x = made(8, 1, True), torch.randn(2, 5, 8)
    layer(x).square().mean().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in layer.parameters())


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 40), cuts=st.lists(st.integers(0, 40), max_size=5), held=st.integers(1, 400),
    both_ways=st.booleans(), double=st.booleans(), layers=st.integers(1, 3),
)  # fmt: skip
@torch.no_grad()
def test_any_cutting_and_any_room_give_what_one_piece_gives(length, cuts, held, both_ways, double, layers):
    layer = made(8, layers, both_ways, torch.float64 if double else torch.float32)
    x = torch.randn(2, length, 8, dtype=layer.lstm.weight_hh_l0.dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent, "HELD", held)
        state, parts, at = layer.start(2, x), [], 0
        for cut in [*sorted(min(c, length) for c in cuts), length]:
            y, state = layer.push(x[:, at:cut], state)
            parts.append(y)
            at = cut
        assert not both_ways or isinstance(state[0], Spool) == (x.numel() > held)
        pieces = [*layer.rest(state)]
        assert not both_ways or x.numel() <= held or max(p.shape[1] for p in pieces) <= max(1, held // 16)
        torch.testing.assert_close(join([*parts, *pieces]), torchs(layer, x), rtol=0, atol=1e-5)


@torch.no_grad()
def test_layers_behind_it_get_its_rest_in_pieces(monkeypatch):
    net = Chain(Conv(1, 8, 4, stride=2), Chain(made(8, 2, True), torch.nn.ELU()), Conv.same(16, 3, 5)).eval()
    x = torch.randn(1, 90, 1)
    wanted = net(x)
    monkeypatch.setattr(recurrent, "HELD", 64)
    torch.testing.assert_close(whole(net, x, 11), wanted, rtol=0, atol=2e-6)
    state = net.start(1, x)
    y, state = net.push(x, state)
    assert not y.shape[1]
    found = [*net.rest(state)]
    assert len(found) > 4
    torch.testing.assert_close(torch.cat(found, 1), wanted, rtol=0, atol=2e-6)
    assert [*net.rest(net.start(1, x))] == []


def test_frames_lie_where_they_were_put():
    x = torch.randn(2, 7, 3, dtype=torch.bfloat16)
    spool = Spool(x)
    spool.put(4, x[:, 4:])
    spool.put(0, x[:, :4])
    assert torch.equal(spool.get(0, 7), x)
    assert torch.equal(spool.get(3, 6), x[:, 3:6])
    assert spool.get(5, 5).shape == (2, 0, 3)
    with pytest.raises(EOFError, match="never put"):
        spool.get(6, 9)
