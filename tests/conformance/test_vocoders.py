"""Every vocoder, found by walking its folder: whatever has `needs`, `tiny`, and decodes (itself or once built)."""

import dataclasses
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch

import oration.vocoders
from oration.core import Example, Spec, Stream, Vocoder

SPECS = {
    "units": Spec(11, 50),
    "units.runs": Spec(11),
    "f0": Spec(65, 100),
    "speaker": Spec(3),
    "mel": Spec(1, 100, 20),
    "words": Spec(1, 5, 12),
}


def found():
    for module in pkgutil.iter_modules(oration.vocoders.__path__):
        members = importlib.import_module(f"oration.vocoders.{module.name}")
        for name, kind in inspect.getmembers(members, inspect.isclass):
            if kind.__module__ == members.__name__ and dataclasses.is_dataclass(kind) and hasattr(kind, "tiny"):
                part = kind.tiny()
                if not hasattr(part, "needs"):
                    continue
                torch.manual_seed(0)
                part = part.build(SPECS) if hasattr(part, "build") else part
                if hasattr(part, "decode"):
                    yield name, kind, part


PARTS = list(found())
ALL = pytest.mark.parametrize(("kind", "part"), [p[1:] for p in PARTS], ids=[p[0] for p in PARTS])


def example(part, seconds: float, seed: int = 0) -> Example:
    rng = np.random.default_rng(seed)
    made = {}
    for name in part.needs:
        spec = SPECS[name]
        n = 1 if spec.rate is None else spec.length(seconds)
        if spec.dim:
            made[name] = Stream.dense(rng.normal(-4, 2, (n, spec.dim)))
        else:
            made[name] = Stream(rng.integers(0, spec.size, n))
    return made


def test_the_known_ones_are_found():
    assert {"Vocos", "UnitHifiGan", "GriffinLim"} <= {name for name, *_ in PARTS}


@ALL
def test_it_keeps_the_promise(kind, part):
    assert isinstance(part, Vocoder)
    assert kind.__dataclass_params__.frozen


@ALL
def test_sound_is_as_long_as_its_streams(kind, part):
    for seconds in (0.02, 0.5, 1.26):
        (wave,) = part.decode([example(part, seconds)])
        assert wave.rate == part.rate
        assert len(wave) == round(seconds * part.rate)


@ALL
def test_a_batch_equals_its_members_and_itself(kind, part):
    examples = [example(part, seconds, seed) for seed, seconds in enumerate((0.3, 0.1, 0.5))]
    waves = part.decode(examples)
    for one, wave in zip(examples, waves, strict=True):
        assert np.array_equal(part.decode([one])[0].samples, wave.samples)


@ALL
def test_live_equals_offline(kind, part):
    if not hasattr(part, "live"):
        pytest.skip("it has no live form")
    whole = example(part, 0.8)
    live, samples = part.live(), []
    for at in range(0, 8):
        piece = {}
        for name, stream in whole.items():
            rate = SPECS[name].rate
            if rate is not None:
                piece[name] = stream.cut(int(at * rate / 10), int((at + 1) * rate / 10))
            elif at == 0:
                piece[name] = stream
        samples += live.push(piece)
    samples += live.flush()
    np.testing.assert_allclose(
        np.concatenate([wave.samples for wave in samples]), part.decode([whole])[0].samples, atol=1e-5
    )
