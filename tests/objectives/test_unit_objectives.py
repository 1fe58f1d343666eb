"""Frame cross-entropy, CPC and k-means: they learn, they mind padding, they resume exactly."""

import math

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec
from oration.objectives.cpc import Cpc
from oration.objectives.frames import Augment, FrameCrossEntropy
from oration.objectives.kmeans import KMeans
from oration.tokenizers.cpc import CpcEncoder
from oration.tokenizers.features import MfccFeatures
from oration.tokenizers.phonetic import PhoneticEncoder
from oration.tokenizers.units import Units

PITCHES = (200.0, 500.0, 1100.0, 2300.0)


def batch(seed: int, n: int = 4, seconds: float = 1.0) -> dict[str, torch.Tensor]:
    """Tones of 100 ms; the label of a frame says which."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, len(PITCHES), (n, round(seconds * 10))), 5, axis=1)
    hertz = np.repeat(np.array(PITCHES)[labels], 320, axis=1)
    wave = 0.2 * np.sin(2 * np.pi * np.cumsum(hertz, 1) / 16000) + 0.003 * rng.standard_normal(hertz.shape)
    return {
        "wave": torch.from_numpy(wave.astype(np.float32)),
        "phones.frames": torch.from_numpy(labels),
        "seconds": torch.full((n,), seconds),
    }


def train(part, objective, steps: int, first: int = 0, optimizer=None):
    parameters = objective.groups(part)["model"]
    optimizer = optimizer or (torch.optim.Adam(parameters, lr=3e-3) if parameters else None)
    losses = []
    for step in range(first, first + steps):
        torch.manual_seed(step)
        part.train()
        objective.train()
        for group, loss in objective.losses(part, batch(step), step / 200):
            assert group == "model"
            losses.append(loss)
            if loss.total.requires_grad:
                optimizer.zero_grad()
                loss.total.backward()
                optimizer.step()
    return losses, optimizer


def phonetic():
    torch.manual_seed(0)
    part = PhoneticEncoder.tiny().build()
    return part, FrameCrossEntropy().build(part, {"phones.frames": Spec(4, 50)})


def test_frame_cross_entropy_learns_the_labels():
    part, objective = phonetic()
    losses, _ = train(part, objective, 80)
    assert losses[0].parts["nats"] > 1.2
    part.eval()
    objective.eval()
    ((_, held_out),) = objective.losses(part, batch(999), 0.0)
    assert held_out.parts["accuracy"] > 0.9
    assert held_out.total == held_out.parts["nats"]  # no smoothing, no augmentation when measuring


def test_labels_of_minus_one_and_frames_without_label_are_not_scored():
    part, objective = phonetic()
    part.eval()
    objective.eval()
    data = batch(0)
    ((_, whole),) = objective.losses(part, data, 0.0)
    data["phones.frames"][:, 25:] = -1
    ((_, half),) = objective.losses(part, data, 0.0)
    data["phones.frames"] = data["phones.frames"][:, :25]
    ((_, cut),) = objective.losses(part, data, 0.0)
    assert half.total == cut.total != whole.total
    data["phones.frames"] = torch.full_like(data["phones.frames"], -1)
    ((_, none),) = objective.losses(part, data, 0.0)
    assert none.total == 0


def test_it_trains_the_encoder_inside_units():
    units = Units(encoder=PhoneticEncoder.tiny(), clusters=4).build()
    objective = FrameCrossEntropy().build(units, {"phones.frames": Spec(4, 50)})
    names = {id(p) for p in objective.groups(units)["model"]}
    assert all(id(p) in names for p in units.encoder.parameters())


def test_data_without_the_labels_is_refused():
    part, _ = phonetic()
    with pytest.raises(BadInput, match=r"needs the stream 'phones\.frames'"):
        FrameCrossEntropy().build(part, {"units": Spec(4, 50)})


def test_augmentation_changes_the_sound_within_its_limits():
    torch.manual_seed(0)
    samples = batch(0)["wave"]
    augment = Augment(gain=6, noise=(20, 20), noisy=1.0)
    loud = augment.sound(samples).square().mean(1).sqrt() / samples.square().mean(1).sqrt()
    assert (20 * loud.log10()).abs().max() < 6.1
    noise = Augment(gain=0, noise=(20, 20), noisy=1.0).sound(samples) - samples
    ratio = 10 * torch.log10(samples.square().mean(1) / noise.square().mean(1))
    torch.testing.assert_close(ratio, torch.full((4,), 20.0), atol=0.01, rtol=0)
    assert torch.equal(Augment(gain=0, noisy=0.0).sound(samples), samples)
    silence = torch.zeros(1, 1000)
    assert torch.equal(augment.sound(silence), silence)


def test_augmentation_of_bands():
    torch.manual_seed(0)
    mels = torch.randn(3, 50, 20)
    torch.testing.assert_close(Augment(warp=0.0, tilt=0.0).bands(mels), mels)
    assert not torch.allclose(Augment().bands(mels), mels)
    hidden = Augment(time_masks=1, time_width=10, band_masks=1, band_width=5).hide(mels) == 0
    assert hidden.all(2).sum(1).max() <= 10
    assert hidden.all(1).sum(1).max() <= 5
    assert hidden.any()


def cpc():
    torch.manual_seed(0)
    part = CpcEncoder.tiny().build()
    return part, Cpc.tiny().build(part, {})


def test_cpc_learns_to_tell_the_next_frames():
    part, objective = cpc()
    losses, _ = train(part, objective, 60)
    assert float(losses[0].total.detach()) == pytest.approx(math.log(50), abs=0.6)
    assert losses[-1].total < losses[0].total - 0.5
    assert losses[-1].parts["accuracy"] > 1 / 50


def test_cpc_does_not_see_padding():
    part, objective = cpc()
    part.eval()
    objective.eval()
    data = batch(0)
    data["seconds"] = torch.full((4,), 0.5)
    ((_, loss),) = objective.losses(part, data, 0.0)
    data["wave"] = data["wave"].clone()
    data["wave"][:, 8000:] = 0.7
    ((_, other),) = objective.losses(part, data, 0.0)
    torch.testing.assert_close(loss.total, other.total)


def units(encoder=MfccFeatures, clusters: int = 8):
    torch.manual_seed(0)
    part = Units(encoder=encoder.tiny(), clusters=clusters).build()
    return part, KMeans(start=30, memory=200).build(part, {})


def test_kmeans_finds_units_that_follow_the_labels():
    part, objective = units()
    losses, _ = train(part, objective, 40)
    assert not losses[0].total.requires_grad
    assert losses[0].parts["perplexity"] == 0
    assert losses[-1].parts["perplexity"] > 4
    assert losses[-1].total < 0.7 * losses[0].total
    assert part.spread == pytest.approx(float(losses[-1].total), rel=0.3)
    data = batch(999)
    with torch.no_grad():
        features = part.normal(part.encoder.features(data["wave"]))
    found = torch.cdist(features, part.centroids).argmin(-1)
    purity = sum(torch.bincount(data["phones.frames"][found == unit]).max() for unit in found.unique()) / found.numel()
    assert purity > 0.75


def test_kmeans_starts_early_when_the_budget_is_short_and_says_when_there_is_nothing():
    part, objective = units()
    objective.fit.pool.resize_(100_000, part.encoder.dim)
    list(objective.losses(part, batch(0), 0.1))
    assert not objective.fit.started
    list(objective.losses(part, batch(1), 0.3))
    assert objective.fit.started
    part, objective = units(clusters=1000)
    with pytest.raises(BadInput, match="200 frames for 1000 clusters"):
        list(objective.losses(part, batch(0), 0.95))


def test_kmeans_leaves_padding_out():
    part, objective = units()
    data = batch(0)
    data["seconds"] = torch.full((4,), 0.31)
    list(objective.losses(part, data, 0.0))
    assert int(objective.fit.filled) == 4 * 16


def test_kmeans_wants_units():
    part, _ = phonetic()
    with pytest.raises(BadInput, match="has none"):
        KMeans().build(part, {})


@pytest.mark.parametrize("make", [phonetic, cpc, units], ids=["frames", "cpc", "kmeans"])
def test_training_resumes_exactly(make):
    part, objective = make()
    train(part, objective, 3)
    twin, twin_objective = make()
    twin.load_state_dict(part.state_dict())
    twin_objective.load_state_dict(objective.state_dict())
    one, _ = train(part, objective, 4, first=3)
    two, _ = train(twin, twin_objective, 4, first=3)
    assert [loss.total.item() for loss in one] == [loss.total.item() for loss in two]
    for name, value in part.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name]), name
