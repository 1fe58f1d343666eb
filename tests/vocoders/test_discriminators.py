import math
from dataclasses import replace

import pytest
import torch

from oration.core import BadInput
from oration.vocoders import MultiBandStft, MultiPeriod, MultiResolutionStft, MultiScale
from oration.vocoders.discriminators import (
    DAC_BANDS,
    ENCODEC_SPECTRA,
    HIFI_GAN_PERIODS,
    HIFI_GAN_SCALES,
    MELGAN_SCALES,
)

PUBLISHED = {
    "HiFi-GAN periods": (HIFI_GAN_PERIODS, 41.1),
    "HiFi-GAN scales": (HIFI_GAN_SCALES, 29.6),
    "MelGAN": (MELGAN_SCALES, 16.9),
}


def shapes(net, samples=2000):
    return [tuple(score.shape) for score, _ in net.build()(torch.randn(1, samples))]


@pytest.mark.parametrize("samples", [5120, 5003])
def test_one_judgement_for_each_period_and_resolution(samples):
    wave = torch.randn(2, samples)
    periods, spectra = MultiPeriod(), MultiResolutionStft()
    for net, expected in ((periods.build(), len(periods.periods)), (spectra.build(), len(spectra.ffts))):
        judged = net(wave)
        assert len(judged) == expected
        for score, seen in judged:
            assert torch.isfinite(score).all()
            assert score.numel() % 2 == 0
            assert len(seen) == 4


@pytest.mark.parametrize("config", [MultiPeriod, MultiScale, MultiResolutionStft, MultiBandStft])
def test_every_one_takes_odd_lengths_and_gives_its_halves_apart(config):
    """A batch of recordings and imitations is judged row by row, so that `chunk` finds each side's."""
    net = config.tiny().build().eval()
    wave = torch.randn(4, 1003)
    whole, halves = net(wave), [net(half) for half in wave.chunk(2)]
    for (score, seen), *parts in zip(whole, *halves, strict=True):
        torch.testing.assert_close(score, torch.cat([part[0] for part in parts]), rtol=1e-4, atol=1e-5)
        for layer, *both in zip(seen, *(part[1] for part in parts), strict=True):
            torch.testing.assert_close(layer, torch.cat(both), rtol=1e-4, atol=1e-5)


def test_a_period_net_sees_each_phase_apart():
    net = MultiPeriod(periods=(4,), channels=(4, 4), strides=(3, 3)).build()
    wave = torch.randn(1, 400)
    changed = wave.clone()
    changed[0, 3::4] += 1.0
    before, after = net(wave)[0][0], net(changed)[0][0]
    same = (before == after).flatten(1).all(1)
    assert same.tolist() == [True, True, True, False]


def test_a_band_sees_its_own_part_of_the_spectrum():
    net = MultiBandStft.tiny().build()
    time = torch.arange(2000)
    low, high = (0.5 * torch.sin(2 * torch.pi * share / 2 * time)[None] for share in (0.1, 0.8))
    # two bands, two layers each: the first layer of each band with and without the high tone
    (_, without), (_, with_high) = net(low)[0], net(low + high)[0]
    changed = [float((a - b)[:, :, 4:-4].abs().mean().detach()) for a, b in zip(without, with_high, strict=True)]
    assert changed[0] < 0.02 * changed[2]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    config, millions = PUBLISHED[name]
    with torch.device("meta"):
        size = sum(p.numel() for p in config.build().parameters())
    assert size / 1e6 == pytest.approx(millions, abs=0.05)


def test_published_shapes_in_small():
    """Scores are where the papers' layers put them: T / 81 of each phase, T / 64 and T / 256, eighths of the bins."""
    narrow = replace(HIFI_GAN_PERIODS, channels=(2,) * 5)
    assert shapes(narrow, 8100) == [(p, 1, math.ceil(math.ceil(8100 / p) / 81)) for p in (2, 3, 5, 7, 11)]
    scales = replace(HIFI_GAN_SCALES, channels=(16,) * 7)
    assert shapes(scales, 6400) == [(1, 1, 100), (1, 1, 51), (1, 1, 26)]
    melgan = replace(MELGAN_SCALES, channels=(256,) * 6)
    assert shapes(melgan, 6400) == [(1, 1, 25), (1, 1, 13), (1, 1, 7)]
    encodec = replace(ENCODEC_SPECTRA, channels=2, ffts=(1024, 256))
    assert shapes(encodec, 2048) == [(1, 1, 9, 65), (1, 1, 33, 17)]
    dac = replace(DAC_BANDS, channels=2, ffts=(1024,))
    # bins 0-51-128-256-384-513, each a quarter, rounded up at every one of three layers
    assert shapes(dac, 2048) == [(1, 1, 9, 7 + 10 + 16 + 16 + 17)]
    assert len(dac.build()(torch.randn(1, 2048))[0][1]) == 25


def test_layers_that_reach_further_in_time_do():
    config = replace(ENCODEC_SPECTRA, ffts=(64,), channels=2)
    net = config.build()
    wave = torch.randn(1, 64 * 40)
    changed = wave.clone()
    changed[:, 1288] += 1.0
    moved = (net(wave)[0][0] != net(changed)[0][0]).any(-1).flatten().nonzero().flatten()
    # the sample is in 4 frames; layers of 3 frames, dilated by 1, 1, 2 and 4, and two more of 3 see around them
    assert int(moved[-1] - moved[0]) + 1 == 4 + 2 * (1 + 1 + 2 + 4 + 1 + 1)


def test_they_are_small():
    size = sum(p.numel() for net in (MultiPeriod().build(), MultiResolutionStft().build()) for p in net.parameters())
    assert size < 300_000


def test_numbers_of_layers_agree():
    with pytest.raises(BadInput, match=r"one of each number for each layer, but has {'channels': \(8,\), 'strides'"):
        MultiPeriod(channels=(8,))
    for config in (MultiScale.tiny(), MultiResolutionStft.tiny(), MultiBandStft.tiny()):
        with pytest.raises(BadInput, match="make them equally long"):
            replace(config, strides=(1,))
