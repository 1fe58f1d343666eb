"""The mel is causal, live equals offline, and it agrees with an independent calculation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.audio.mel import LogMel, deltas, mel_filters, mfcc, spectrogram
from oration.core import BadInput

MELS = (LogMel(), LogMel(rate=24000, bands=100, window=1024, hop=256, fft=1024), LogMel(bands=20, window=160, hop=160))


def slow(mel: LogMel, samples: np.ndarray) -> np.ndarray:
    """The definition, frame by frame."""
    filters = mel_filters(mel.rate, mel.bands, mel.fft).T.numpy()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(mel.window) / mel.window)
    frames = -(-len(samples) // mel.hop)
    padded = np.concatenate([np.zeros(mel.window), samples, np.zeros(frames * mel.hop - len(samples))])
    rows = []
    for i in range(frames):
        end = mel.window + (i + 1) * mel.hop
        rows.append(filters @ np.abs(np.fft.rfft(padded[end - mel.window : end] * window, mel.fft)))
    return np.log(np.maximum(rows, mel.floor)).reshape(frames, mel.bands)


@pytest.mark.parametrize("mel", MELS)
@pytest.mark.parametrize("length", [1, 159, 160, 161, 4000])
def test_it_is_what_its_docstring_says(mel, length):
    samples = np.random.default_rng(length).normal(0, 0.1, length)
    np.testing.assert_allclose(mel(torch.from_numpy(samples)).numpy(), slow(mel, samples), atol=2e-3)


@pytest.mark.parametrize("mel", MELS)
def test_filters_are_slaneys(mel):
    librosa = pytest.importorskip("librosa")
    ours = mel_filters(mel.rate, mel.bands, mel.fft).T.numpy()
    np.testing.assert_allclose(ours, librosa.filters.mel(sr=mel.rate, n_fft=mel.fft, n_mels=mel.bands), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MELS), st.lists(st.integers(0, 900), min_size=1, max_size=8), st.integers(0, 9))
def test_live_equals_offline(mel, lengths, seed):
    samples = torch.randn(sum(lengths), generator=torch.Generator().manual_seed(seed)) * 0.1
    live = mel.live()
    for _ in range(2):  # after a flush it is as new
        pieces = [live.push(piece) for piece in samples.split(lengths)]
        assert sum(map(len, pieces)) == sum(lengths) // mel.hop  # nothing waits that could be known
        torch.testing.assert_close(torch.cat([*pieces, live.flush()]), mel(samples), atol=1e-4, rtol=0)


def test_a_frame_sees_nothing_after_its_end():
    mel, samples = LogMel(), torch.randn(4800)
    changed = samples.clone()
    changed[1600:] = 0
    torch.testing.assert_close(mel(changed)[:10], mel(samples)[:10])
    assert not torch.allclose(mel(changed)[10], mel(samples)[10])


def test_batches_are_their_members_and_nothing_is_a_recording_too():
    mel, samples = LogMel(), torch.randn(3, 2, 1000)
    batch = mel(samples)
    assert batch.shape == (3, 2, 7, 80)
    torch.testing.assert_close(batch[1, 1], mel(samples[1, 1]))
    assert mel(torch.zeros(2, 0)).shape == (2, 0, 80)
    assert mel.frames(0) == 0
    assert mel.frame_rate == 100
    assert len(mel.live().flush()) == 0


def test_silence_is_the_floor_and_gradients_are_finite_there():
    samples = torch.zeros(1600, requires_grad=True)
    frames = LogMel()(samples)
    assert frames.min() == frames.max() == torch.tensor(1e-5).log()
    frames.sum().backward()
    assert torch.isfinite(samples.grad).all()


def test_bf16_autocast_changes_nothing():
    samples = torch.randn(1600)
    plain, cepstra = LogMel()(samples), mfcc(LogMel()(samples))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LogMel()(samples), plain)
        assert torch.equal(mfcc(plain), cepstra)


@pytest.mark.parametrize("wrong", [{"hop": 0}, {"hop": 500}, {"window": 600}, {"bands": 300}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(BadInput):
        LogMel(**wrong)


def test_mfcc_is_an_orthonormal_dct():
    fft = pytest.importorskip("scipy.fft")
    frames = torch.randn(2, 7, 80)
    np.testing.assert_allclose(mfcc(frames, 13), fft.dct(frames.numpy(), norm="ortho")[..., :13], atol=1e-5)


def test_deltas_are_slopes_of_the_past():
    ramp = torch.arange(20.0)[:, None] * torch.tensor([1.0, -2.0])
    torch.testing.assert_close(deltas(ramp)[4:], torch.tensor([1.0, -2.0]).expand(16, 2))
    assert deltas(ramp)[0].abs().sum() == 0
    changed = ramp.clone()
    changed[10:] = 7
    torch.testing.assert_close(deltas(changed)[:10], deltas(ramp)[:10])
    assert deltas(torch.zeros(0, 3)).shape == (0, 3)
    assert deltas(torch.randn(2, 9, 3)).shape == (2, 9, 3)


def test_spectrogram_is_a_centred_stft():
    samples = torch.randn(2, 3000)
    expected = torch.stft(samples, 512, 128, window=torch.hann_window(512), pad_mode="constant", return_complex=True)
    torch.testing.assert_close(spectrogram(samples, 512, 128), expected.abs().transpose(1, 2), atol=1e-4, rtol=1e-4)
    assert spectrogram(torch.zeros(1), 512, 128).shape == (1, 257)
