import numpy as np
import pytest
import torch

from oration.core import BadInput, Spec, Stream
from oration.vocoders import Prosody

SPECS = {"units": Spec(6, 50), "units.runs": Spec(6), "f0": Spec(9, 100), "speaker": Spec(3)}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Prosody(needs=("units.runs", "speaker")).build(SPECS)


def test_prediction_fills_in_durations_units_and_pitch(model):
    runs = np.array([1, 4, 2, 5])
    example = {"units.runs": Stream(runs), "speaker": Stream(np.array([2]))}
    (found,) = model.predict([example])
    assert set(model.gives) == {"units.durations", "units", "f0"}
    lengths = found["units.durations"].ids + 1
    assert np.array_equal(found["units"].ids, np.repeat(runs, lengths))
    assert len(found["f0"]) == 2 * len(found["units"])
    found["f0"].verify("f0", SPECS["f0"])
    assert found["speaker"] is example["speaker"]
    assert model.training, "it is left as it was"
    again = model.predict([example, {**example, "units.runs": Stream(runs[:2])}])
    assert np.array_equal(again[0]["f0"].ids, found["f0"].ids)


def test_known_durations_are_kept(model):
    runs, lengths = Stream(np.array([1, 4])), Stream(np.array([0, 40]))
    example = {"units.runs": runs, "units.durations": lengths, "speaker": Stream(np.array([0]))}
    (found,) = model.predict([example])
    assert found["units"].ids.tolist() == [1] + [4] * 41


def test_no_runs_no_sound(model):
    (found,) = model.predict([{"units.runs": Stream(np.zeros(0, np.int64)), "speaker": Stream(np.array([0]))}])
    assert len(found["units"]) == len(found["f0"]) == 0


def test_without_a_pitch_stream_it_gives_durations_only():
    specs = {name: spec for name, spec in SPECS.items() if name != "f0"}
    model = Prosody.tiny().build(specs)
    assert model.gives == ("units.durations", "units")
    assert "f0" not in model.predict([{"units.runs": Stream(np.array([3]))}])[0]


def test_it_is_small():
    specs = SPECS | {"units": Spec(512, 50), "f0": Spec(65, 100)}
    assert sum(p.numel() for p in Prosody().build(specs).parameters()) <= 1_500_000


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(BadInput, match="'speaker'"):
        model.predict([{"units.runs": Stream(np.array([1]))}])
    with pytest.raises(BadInput, match="the id 7"):
        model.predict([{"units.runs": Stream(np.array([7])), "speaker": Stream(np.array([0]))}])
    with pytest.raises(BadInput, match="multiple"):
        Prosody().build(SPECS | {"f0": Spec(9, 75)})
    with pytest.raises(BadInput, match="nothing gives 'units'"):
        Prosody().build({"f0": Spec(9, 100)})
    with pytest.raises(BadInput, match="runs"):
        Prosody(needs=("units",))
