import pytest
import torch

from oration.vocoders import MultiPeriod, MultiResolutionStft


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


def test_a_period_net_sees_each_phase_apart():
    net = MultiPeriod(periods=(4,), channels=(4, 4)).build()
    wave = torch.randn(1, 400)
    changed = wave.clone()
    changed[0, 3::4] += 1.0
    before, after = net(wave)[0][0], net(changed)[0][0]
    same = (before == after).flatten(1).all(1)
    assert same.tolist() == [True, True, True, False]


def test_they_are_small():
    size = sum(p.numel() for net in (MultiPeriod().build(), MultiResolutionStft().build()) for p in net.parameters())
    assert size < 300_000
