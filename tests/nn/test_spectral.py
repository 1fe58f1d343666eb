"""Spectra and ConvNeXt blocks give in any pieces what they give at once, and no more of the future than they say."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from oration.core import BadInput
from oration.nn.conv import Conv
from oration.nn.convnext import ConvNeXt, ConvNeXtBlock, DepthwiseConv
from oration.nn.istft import InverseStft, StftHead
from oration.nn.pieces import Beside, Chain, join, late, whole
from oration.nn.spectral import InverseSpectrum, LogSpectra, Periodicity, Spectrum

FFT, HOP, DIM = 32, 8, 5
BACKS = [0, 3, (FFT - HOP) // 2, FFT - HOP]


def in_pieces(layer, x, cuts):
    state, parts, at = layer.start(len(x), x), [], 0
    for cut in [*sorted(cuts), x.shape[1]]:
        y, state = layer.push(x[:, at:cut], state)
        parts.append(y)
        at = cut
    return join([*parts, layer.flush(state)])


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def net(back=0, ahead=0, fft=FFT):
    torch.manual_seed(0)
    blocks = ConvNeXt(DIM, 7, 3, 3, dilations=(2, 1, 1), ahead=ahead)
    spectrum = Spectrum(fft, HOP)
    layers = Chain(spectrum, nn.Linear(spectrum.dim, DIM), blocks, InverseSpectrum(DIM, fft, HOP, back)).double()
    nn.init.normal_(layers.layers[-1].out.weight, std=0.5)
    return layers


@settings(max_examples=60, deadline=None)
@given(
    back=st.sampled_from(BACKS),
    ahead=st.sampled_from([0, 1, 3, None]),
    fft=st.sampled_from([FFT, 20]),
    length=st.integers(1, 150),
    cuts=st.lists(st.integers(0, 150), max_size=8),
    seed=st.integers(0, 99),
)
@torch.no_grad()
def test_any_cutting_gives_what_one_piece_gives(back, ahead, fft, length, cuts, seed):
    layer, x = net(min(back, fft - HOP), ahead, fft), random(2, length, 1, seed=seed)
    y = layer(x)
    assert y.shape == (2, -(-length // HOP) * HOP, 1)
    torch.testing.assert_close(in_pieces(layer, x, [min(c, length) for c in cuts]), y, rtol=0, atol=1e-10)
    torch.testing.assert_close(whole(layer, x, 13), y, rtol=0, atol=1e-10)


@torch.no_grad()
def test_in_single_precision_too():
    layer, x = net(back=12, ahead=2).float(), random(2, 800, 1, dtype=torch.float32)
    torch.testing.assert_close(in_pieces(layer, x, [1, 90, 91, 500]), layer(x), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("back", "ahead", "delay"), [(0, 0, 0), (12, 0, 12), (24, 2, 24 + 2 * HOP)])
def test_the_future_does_not_leak(back, ahead, delay):
    layer, x = net(back, ahead), random(1, 20 * HOP, 1)
    other = x.clone()
    other[:, 10 * HOP :] = random(1, 10 * HOP, 1, seed=1)
    changed = (layer(other) - layer(x)).abs()[0, :, 0] > 1e-12
    assert layer.aligned == (delay == 0)
    first = int(changed.nonzero()[0])  # a window begins with 0
    assert 0 <= first - (10 * HOP - delay) <= 1
    assert layer.push(x, layer.start(1, x))[0].shape[1] == x.shape[1] - delay


@torch.no_grad()
def test_streams_are_reset_one_by_one():
    layer, x = net(), random(3, 20 * HOP, 1)
    before, after = x[:, : 10 * HOP], x[:, 10 * HOP :]
    _, state = layer.push(before, layer.start(3, x))
    y, _ = layer.push(after, layer.reset(state, torch.tensor([False, True, False]), x))
    torch.testing.assert_close(y[1], layer(after)[1])
    torch.testing.assert_close(y[::2], layer(x)[::2, 10 * HOP :])


@torch.no_grad()
def test_a_spectrum_is_what_it_says():
    x = random(1, 5 * HOP, 1)
    y = Spectrum(FFT, HOP, power=1.0, floor=0.0).double()(x)
    window = torch.hann_window(FFT).double()
    frame = x[0, HOP : 5 * HOP, 0] * window / window.square().sum().sqrt()
    wanted = torch.fft.rfft(frame)
    torch.testing.assert_close(torch.complex(*y[0, 4].chunk(2)), wanted)
    low = torch.complex(*Spectrum(FFT, HOP, power=0.3, floor=0.0).double()(x)[0, 4].chunk(2))
    torch.testing.assert_close(low.abs(), wanted.abs() ** 0.3)
    torch.testing.assert_close(low[1:-1].angle(), wanted[1:-1].angle())
    noise = Spectrum(FFT, HOP, power=1.0)(random(1, 4000, 1, dtype=torch.float32)).square().sum(2) / (FFT // 2)
    assert noise.mean().item() == pytest.approx(1, abs=0.1)


@torch.no_grad()
@pytest.mark.parametrize("back", BACKS)
def test_the_spectrum_of_a_sound_gives_the_sound(back):
    """A linear layer is told to pass log magnitude and phase on."""
    inverse = InverseSpectrum(FFT + 2, FFT, HOP, back).double()
    inverse.out.weight.copy_(torch.eye(FFT + 2))
    x = random(1, 12 * HOP)
    padded = nn.functional.pad(x, (back, FFT))
    spectrum = torch.fft.rfft(padded.unfold(1, FFT, HOP)[:, :12] * torch.hann_window(FFT).double())
    y = inverse(torch.cat((spectrum.abs().log(), spectrum.angle()), 2))[:, :, 0]
    inside = slice(FFT - HOP - back, 12 * HOP - back)  # where every window that covers a sample is there
    torch.testing.assert_close(y[:, inside], x[:, inside], rtol=0, atol=1e-6)
    assert y.abs().max() <= 4 * x.abs().max()


@torch.no_grad()
def test_centred_it_is_the_vocoders_head():
    torch.manual_seed(0)
    head, layer = StftHead(DIM, FFT, HOP), InverseSpectrum(DIM, FFT, HOP, (FFT - HOP) // 2, floor=1e-8)
    layer.out.load_state_dict(head.out.state_dict())
    x = random(2, 9, DIM, dtype=torch.float32)
    torch.testing.assert_close(layer(x)[:, :, 0], head(x))
    assert isinstance(head.inverse, InverseStft)


def test_spectra_are_single_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        x = random(1, 80, 1, dtype=torch.float32)
        frames = Spectrum(FFT, HOP)(x)
        torch.testing.assert_close(frames, Spectrum(FFT, HOP).double()(x.double()).float(), rtol=1e-4, atol=1e-5)
        inverse = InverseSpectrum(DIM, FFT, HOP)
        assert inverse(frames[:, :, :DIM].bfloat16()).dtype == torch.bfloat16
        assert inverse(frames[:, :, :DIM]).dtype == torch.float32
    half = Chain(Spectrum(FFT, HOP), InverseSpectrum(2 * (FFT // 2 + 1), FFT, HOP)).bfloat16()
    assert half(x.bfloat16()).dtype == torch.bfloat16


def test_gradients_are_finite_in_silence_and_right():
    layer = net()
    x = torch.zeros(1, 40, 1, dtype=torch.float64, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
    x = random(1, 24, 1).requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,), fast_mode=True)


def test_filters_per_channel_are_the_librarys():
    conv, x = DepthwiseConv(4, 3, dilation=2), random(2, 9, 4, dtype=torch.float32)
    weight = conv.weight.T[:, None]
    wanted = nn.functional.conv1d(x.mT, weight, conv.bias, padding=2, dilation=2, groups=4).mT
    torch.testing.assert_close(conv(x), wanted)
    valid = torch.tensor([1.0] * 6 + [0.0] * 3)[None, :, None]
    block = ConvNeXtBlock(4, 6, 3)
    torch.testing.assert_close(block(x, valid)[:, :6], block(x[:, :6]))


def test_what_cannot_be_built():
    with pytest.raises(BadInput, match="dilations"):
        ConvNeXt(4, 8, 3, dilations=(1, 2))
    with pytest.raises(BadInput, match="overlap"):
        Spectrum(160, 160)
    with pytest.raises(BadInput, match="fft - hop = 24"):
        InverseSpectrum(4, FFT, HOP, 25)


def test_a_late_layer_is_aligned_and_says_the_same_later():
    torch.manual_seed(0)
    net = Chain(nn.Linear(6, 8), Chain(Conv(8, 8, 3), InverseSpectrum(8, 32, 8, 12))).double()
    later = late(net)
    assert not net.aligned
    assert (later.aligned, later.delay) == (True, 12)
    x = torch.randn(3, 11, 6, dtype=torch.float64)
    with torch.no_grad():
        state, parts = later.start(3, x), []
        for frame in x.split(1, 1):
            y, state = later.push(frame, state)
            assert y.shape == (3, 8, 1)
            parts.append(y)
        said = torch.cat(parts, 1)
        torch.testing.assert_close(said[:, 12:], net(x)[:, :-12], atol=1e-10, rtol=0)
        again = later.reset(state, torch.tensor([True, False, False]), x)
        y, _ = later.push(x[:, :1], again)
        torch.testing.assert_close(y[0], said[0, :8], atol=1e-10, rtol=0)
    with pytest.raises(BadInput, match="Conv looks ahead, so it cannot answer every frame at once"):
        late(Chain(Conv(8, 8, 3, left=1, right=1)))


@settings(max_examples=30, deadline=None)
@given(length=st.integers(1, 150), cuts=st.lists(st.integers(0, 150), max_size=6), seed=st.integers(0, 99))
@torch.no_grad()
def test_magnitudes_and_periods_in_any_pieces(length, cuts, seed):
    layer = Beside(LogSpectra((16, 40), HOP), Periodicity(FFT, HOP, [100.0, 300.0], 1600)).double()
    x = random(2, length, 1, seed=seed)
    y = layer(x)
    assert y.shape == (2, -(-length // HOP), 9 + 21 + 2)
    torch.testing.assert_close(in_pieces(layer, x, [min(c, length) for c in cuts]), y, rtol=0, atol=1e-10)
    x = x[:, : length // HOP * HOP]
    known, state = layer.push(x, layer.start(2, x))
    after, _ = layer.push(x, layer.reset(state, torch.tensor([True, False]), x))
    torch.testing.assert_close(after[0], known[0])


@torch.no_grad()
def test_magnitudes_know_no_phase_and_filters_come_before_the_logarithm():
    x = random(1, 400, 1)
    y = LogSpectra((FFT,), HOP).double()(x)
    torch.testing.assert_close(LogSpectra((FFT,), HOP).double()(-x), y)
    torch.testing.assert_close(LogSpectra((FFT,), HOP).double()(x * math.e)[:, 4:], y[:, 4:] + 0.25, rtol=0, atol=1e-3)
    sizes = ((y - 1) * 4).exp()
    filters = torch.rand(FFT // 2 + 1, 3)
    found = LogSpectra((FFT,), HOP, filters=filters).double()(x)
    torch.testing.assert_close(((found - 1) * 4).exp(), sizes @ filters.double())


@torch.no_grad()
def test_a_period_is_found():
    tones = [80.0, 100.0, 125.0, 160.0, 220.0]
    layer = Periodicity(1024, 160, tones, 16_000)
    time = torch.arange(8000) / 16_000
    for at, tone in enumerate(tones):
        sound = sum(torch.sin(2 * math.pi * order * tone * time + order) for order in range(1, 12))
        found = layer(0.1 * sound[None, :, None])[0, 20:].mean(0)
        assert found[at] == found[at:].max()  # lower ones may be twice the period
        assert found[at] > 1
