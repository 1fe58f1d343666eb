"""What both generators must do, and what only one of them does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput, Spec, Stream
from oration.vocoders import UnitHifiGan, Vocos
from oration.vocoders.chunks import decode

SPECS = {"units": Spec(11, 50), "f0": Spec(9, 100), "speaker": Spec(3), "mel": Spec(1, 100, 5)}
NEEDS = ("units", "f0", "speaker")
CONFIGS = {
    "vocos": replace(Vocos.tiny(), needs=NEEDS),
    "vocos, no bound": replace(Vocos.tiny(), needs=NEEDS, ahead=None, fft=400),
    "vocos, the paper's head": replace(Vocos.tiny(), needs=NEEDS, pitch=None),
    "hifigan": replace(UnitHifiGan.tiny(), needs=NEEDS),
    "hifigan, double": replace(UnitHifiGan.tiny(), needs=NEEDS, upsample=(5, 4, 8), kernels=(11, 8, 8), double=True),
}


def built(config):
    torch.manual_seed(0)
    model = config.build(SPECS).eval()
    for name, weight in model.named_parameters():
        if "original0" in name:  # the gains of weight norm: make an untrained net loud enough to compare
            weight.data.mul_(8)
    return model


@pytest.fixture(scope="module")
def models():
    return {name: built(config) for name, config in CONFIGS.items()}


def spoken(units, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "units": Stream(rng.integers(0, 11, units)),
        "f0": Stream(rng.integers(0, 9, 2 * units)),
        "speaker": Stream(np.array([1])),
    }


def tensors(example):
    return {n: torch.from_numpy(s.ids) if n == "speaker" else torch.from_numpy(s.ids)[None] for n, s in example.items()}


def whole(model, example):
    with torch.inference_mode():
        return model(tensors(example))[0].numpy()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("chunk", [0.05, 0.31, 4.0])
def test_pieces_give_what_the_whole_gives(models, name, chunk):
    model, example = models[name], spoken(70)
    expected = whole(model, example)
    assert len(expected) == 70 * 320
    assert np.abs(expected).max() > 1e-2, "silence would prove nothing"
    (wave,) = decode(model, [example], chunk=chunk)
    np.testing.assert_allclose(wave.samples, expected, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=12, deadline=None)
@given(
    units=st.integers(1, 40),
    steps=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 30), st.booleans()), max_size=8),
)
def test_live_equals_offline_for_every_cutting(models, name, units, steps):
    model, example = models[name], spoken(units, seed=units)
    live, at, samples, named = model.live(), {"units": 0, "f0": 0}, [], False
    for units_step, f0_step, name_now in [*steps, (units, 2 * units, True)]:
        part = {}
        for stream, step in (("units", units_step), ("f0", f0_step)):
            part[stream], at[stream] = example[stream].cut(at[stream], at[stream] + step), at[stream] + step
        if name_now and not named:
            part["speaker"], named = example["speaker"], True
        samples += live.push(part)
    samples += live.flush()
    got = np.concatenate([wave.samples for wave in samples])
    np.testing.assert_allclose(got, model.decode([example])[0].samples, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_live_waits_no_longer_than_it_says(models, name):
    model, example = models[name], spoken(40)
    frames = sum(len(w) for w in model.live().push(example)) // model.hop
    assert frames == 80 - model.reach[1]
    assert model.delay == pytest.approx(model.reach[1] / 100)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_future_beyond_the_reach_changes_nothing(models, name):
    model, example = models[name], spoken(60)
    changed = dict(example)
    for stream, n in (("units", 2), ("f0", 1)):
        ids = example[stream].ids.copy()
        ids[80 // n :] = (ids[80 // n :] + 1) % SPECS[stream].size
        changed[stream] = Stream(ids)
    before, after = whole(model, example), whole(model, changed)
    kept = (80 - model.reach[1]) * model.hop
    np.testing.assert_allclose(before[:kept], after[:kept], atol=1e-6)
    assert np.abs(before - after)[kept:].max() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_equals_its_members(models, name):
    model, examples = models[name], [spoken(n, seed=n) for n in (3, 31, 12)]
    for wave, example in zip(model.decode(examples), examples, strict=True):
        assert np.array_equal(wave.samples, model.decode([example])[0].samples)


@pytest.mark.parametrize("name", [n for n in CONFIGS if n.startswith("vocos")])
def test_padding_of_a_training_batch_changes_nothing(models, name):
    model, short, long = models[name], tensors(spoken(9)), tensors(spoken(20, 1))
    batch = {n: torch.full_like(long[n], -1).repeat(2, 1) for n in ("units", "f0")}
    for n in batch:
        batch[n][0, : short[n].shape[1]], batch[n][1] = short[n][0], long[n][0]
    batch["speaker"] = torch.tensor([1, 1])
    with torch.inference_mode():
        waves = model(batch)
    torch.testing.assert_close(waves[0, : 9 * 320], model(short)[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(waves[1], model(long)[0], atol=1e-5, rtol=0)
    assert not waves[0, 9 * 320 :].any()


def test_the_streams_need_not_end_together():
    model = built(CONFIGS["vocos"])
    example = spoken(10)
    assert len(model.decode([{**example, "f0": example["f0"].cut(0, 19)}])[0]) == 19 * 160
    with pytest.raises(BadInput, match="differ in length"):
        model.decode([{**example, "f0": example["f0"].cut(0, 15)}])


@pytest.mark.parametrize("name", ["vocos", "hifigan"])
def test_faulty_examples_are_refused(models, name):
    model, example = models[name], spoken(5)
    with pytest.raises(BadInput, match="'f0'"):
        model.decode([{n: s for n, s in example.items() if n != "f0"}])
    with pytest.raises(BadInput, match="99"):
        model.decode([{**example, "units": Stream(np.full(5, 99))}])
    with pytest.raises(BadInput, match="never came"):
        model.live().flush()
    empty = {**example, "units": Stream(np.zeros(0, np.int64)), "f0": Stream(np.zeros(0, np.int64))}
    assert len(model.decode([empty])[0]) == 0


def test_a_continuous_stream_is_spoken_as_well():
    model = replace(Vocos.tiny(), needs=("mel",)).build(SPECS)
    values = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    (wave,) = decode(model, [{"mel": Stream.dense(values)}], chunk=0.1)
    with torch.inference_mode():
        expected = model({"mel": torch.from_numpy(values)[None]})[0].numpy()
    np.testing.assert_allclose(wave.samples, expected, atol=1e-5)


def test_sizes_of_the_papers():
    specs = {"units": Spec(100, 50), "f0": Spec(65, 100)}
    big = UnitHifiGan(needs=("units",), upsample=(5, 4, 4, 2, 2), kernels=(11, 8, 8, 4, 4)).build(specs)
    assert big.hop == 320
    assert sum(p.numel() for p in big.parameters()) == pytest.approx(13.5e6, rel=0.1)
    small = UnitHifiGan.small().build(specs)
    assert sum(p.numel() for p in small.parameters()) < 2e6
    with pytest.raises(BadInput, match="odd or both even"):
        UnitHifiGan(kernels=(10, 8, 8, 4))


def test_the_harmonics_of_a_steady_pitch_are_where_they_belong():
    model = built(CONFIGS["vocos"])
    pitch = model.head.pitch
    with torch.no_grad():
        model.head.out.weight.zero_()
        bins = model.config.fft // 2 + 1
        model.head.out.bias[: 2 * bins], model.head.out.bias[2 * bins :] = 0.0, -30.0
    ids = 5
    units, f0 = torch.zeros(1, 100, dtype=torch.long), torch.full((1, 200), ids)
    with torch.inference_mode():
        wave = model({"units": units, "f0": f0, "speaker": torch.tensor([0])})[0, 8000:24000]
    spectrum = torch.fft.rfft(wave * torch.hann_window(16000)).abs()
    hertz = float(pitch.hertz[ids])
    for order in range(1, 8):
        at, between = round(hertz * order), spectrum[round(hertz * (order + 0.3)) : round(hertz * (order + 0.7))]
        assert spectrum[at - 3 : at + 4].max() > 30 * between.max()
