"""Balance, distillation, noisy input and what critics say, each by itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput, Spec
from oration.objectives.balance import Balance
from oration.objectives.distil import Distil
from oration.objectives.judges import Judges
from oration.objectives.noisy import Noisy
from oration.vocoders.discriminators import MultiPeriod, MultiResolutionStft


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(1e-4, 1e4)), min_size=1, max_size=4), st.integers(0, 99))
def test_each_loss_pulls_as_its_weight_says_whatever_its_scale(settings_of_each, seed):
    weights = {str(i): weight for i, (weight, _) in enumerate(settings_of_each)}
    balance = Balance(weights)
    torch.manual_seed(seed)
    directions = [torch.nn.functional.normalize(torch.randn(1, 500), dim=1) for _ in weights]
    pulls = {str(i): d * scale for i, (d, (_, scale)) in enumerate(zip(directions, settings_of_each, strict=True))}
    for _ in range(3):
        joined = balance(pulls)
    wanted = sum(w / sum(weights.values()) * d for w, d in zip(weights.values(), directions, strict=True))
    torch.testing.assert_close(joined, wanted, rtol=1e-3, atol=1e-5)


def test_the_mean_of_norms_is_slow_and_unbiased():
    balance = Balance({"a": 1.0}, decay=0.9)
    one = torch.ones(1, 1)
    assert float(balance({"a": 4 * one})) == pytest.approx(1.0)
    # norms 4 and 8 so far, the later weighs more: (0.9 * 4 + 8) / 1.9
    assert float(balance({"a": 8 * one})) == pytest.approx(8 / ((0.9 * 4 + 8) / 1.9))


def test_a_loss_that_comes_later_joins_at_its_full_share():
    balance = Balance({"a": 1.0, "b": 3.0})
    for _ in range(50):
        alone = balance({"a": torch.tensor([[5.0, 0.0]])})
    torch.testing.assert_close(alone, torch.tensor([[1.0, 0.0]]))
    both = balance({"a": torch.tensor([[5.0, 0.0]]), "b": torch.tensor([[0.0, 0.01]])})
    torch.testing.assert_close(both, torch.tensor([[0.25, 0.75]]))
    with pytest.raises(BadInput, match="the weight of 'a' in a balance is -1, expected 0 or more"):
        Balance({"a": -1})


def test_the_two_sides_want_opposite_things():
    torch.manual_seed(0)
    real, fake = torch.randn(2, 2, 2000).unbind()
    judges = Judges((MultiPeriod.tiny().build(), MultiResolutionStft.tiny().build()), "hinge")
    fake.requires_grad_()
    opinion = judges(real, fake)
    down = torch.autograd.grad(opinion.adversarial, fake, retain_graph=True)[0]
    up = torch.autograd.grad(opinion.critic, fake)[0]
    torch.testing.assert_close(down, -up)
    assert float(judges(real, real).features.detach()) == 0
    assert float(opinion.features.detach()) > 0.01


def test_one_pass_over_both_is_two_passes():
    judges = Judges((MultiPeriod.tiny().build(),), "squares")
    real, fake = torch.randn(2, 3, 1001).unbind()
    found = judges(real, fake)
    scores = [[score for score, _ in judges.critics[0](wave)] for wave in (real, fake)]
    wanted = sum(((1 - good) ** 2).mean() + (bad**2).mean() for good, bad in zip(*scores, strict=True)) / 2
    torch.testing.assert_close(found.critic, wanted)


@pytest.mark.parametrize("voices", [0.0, 1.0])
def test_noise_is_as_loud_as_asked(voices):
    torch.manual_seed(0)
    wave = torch.randn(6, 4000) * torch.tensor([0.01, 0.1, 1, 0.01, 0.1, 1])[:, None]
    noisy = Noisy(share=1.0, voices=voices, snr=(10.0, 10.0))(wave)
    ratio = wave.square().mean(1) / (noisy - wave).square().mean(1)
    torch.testing.assert_close(10 * ratio.log10(), torch.full((6,), 10.0), rtol=0, atol=0.01)
    if voices:
        added = torch.nn.functional.normalize(noisy - wave)
        alike = (added * torch.nn.functional.normalize(wave.roll(1, 0))).sum(1)
        torch.testing.assert_close(alike, torch.ones(6), atol=1e-3, rtol=0)


def test_some_recordings_stay_clean_and_chance_is_torchs():
    wave = torch.randn(64, 400)
    torch.manual_seed(3)
    one = Noisy(share=0.5)(wave)
    torch.manual_seed(3)
    assert torch.equal(one, Noisy(share=0.5)(wave))
    assert 16 < int((one == wave).all(1).sum()) < 48
    assert torch.equal(Noisy(share=0.0)(wave), wave)
    silent = Noisy(share=1.0)(torch.zeros(2, 400))
    assert torch.isfinite(silent).all()
    assert silent.abs().max() < 1e-6


def teach(config, spec, first, batch, steps=150):
    torch.manual_seed(0)
    model = config.build(first.shape[-1], {config.stream: spec})
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        losses.append(model(first, batch))
        losses[-1].backward()
        optimizer.step()
    return [float(loss) for loss in losses]


@pytest.mark.parametrize("axis", ["width", "time"])
def test_vectors_of_another_rate_are_learned_by_cosine(axis):
    torch.manual_seed(0)
    first = torch.randn(2, 10, 6)
    teacher = (first @ torch.randn(6, 4)).repeat_interleave(2, 1)  # twice as many a second
    losses = teach(Distil(axis=axis), Spec(1, 50, 4), first, {"speech": teacher})
    best = 0.0 if axis == "width" else float(torch.nn.functional.softplus(torch.tensor(-1.0)))
    assert losses[0] > best + 0.2
    assert losses[-1] == pytest.approx(best, abs=0.01)


def test_symbols_are_learned_and_padding_is_not():
    torch.manual_seed(0)
    units = torch.randint(0, 5, (3, 8))
    first = torch.nn.functional.one_hot(units, 5).float().repeat_interleave(2, 1)
    padded = torch.cat((units[:, :4], torch.full((3, 4), -1)), 1)
    assert teach(Distil(stream="units"), Spec(5, 25), first, {"units": units})[-1] < 0.1
    model = Distil(stream="units").build(5, {"units": Spec(5, 25)})
    short = model(first[:, :8], {"units": units[:, :4]})
    torch.testing.assert_close(model(first, {"units": padded}), short)
    assert float(model(first, {"units": torch.full((3, 8), -1)})) == 0


def test_frames_behind_the_end_teach_nothing():
    torch.manual_seed(0)
    model = Distil().build(4, {"speech": Spec(1, 50, 3)})
    first, teacher = torch.randn(2, 8, 4), torch.randn(2, 8, 3)
    teacher[:, 5:] = 0
    torch.testing.assert_close(model(first, {"speech": teacher}), model(first[:, :5], {"speech": teacher[:, :5]}))


def test_a_stream_the_feed_does_not_bring_is_named():
    model = Distil(stream="units").build(5, {"units": Spec(5, 25)})
    with pytest.raises(BadInput, match=r"needs 'units' in the batch, which has \['wave'\]; name it in feed.streams"):
        model(torch.zeros(1, 2, 5), {"wave": torch.zeros(1, 9)})
