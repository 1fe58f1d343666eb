"""The codec without a net: rates, levels, what comes back, and what it refuses."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput, Spec, Stream, Waveform
from oration.nn.kmeans import nearest, residual
from oration.objectives.kmeans import KMeans
from oration.tokenizers.mel_rvq import MelRvq

RATES = (12.5, 25.0, 44100 / 2048, 50.0, 75.0, 24000 / 2048)


def voice(seconds: float, rate: int = 16000, seed: int = 0) -> Waveform:
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.8 * t + seed)) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 9)) * np.clip(np.sin(2 * np.pi * 1.7 * t + seed), 0, 1)
    return Waveform((0.1 * buzz + 0.003 * rng.standard_normal(len(t))).astype(np.float32), rate)


def fitted(**numbers):
    """A small codec that has heard a few voices."""
    torch.manual_seed(0)
    part = MelRvq(**{"levels": 3, "size": 16, "bands": 20, "rate": 50.0, "iterations": 8} | numbers).build()
    objective = KMeans(start=8, memory=40).build(part, {})
    samples = np.stack([voice(2.0, part.rate, seed).samples for seed in range(6)])
    for step in range(12):
        torch.manual_seed(step)
        wave = torch.from_numpy(samples[[step % 6, (step + 1) % 6]])
        list(objective.losses(part, {"wave": wave, "seconds": torch.full((2,), 2.0)}, step / 12))
    return part


@pytest.fixture(scope="module")
def codec():
    return fitted()


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_of_a_published_codec_is_exact(rate):
    config = MelRvq(rate=rate, levels=2).tiny()
    assert (config.rate, config.levels, config.specs().keys()) == (rate, 2, {"codec.0", "codec.1"})
    assert Fraction(config.sampling, config.mel.hop * config.stack) == Fraction(rate)
    assert config.mel.hop <= 0.0135 * config.sampling
    part = config.build()
    wave = voice(0.7, 48000)
    (example,), spec = part.encode([wave]), config.specs()["codec.0"]
    assert len(example["codec.0"]) == len(example["codec.1"]) == spec.length(wave.seconds)
    (sound,) = part.decode([example])
    assert sound.rate == config.vocoder().rate == part.rate
    assert len(sound) == len(example["codec.0"]) * config.mel.hop * config.stack
    assert 0 <= sound.seconds - wave.seconds < 1 / rate + 1e-3


def test_the_decoder_names_the_streams():
    config = MelRvq(levels=2, prefix="user.", stream="mimi")
    decoder = config.vocoder()
    assert (decoder.of, decoder.needs, decoder.rate) == ("user.mimi.0", ("user.mimi.0", "user.mimi.1"), 24000)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(2, 9), st.integers(1, 12), st.integers(0, 99))
def test_each_level_says_what_those_before_left_over(levels, size, dim, seed):
    generator = torch.Generator().manual_seed(seed)
    x, books = torch.randn(20, dim, generator=generator), torch.randn(levels, size, dim, generator=generator)
    choices, distances = residual(x, books)
    assert choices.shape == distances.shape == (levels, 20)
    left = x
    for book, choice, distance in zip(books, choices, distances, strict=True):
        assert torch.equal(choice, nearest(left, book)[1])
        left = left - book[choice]
        torch.testing.assert_close(left.square().sum(1), distance, rtol=1e-4, atol=1e-4)


def test_more_levels_come_nearer(codec):
    waves = [voice(1.5, seed=seed) for seed in (20, 21)]
    errors = []
    for levels in range(1, 4):
        pairs = [
            (codec.logmel(example, levels=levels), codec.numbers.mel(torch.from_numpy(wave.samples)).numpy())
            for wave, example in zip(waves, codec.encode(waves), strict=True)
        ]
        errors.append(np.mean([np.square(said - heard).mean() for said, heard in pairs]))
    spread = np.var(np.concatenate([heard for _, heard in pairs]))
    assert errors[2] < errors[1] < errors[0] < 0.5 * spread
    torch.testing.assert_close(codec.spread[1:] < codec.spread[:-1], torch.tensor([True, True]))


def test_sound_comes_back_with_its_loudness(codec):
    wave = voice(2.0, seed=30)
    (sound,) = codec.decode(codec.encode([wave]))
    blocks = [np.square(w.samples[:32000]).reshape(-1, 1600).mean(1) for w in (wave, sound)]
    assert np.corrcoef(np.log(blocks[0] + 1e-8), np.log(blocks[1] + 1e-8))[0, 1] > 0.9


def test_missing_and_shorter_levels_say_less_and_others_are_refused(codec):
    (example,) = codec.encode([voice(1.0)])
    coarse = {"codec.0": example["codec.0"], "codec.2": example["codec.2"]}
    assert np.array_equal(codec.logmel(coarse), codec.logmel(example, levels=1))
    shorter = {**example, "codec.2": example["codec.2"].cut(0, 10)}
    assert np.array_equal(codec.logmel(shorter), codec.logmel(example)[:20])
    empty = dict.fromkeys(example, Stream(np.zeros(0, np.int64)))
    assert len(codec.decode([empty])[0]) == 0
    with pytest.raises(BadInput, match="codec.0.*at least"):
        codec.decode([{"codec.1": example["codec.1"]}])
    with pytest.raises(BadInput, match="holds the id 16"):
        codec.decode([{"codec.0": Stream(np.array([3, 16]))}])


def test_numbers_that_make_no_codec_are_refused():
    for wrong in ({"levels": 0}, {"size": 1}, {"rate": 0.0}, {"rate": 21.5}, {"rate": 75.0, "hertz": 16000}):
        with pytest.raises(BadInput, match="codec"):
            MelRvq(**wrong)


def test_residual_kmeans_resumes_exactly():
    samples = torch.from_numpy(np.stack([voice(1.0, 16000, seed).samples for seed in range(4)]))
    batch = {"wave": samples, "seconds": torch.full((4,), 1.0)}

    def steps(part, objective, numbers):
        for step in numbers:
            torch.manual_seed(step)
            ((_, loss),) = objective.losses(part, batch, step / 10)
        return loss

    torch.manual_seed(0)
    config = MelRvq(levels=2, size=8, bands=20, rate=50.0)
    one, two = config.build(), config.build()
    first, second = (KMeans(start=4, memory=10).build(part, {}) for part in (one, two))
    steps(one, first, range(4))
    two.load_state_dict(one.state_dict())
    second.load_state_dict(first.state_dict())
    assert steps(one, first, range(4, 8)).parts == steps(two, second, range(4, 8)).parts
    assert torch.equal(one.centroids, two.centroids)
    assert {"level 0", "level 1", "perplexity"} == steps(one, first, range(8, 9)).parts.keys()


def test_specs_of_the_published_sizes():
    assert MelRvq(levels=8, size=2048, rate=12.5).specs()["codec.7"] == Spec(2048, 12.5)
    assert MelRvq(levels=32, size=1024).specs().keys() == {f"codec.{level}" for level in range(32)}
    with torch.device("meta"):
        assert MelRvq(levels=8, size=2048, rate=12.5).build().centroids.shape == (8, 2048, 640)
