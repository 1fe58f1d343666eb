"""Continuous streams: stacked and averaged frames of an encoder, and the scale they are brought to."""

import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Waveform
from oration.objectives.standardise import Standardise
from oration.tokenizers import Grouped, LogMelFeatures, MfccFeatures, PhoneticEncoder, Segments, Speech, Units


def noise(seconds: float, rate: int = 16000, seed: int = 0) -> Waveform:
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    return Waveform(rng.standard_normal(len(t)) * 0.1 * (1 + np.sin(3 * t)), rate)


@pytest.mark.parametrize(
    ("config", "rate", "dim"),
    [
        (Speech(), 12.5, 640),
        (Speech(encoder=PhoneticEncoder(dim=64), stack=2), 25, 128),
        (Speech(encoder=MfccFeatures(), stack=1, stream="heard"), 50, 78),
        (Segments(), 5, 78),
        (Segments(encoder=PhoneticEncoder(), seconds=0.4), 2.5, 256),
        (Speech(encoder=Grouped(encoder=LogMelFeatures(bands=20), frames=2, mean=True), stack=2), 12.5, 80),
    ],
)
def test_specs_are_known_without_weights(config, rate, dim):
    assert config.specs() == {config.stream: Spec(1, rate, dim)}


def test_asking_for_specs_does_not_touch_chance():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    Speech(encoder=PhoneticEncoder(dim=48, heads=2)).specs()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("encoder", [MfccFeatures.tiny(), PhoneticEncoder.tiny()], ids=["mfcc", "phonetic"])
def test_vectors_are_the_encoders_frames_side_by_side_or_their_mean(encoder):
    wave = noise(1.2)
    torch.manual_seed(0)
    speech = Speech(encoder=encoder, stack=3).build().eval()
    segments = Segments(encoder=encoder, seconds=0.2).build().eval()
    segments.encoder.load_state_dict(speech.encoder.state_dict())
    with torch.no_grad():
        frames = speech.encoder.features(torch.from_numpy(wave.samples)[None])[0].numpy()
    stacked, means = speech.encode([wave])[0]["speech"].values, segments.encode([wave])[0]["words"].values
    assert (stacked.shape, means.shape) == ((20, 3 * frames.shape[1]), (6, frames.shape[1]))
    np.testing.assert_allclose(stacked, frames.reshape(20, -1), atol=1e-4)
    np.testing.assert_allclose(means, frames.reshape(6, 10, -1).mean(1), atol=1e-4)


def test_tiny_keeps_rate_and_name_of_the_instance():
    config = Speech(encoder=PhoneticEncoder(), stack=5, stream="user.speech").tiny()
    assert config.specs()["user.speech"].rate == 10
    assert config.encoder == PhoneticEncoder.tiny()
    assert Segments(seconds=0.1).tiny().specs()["words"].rate == 10


def test_standardise_gives_mean_zero_and_variance_one():
    part = Speech(encoder=LogMelFeatures.tiny(), stack=2).build()
    objective = Standardise().build(part, {})
    waves = [noise(1.0, seed=seed) for seed in range(6)]
    for start in (0, 3):
        batch = {"wave": torch.stack([torch.from_numpy(w.samples) for w in waves[start : start + 3]])}
        ((_, loss),) = objective.losses(part, batch | {"seconds": torch.full((3,), 1.0)}, 0.0)
    assert float(loss.total) == pytest.approx(1, abs=0.1)
    assert loss.parts["vectors"] == 150
    values = np.concatenate([example["speech"].values for example in part.encode(waves)])
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(values.std(0), 1, atol=1e-2)
    objective.eval()
    mean = part.mean.clone()
    list(objective.losses(part, {"wave": torch.zeros(1, 16000), "seconds": torch.ones(1)}, 0.0))
    assert torch.equal(mean, part.mean)


def test_standardise_leaves_padding_out_and_bears_silence():
    part = Speech(encoder=LogMelFeatures.tiny(), stack=1).build()
    objective = Standardise().build(part, {})
    wave = torch.cat([torch.from_numpy(noise(0.5).samples), torch.ones(8000)])[None]
    list(objective.losses(part, {"wave": wave, "seconds": torch.tensor([0.5])}, 0.0))
    assert float(objective.count) == 25
    silent = Speech(encoder=LogMelFeatures.tiny()).build()
    ((_, loss),) = Standardise().build(silent, {}).losses(silent, {"wave": wave * 0, "seconds": torch.ones(1)}, 0.0)
    assert torch.isfinite(loss.total)
    assert torch.isfinite(silent.scale).all()


def test_units_of_segments_are_words_in_a_dictionary():
    """The clusters of tGSLM's segments, for scores that need symbols."""
    units = Units(encoder=Grouped(encoder=MfccFeatures(), frames=10, mean=True), clusters=30, rate=5.0)
    part = units.tiny().build()
    assert len(part.encode([noise(1.01)])[0]["units"]) == 6


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Segments(seconds=0.03).specs(), "1.500 frames"),
        (lambda: Segments(seconds=0.0).specs(), "whole number"),
        (lambda: Grouped(frames=0), "frames >= 1"),
        (lambda: Standardise().build(torch.nn.Linear(2, 2), {}), "Linear gives none"),
        (lambda: Standardise().build(Units().tiny().build(), {}), "UnitsModel gives none"),
    ],
)
def test_what_makes_no_vectors_is_refused(make, says):
    with pytest.raises(BadInput, match=says):
        make()
