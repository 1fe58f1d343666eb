"""The scans of state spaces against the plain recurrence they stand for."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.nn.griffin import prefix
from oration.nn.statespace import Mamba2, Memory, ShortConv, scan


def material(n, steps, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, steps, 4, 3, generator=rng)
    decay = -torch.rand(n, steps, 4, generator=rng) * 3
    return x, decay, *(torch.randn(n, steps, 2, 5, generator=rng) for _ in range(2))


def recurrence(x, decay, keys, queries, segment=None, state=None):
    state = torch.zeros(len(x), 4, 3, 5) if state is None else state
    keys, queries, found = keys.repeat_interleave(2, 2), queries.repeat_interleave(2, 2), []
    for s in range(x.shape[1]):
        if segment is not None and s:
            state = state * (segment[:, s] == segment[:, s - 1])[:, None, None, None]
        state = state * decay[:, s].exp()[..., None, None] + x[:, s, :, :, None] * keys[:, s, :, None]
        found.append((state * queries[:, s, :, None]).sum(-1))
    return torch.stack(found, 1), state


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 99))
def test_chunks_give_what_the_recurrence_gives(steps, chunk, packed, begun, seed):
    given_ = material(2, steps, seed)
    rng = torch.Generator().manual_seed(seed)
    segment = torch.randint(0, 3, (2, steps), generator=rng).sort().values if packed else None
    state = torch.randn(2, 4, 3, 5, generator=rng) if begun and not packed else None
    y, last = scan(*given_, segment=segment, state=state, chunk=chunk)
    want, end = recurrence(*given_, segment, state)
    torch.testing.assert_close(y, want, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(last, end, atol=2e-5, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 99))
def test_doubling_gives_what_the_recurrence_gives(steps, seed):
    rng = torch.Generator().manual_seed(seed)
    gain, added = torch.rand(2, steps, 3, generator=rng), torch.randn(2, steps, 3, generator=rng)
    gain[0, steps // 2] = 0  # where a grid begins
    h, want = torch.randn(2, 3, generator=rng), []
    first = h
    for s in range(steps):
        h = gain[:, s] * h + added[:, s]
        want.append(h)
    torch.testing.assert_close(prefix(gain, added, first), torch.stack(want, 1), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_short_convolution_is_one():
    conv, x = ShortConv(3, 4), torch.randn(2, 9, 3)
    conv.bias.normal_()
    want = F.conv1d(F.pad(x.transpose(1, 2), (3, 0)), conv.weight[:, None], conv.bias, groups=3).transpose(1, 2)
    torch.testing.assert_close(conv(x, None, None, None), want)
    memory, found = Memory(torch.zeros(2, 3, 3), torch.zeros(0)), []
    for cut in (x[:, :2], x[:, 2:3], x[:, 3:]):
        found.append(conv(cut, None, memory, None))
    torch.testing.assert_close(torch.cat(found, 1), want)
    packed = conv(x, torch.tensor([[0, 0, 1, 1, 1, 1, 2, 2, 2]] * 2), None, None)
    apart = [conv(part, None, None, None) for part in (x[:, :2], x[:, 2:6], x[:, 6:])]
    torch.testing.assert_close(packed, torch.cat(apart, 1))


@torch.no_grad()
def test_padding_leaves_no_trace_and_forks_go_their_own_ways():
    torch.manual_seed(0)
    layer, x = Mamba2(16, heads=4, width=8, state=6, groups=2).eval(), torch.randn(2, 9, 16)
    memory, alone = layer.memory(2), layer.memory(1)
    layer(x, None, memory, torch.tensor([9, 4]))
    layer(x[1:, :4], None, alone)
    torch.testing.assert_close(memory.state[1:], alone.state)
    torch.testing.assert_close(memory.inputs[1:], alone.inputs)
    fork = memory.select(torch.tensor([1, 1, 0]))
    after = layer(x[[1, 1, 0], 4:5], None, fork)
    torch.testing.assert_close(after[:1], layer(x[1:, :5])[:, 4:], atol=1e-5, rtol=1e-4)
    assert torch.equal(memory.state[1:], memory.state[1:].clone())
    assert not torch.equal(fork.state[0], memory.state[1])


def test_steps_and_decays_begin_where_the_paper_says():
    layer = Mamba2(16, heads=64, width=8, state=6)
    step, decay = F.softplus(layer.step).detach(), layer.decay.detach().exp()
    assert 0.9e-3 < float(step.min()) < float(step.max()) < 0.11
    assert 1 <= float(decay.min()) < float(decay.max()) <= 16


@pytest.mark.parametrize("steps", [1, 200])
def test_gradients_are_finite(steps):
    layer = Mamba2(16, heads=4, width=8, state=6)
    x = torch.randn(2, steps, 16, requires_grad=True)
    segment = torch.zeros(2, steps, dtype=torch.long)
    segment[:, steps // 2 :] = 1
    layer(x, segment).pow(2).sum().backward()
    assert bool(torch.isfinite(x.grad).all())
    assert all(bool(torch.isfinite(weight.grad).all()) for weight in layer.parameters())
