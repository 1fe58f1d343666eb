import numpy as np
import pytest
import torch

from oration.core import BadInput, Waveform
from oration.tokenizers.cpc import CpcEncoder
from oration.tokenizers.features import LogMelFeatures, MfccFeatures
from oration.tokenizers.phonetic import PhoneticEncoder
from oration.tokenizers.units import Units

ENCODERS = (LogMelFeatures, MfccFeatures, CpcEncoder, PhoneticEncoder)


def noise(seconds: float, rate: int = 16000, seed: int = 0) -> Waveform:
    return Waveform(np.random.default_rng(seed).standard_normal(round(seconds * rate)) * 0.1, rate)


def model(encoder=MfccFeatures, **numbers):
    """Units whose centroids lie among the features, as after a fit."""
    torch.manual_seed(0)
    units = Units(encoder=encoder.tiny(), **{"clusters": 16} | numbers).build()
    (features,) = units.features([noise(2.0, seed=9)])
    units.mean.copy_(torch.from_numpy(features.values.mean(0)))
    units.scale.copy_(torch.from_numpy(1 / features.values.std(0)))
    chosen = torch.randperm(len(features))[: units.numbers.clusters]
    units.centroids.copy_(units.normal(torch.from_numpy(features.values))[chosen])
    units.spread.fill_(float(units.encoder.dim))
    return units


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda kind: kind.__name__)
def test_units_are_the_nearest_centroids_of_the_features(encoder):
    units = model(encoder)
    wave = noise(1.0)
    (example,), (features,) = units.encode([wave]), units.features([wave])
    distance = ((features.values[:, None] - units.centroids.numpy()) ** 2).sum(2)
    assert np.array_equal(example["units"].ids, distance.argmin(1))
    assert len(set(example["units"].ids)) > 3


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("stickiness", [0.0, 0.3])
def test_live_equals_offline(encoder, stickiness):
    units = model(encoder, stickiness=stickiness)
    live = units.live()
    for seed in range(3):
        wave, rng = noise(1.3, seed=seed), np.random.default_rng(seed)
        cuts = np.sort(rng.integers(0, len(wave), 9))
        found = [e["units"].ids for piece in np.split(wave.samples, cuts) for e in live.push(Waveform(piece, 16000))]
        found += [e["units"].ids for e in live.flush()]
        assert np.array_equal(np.concatenate(found), units.encode([wave])[0]["units"].ids)


def test_a_long_recording_is_encoded_in_blocks():
    units = model(PhoneticEncoder)
    wave = noise(45.0)
    (whole,) = units.encode([wave])
    live = units.live()
    pieces = [e["units"].ids for start in range(0, 45) for e in live.push(wave.cut(start, start + 1))]
    assert np.array_equal(whole["units"].ids, np.concatenate([*pieces, *(e["units"].ids for e in live.flush())]))


def test_stickiness_makes_fewer_and_longer_runs():
    wave = noise(4.0)
    runs = []
    for stickiness in (0.0, 0.2, 0.5, 100.0):
        (example,) = model(stickiness=stickiness).encode([wave])
        runs.append(int((np.diff(example["units"].ids) != 0).sum()))
    assert runs == sorted(runs, reverse=True)
    assert runs[0] > runs[2]
    assert runs[-1] == 0


def test_stickiness_is_the_rule_it_says():
    units = model(stickiness=0.2)
    wave = noise(1.0)
    (features,) = units.features([wave])
    distance = ((features.values[:, None] - units.centroids.numpy()) ** 2).sum(2)
    slow: list[int] = []
    for row in distance:
        best = int(row.argmin())
        stay = slow and row[slow[-1]] - row[best] <= 0.2 * float(units.spread)
        slow.append(slow[-1] if stay else best)
    assert units.encode([wave])[0]["units"].ids.tolist() == slow


def test_the_rate_of_the_recording_does_not_matter():
    """The same sound at 48 kHz: nearly all units agree (resampling leaves a little above 7 kHz aside)."""
    t = np.arange(48000 * 2) / 48000
    tone = np.sin(2 * np.pi * (300 + 200 * np.sin(2 * np.pi * t)) * t) * 0.3
    units = model()
    (high,), (low,) = units.encode([Waveform(tone, 48000)]), units.encode([Waveform(tone[::3], 16000)])
    assert (high["units"].ids == low["units"].ids).mean() > 0.9


def test_a_change_of_rate_within_a_live_recording_is_refused():
    live = model().live()
    live.push(noise(0.1))
    with pytest.raises(BadInput, match="48000 Hz, expected 16000 Hz"):
        live.push(noise(0.1, 48000))
    live.flush()
    live.push(noise(0.1, 48000))


def test_wrong_numbers_are_refused():
    with pytest.raises(BadInput, match="clusters >= 2"):
        Units(clusters=1)
    with pytest.raises(BadInput, match="encoder gives 50"):
        Units(encoder=MfccFeatures(), rate=25).build()


def test_state_is_weights_and_centroids_only():
    state = model(PhoneticEncoder).state_dict()
    assert {"mean", "scale", "centroids", "spread", "encoder.mean", "encoder.variance", "encoder.seen"} <= state.keys()
