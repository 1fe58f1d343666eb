from dataclasses import replace

import numpy as np
import pytest
import torch

from oration.core import Spec
from oration.objectives.gan import Gan
from oration.objectives.spectral import Distance
from oration.vocoders import UnitHifiGan, Vocos

SPECS = {"units": Spec(5, 50), "f0": Spec(9, 100)}


def batch(size=2, units=20):
    """Each unit is a steady tone of its own."""
    rng = np.random.default_rng(0)
    ids = np.repeat(rng.integers(0, 5, (size, units // 5)), 5, 1)
    hertz = np.repeat(300 + 400 * ids, 320, 1)
    wave = 0.3 * np.sin(2 * np.pi * np.cumsum(hertz, 1) / 16000)
    f0 = np.full((size, 2 * units), 8)
    return {
        "wave": torch.from_numpy(wave.astype(np.float32)),
        "units": torch.from_numpy(ids),
        "f0": torch.from_numpy(f0),
        "seconds": torch.full((size,), units / 50),
    }


def step(objective, part, optimizers, data, progress):
    seen = {}
    for group, loss in objective.losses(part, data, progress):
        seen[group] = loss
        optimizers[group].zero_grad()
        loss.total.backward()
        optimizers[group].step()
    return seen


def start(config, gan, lr=4e-3):
    torch.manual_seed(0)
    part = config.build(SPECS)
    objective = gan.build(part, SPECS)
    groups = objective.groups(part)
    return part, objective, {name: torch.optim.AdamW(group, lr) for name, group in groups.items()}


@pytest.mark.parametrize("config", [Vocos.tiny(), replace(Vocos.tiny(), pitch=None), UnitHifiGan.tiny()])
def test_a_few_steps_bring_the_sound_nearer(config):
    part, objective, optimizers = start(config, Gan.tiny())
    losses = [float(step(objective, part, optimizers, batch(), 0.0)["model"].total.detach()) for _ in range(25)]
    assert losses[-1] < 0.9 * losses[0]


def test_no_critic_runs_before_its_time():
    part, objective, optimizers = start(Vocos.tiny(), Gan.tiny())
    assert list(step(objective, part, optimizers, batch(), 0.59)) == ["model"]
    seen = step(objective, part, optimizers, batch(), 0.6)
    assert list(seen) == ["critic", "model"]
    assert {"mel", "stft", "sc", "adversarial", "features"} <= set(seen["model"].parts)


def test_each_loss_touches_its_own_group_only():
    part, objective, _ = start(Vocos.tiny(), Gan.tiny())
    groups = objective.groups(part)
    assert not set(map(id, groups["model"])) & set(map(id, groups["critic"]))
    for group, loss in objective.losses(part, batch(), 0.9):
        for parameter in (*groups["model"], *groups["critic"]):
            parameter.grad = None
        loss.total.backward()
        other = "critic" if group == "model" else "model"
        assert all(p.grad is None for p in groups[other])
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in groups[group])
    assert all(p.requires_grad for p in groups["critic"])


def test_the_critics_learn_to_tell_them_apart():
    part, objective, optimizers = start(Vocos.tiny(), Gan.tiny(), lr=1e-2)
    losses = []
    for _ in range(40):
        for group, loss in objective.losses(part, batch(), 0.9):
            if group == "critic":
                losses.append(float(loss.total.detach()))
                optimizers[group].zero_grad()
                loss.total.backward()
                optimizers[group].step()
    assert losses[-1] < 0.9 * losses[0]


def test_the_window_is_the_same_of_both():
    _, objective, _ = start(Vocos.tiny(), Gan.tiny())
    real = torch.randn(3, 8000)
    torch.manual_seed(1)
    one, other = objective._windows(real, real * 2)
    assert one.shape == (3, 1600)
    torch.testing.assert_close(one * 2, other)
    short, _ = objective._windows(real[:, :500], real[:, :500])
    torch.testing.assert_close(short, real[:, :500])


def test_distances_vanish_for_equal_sounds_and_mean_what_they_say():
    distance = Distance(ffts=(512, 256), wave=1.0).build(16000)
    wave = torch.randn(2, 8000) * 0.1
    assert all(float(d) == 0 for d in distance(wave, wave).values())
    found = distance(wave * 2, wave)
    assert list(found) == ["wave", "mel", "stft", "sc"]
    assert float(found["wave"]) == pytest.approx(float(wave.abs().mean()), rel=1e-5)
    assert float(found["mel"]) == pytest.approx(np.log(2), rel=0.01)
    assert float(found["stft"]) == pytest.approx(np.log(2), rel=0.01)
    assert float(found["sc"]) == pytest.approx(1.0, rel=0.01)
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(8000) / 16000)[None]
    assert float(distance.magnitudes(tone, 512)[0, 10].max()) == pytest.approx(1.0, rel=0.01)


def test_bfloat16_leaves_the_distances_alone():
    part, objective, _ = start(Vocos.tiny(), Gan.tiny())
    with torch.autocast("cpu", torch.bfloat16):
        for _, loss in objective.losses(part, batch(), 0.9):
            assert loss.total.dtype == torch.float32
            loss.total.backward()
