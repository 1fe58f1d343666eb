"""Style: statistics of a second that mean what they say, and clusters of them; pitch at a low rate."""

import numpy as np
import pytest
import torch

from oration.core import BadInput, Waveform
from oration.objectives.kmeans import KMeans
from oration.tokenizers.f0 import F0
from oration.tokenizers.style import ProsodyStatistics, Style


def voice(hertz: float, level: float = 0.1, seconds: float = 2.0, swing: float = 0.0) -> Waveform:
    t = np.arange(round(seconds * 16000)) / 16000
    phase = 2 * np.pi * np.cumsum(hertz * 2 ** (swing * np.sin(2 * np.pi * 2 * t))) / 16000
    return Waveform(level * sum(np.sin(k * phase) / k for k in range(1, 8)), 16000)


def described(wave: Waveform) -> np.ndarray:
    return ProsodyStatistics().build().features(torch.from_numpy(wave.samples)[None])[0].numpy()


def test_statistics_mean_what_they_say():
    low, high, quiet = described(voice(100)), described(voice(300)), described(voice(100, level=0.01))
    moving, hiss = described(voice(150, swing=0.4)), described(Waveform(
        np.random.default_rng(0).standard_normal(32000) * 0.05, 16000
    ))  # fmt: skip
    assert low.shape == (2, 8)
    assert low[0, 5] == pytest.approx(np.log2(100 / 150), abs=0.05)
    assert high[0, 5] == pytest.approx(1, abs=0.05)
    assert low[0, 0] - quiet[0, 0] == pytest.approx(np.log(10), abs=0.01)
    assert moving[0, 6] > 5 * low[0, 6]
    assert moving[0, 7] > 5 * low[0, 7]
    assert hiss[0, 3] > low[0, 3] + 2  # tilt
    assert (low[0, 4], hiss[0, 4] < 0.5) == (pytest.approx(1, abs=0.05), True)
    assert np.isfinite(described(Waveform(np.zeros(16000), 16000))).all()


def test_styles_tell_voices_apart():
    torch.manual_seed(0)
    part = Style(clusters=4).build()
    waves = [voice(100), voice(300), voice(100, level=0.005), voice(180, swing=0.5)]
    objective = KMeans(start=4, memory=40, standardise=True).build(part, {})
    samples = torch.stack([torch.from_numpy(wave.samples) for wave in waves])
    for step in range(6):
        torch.manual_seed(step)
        list(objective.losses(part, {"wave": samples, "seconds": torch.full((4,), 2.0)}, step / 6))
    found = [example["style"].ids.tolist() for example in part.encode(waves)]
    assert all(ids[0] == ids[1] for ids in found)
    assert len({ids[0] for ids in found}) == 4


def test_tiny_style_keeps_its_second():
    config = Style().tiny()
    assert type(config) is Style
    assert (config.specs()["style"].rate, config.clusters, config.stream) == (1, 20, "style")
    assert len(config.build().encode([voice(120, seconds=2.3)])[0]["style"]) == 3


@pytest.mark.parametrize("seconds", [0.05, 0.333, 0])
def test_a_window_is_whole_frames(seconds):
    with pytest.raises(BadInput, match="whole frames"):
        ProsodyStatistics(seconds=seconds)


@pytest.mark.parametrize("rate", [12.5, 25.0, 50.0, 80.0, 100.0])
def test_pitch_may_be_rarer(rate):
    pitch = F0(rate=rate, bins=63)
    assert pitch.specs()["f0"].size == 64
    (example,) = pitch.encode([voice(220, seconds=1.9)])
    assert len(example["f0"]) == pitch.specs()["f0"].length(1.9)
    hertz = pitch.hertz(example["f0"].ids)
    assert np.median(hertz) == pytest.approx(220, rel=0.03)
    assert pitch.tiny().rate == rate


def test_a_rare_pitch_is_the_median_of_what_is_voiced():
    pitch = F0(rate=12.5)
    track = np.array([0, 0, 100, 110, 300, 0, 120, 110, *[0] * 5, 200, 200, 200, 150, 150], np.float32)
    assert pitch.together(track).tolist() == [110.0, 0.0, 0.0]


def test_a_rare_pitch_of_a_long_recording_is_that_of_its_blocks(monkeypatch):
    monkeypatch.setattr("oration.tokenizers.f0.BLOCK", 4.0)
    wave = voice(150, seconds=9.3, swing=0.3)
    ids = F0(rate=12.5).encode([wave])[0]["f0"].ids
    fine = F0().encode([wave])[0]["f0"].ids
    assert len(ids) == 117
    middle = F0().hertz(ids)[40:110]  # over both borders, at 4 and 8 s
    near = np.median(F0().hertz(fine)[40 * 8 : 110 * 8].reshape(-1, 8), axis=1)
    assert np.abs(np.log2(middle / near)).max() < 0.1


@pytest.mark.parametrize("rate", [0, -5, 30, 12.7, 60.5])
def test_a_rate_of_pitch_that_cannot_be_is_refused(rate):
    with pytest.raises(BadInput, match="F0 has the rate"):
        F0(rate=rate)
