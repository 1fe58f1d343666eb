"""A layer that hears pitch and sounds by it: in any pieces the same, with harmonics where it hears them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.nn.pieces import Chain, join, late
from oration.nn.voiced import Voiced

FFT, HOP, DIM, RATE = 320, 80, 6, 8000


def layer(back=0, seed=0):
    torch.manual_seed(seed)
    made = Voiced(DIM, FFT, HOP, back, rate=RATE, bands=torch.eye(FFT // 2 + 1), tones=32, span=(80.0, 400.0))
    torch.nn.init.normal_(made.heard.weight, std=2.0)
    return made


def frames(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, DIM, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def in_pieces(made, x, cuts):
    state, parts, at = made.start(len(x), x), [], 0
    for cut in [*sorted(cuts), x.shape[1]]:
        y, state = made.push(x[:, at:cut], state)
        parts.append(y)
        at = cut
    return join([*parts, made.flush(state)])


def singing(bin_, breath=-9.0):
    """A layer that hears this bin whatever it is given, loud in all harmonics and without noise."""
    made = layer()
    with torch.no_grad():
        made.heard.weight.zero_()
        made.heard.bias.fill_(-30.0)[bin_] = 30.0
        made.out.weight.zero_()
        made.out.bias.zero_()
        made.out.bias[2 * made.bins :] = breath
    return made


@settings(max_examples=40, deadline=None)
@given(
    back=st.sampled_from([0, 50, FFT - HOP]),
    length=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    seed=st.integers(0, 99),
)
@torch.no_grad()
def test_any_cutting_gives_what_one_piece_gives(back, length, cuts, seed):
    made, x = layer(back).double(), frames(2, length, seed=seed, dtype=torch.float64)
    y = made(x)
    assert y.shape == (2, length * HOP, 1)
    torch.testing.assert_close(in_pieces(made, x, [min(c, length) for c in cuts]), y, rtol=0, atol=1e-9)
    torch.testing.assert_close(made(x[1:]), y[1:], rtol=0, atol=1e-9)


@torch.no_grad()
def test_streams_are_reset_one_by_one_and_the_future_does_not_leak():
    made, x = layer().double(), frames(3, 20, dtype=torch.float64)
    _, state = made.push(x[:, :10], made.start(3, x))
    y, _ = made.push(x[:, 10:], made.reset(state, torch.tensor([False, True, False]), x))
    torch.testing.assert_close(y[1], made(x[:, 10:])[1])
    torch.testing.assert_close(y[::2], made(x)[::2, 10 * HOP :])
    other = torch.cat((x[:, :10], frames(3, 10, seed=1, dtype=torch.float64)), 1)
    torch.testing.assert_close(made(other)[:, : 10 * HOP], made(x)[:, : 10 * HOP])


@torch.no_grad()
def test_it_can_be_made_aligned_by_being_late():
    made, x = Chain(torch.nn.Identity(), layer(FFT - HOP).double()), frames(2, 12, dtype=torch.float64)
    later = late(made)
    assert (made.aligned, later.aligned, later.delay) == (False, True, FFT - HOP)
    y = torch.cat([later.push(x, later.start(2, x))[0]], 1)
    torch.testing.assert_close(y[:, FFT - HOP :], made(x)[:, : -(FFT - HOP)], rtol=0, atol=1e-9)


@torch.no_grad()
def test_harmonics_stand_where_pitch_is_heard():
    made = singing(12)
    (hertz,) = made.hertz(made.heard(frames(1, 1)))[0].tolist()
    assert hertz == pytest.approx(80 * 5 ** (12.5 / 32))
    wave = made(frames(1, 150))[0, 2000:10000, 0]
    spectrum = torch.fft.rfft(wave * torch.hann_window(8000)).abs()
    for order in range(1, 8):
        at, between = round(hertz * order), spectrum[round(hertz * (order + 0.3)) : round(hertz * (order + 0.7))]
        assert spectrum[at - 3 : at + 4].max() > 30 * between.max()


@torch.no_grad()
def test_pitch_lies_between_bins_and_without_voice_there_is_none():
    made = layer()
    logits = torch.full((1, 3, 33), -30.0)
    logits[0, 0, [4, 5]] = 0.0
    logits[0, 1, [4, 32]] = torch.tensor([0.0, 1.0])
    logits[0, 2, [4, 5, 32]] = torch.tensor([0.0, 0.0, 0.5])  # the likeliest single symbol, but not half of it
    between = 80 * 5 ** (5 / 32)
    assert made.hertz(logits)[0].tolist() == pytest.approx([between, 0.0, between])


def test_it_learns_the_pitch_and_the_envelope_of_a_sound_from_frames_that_tell_them():
    torch.manual_seed(0)
    made = layer(FFT - HOP)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.05)
    hertz = made.low * (made.high / made.low) ** (torch.tensor([[5.5], [20.5]]) / 32)
    time = torch.arange(40 * HOP) / RATE
    wave = 0.05 * sum(torch.sin(2 * math.pi * order * hertz * time) for order in range(1, 8))
    teacher, x = torch.tensor([[5], [20]]).expand(2, 80), frames(2, 1).expand(2, 40, DIM)
    seen = []
    for _ in range(80):
        sound, losses = made.learn(x, teacher, wave, 0.5)
        assert sound.shape == (2, 40 * HOP, 1)
        seen.append({name: float(loss.detach()) for name, loss in losses.items()})
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert seen[-1]["pitch"] < 1.5 < seen[0]["pitch"]  # 1.42 is what the teacher leaves open between bins
    assert seen[-1]["envelope"] < 0.6 * seen[0]["envelope"]
    heard = made.eval().hertz(made.heard(x))[:, 0]
    torch.testing.assert_close(heard, hertz[:, 0].double(), rtol=0.03, atol=0)


def test_what_the_teacher_does_not_know_teaches_nothing():
    made, x = layer(), frames(2, 10)
    nothing = torch.full((2, 10), -1)
    _, losses = made.learn(x, nothing, torch.zeros(2, 10 * HOP), 1.0)
    assert losses["pitch"] == 0
    assert losses["envelope"].isfinite()


def test_gradients_are_finite_in_silence_and_half_precision_gives_sound():
    made, x = layer(), frames(1, 10).requires_grad_()
    sound, losses = made.learn(x, torch.full((1, 10), 32), torch.zeros(1, 10 * HOP), 0.0)
    (sound.square().sum() + sum(losses.values())).backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in made.parameters())
    half = layer().bfloat16()
    y = half(frames(1, 10).bfloat16())
    assert y.dtype == torch.bfloat16
    assert y.isfinite().all()
