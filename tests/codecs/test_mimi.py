"""Mimi and TS3-Codec: rates, sizes, and live streams that give what whole recordings give."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.codecs.mimi import MIMI
from oration.codecs.sessions import Sessions, fast
from oration.codecs.ts3 import TS3, TS3_40HZ
from oration.core import BadInput, Waveform

TINY = {"mimi": MIMI.tiny(), "ts3": TS3.tiny()}


@cache
def drawn(name):
    torch.manual_seed(0)
    model = TINY[name].build().eval()
    with torch.no_grad():
        for weight in [*model.parameters(), *(w for n, w in model.named_buffers() if n.endswith("codebook"))]:
            weight.normal_(std=0.3)
        for weight in list(model.decoder.parameters())[-2:]:
            weight.mul_(0.03)  # as loud as speech
    return model


def sound(model, frames, seed=0):
    draw = np.random.default_rng(seed)
    return torch.from_numpy(draw.standard_normal((frames, model.hop)).astype(np.float32)) * 0.3


def ids(model, example):
    return torch.stack([torch.from_numpy(example[name].ids) for name in model.numbers.streams], 1)


@pytest.mark.parametrize(
    ("codec", "levels", "size", "rate", "hertz"),
    [(MIMI, 8, 2048, 12.5, 24_000), (TS3, 1, 2**16, 50, 16_000), (TS3_40HZ, 1, 2**16, 40, 16_000)],
)
def test_the_published_rates_and_levels(codec, levels, size, rate, hertz):
    specs = codec.specs()
    assert len(specs) == levels
    assert {(spec.size, spec.rate) for spec in specs.values()} == {(size, rate)}
    assert codec.rate == codec.vocoder().rate == hertz


def test_as_many_parameters_as_the_authors_code_has():
    with torch.device("meta"):
        model = MIMI.build()
    assert sum(weight.numel() for weight in model.parameters()) == 79_308_609
    assert sum(w.numel() for n, w in model.quantizer.named_buffers() if n.endswith("codebook")) == 32 * 2048 * 256
    assert model.aligned


@pytest.mark.parametrize("name", TINY)
@settings(max_examples=10, deadline=None)
@given(length=st.integers(1, 60_000), cuts=st.lists(st.integers(0, 60_000), max_size=5), seed=st.integers(0, 9))
def test_any_cutting_gives_the_same(name, length, cuts, seed):
    model = drawn(name)
    wave = sound(model, 60_000 // model.hop + 1, seed).flatten()[:length].numpy()
    (example,) = model.encode([Waveform(wave, model.rate)])
    frames = -(-length // model.hop)
    assert ids(model, example).shape == (frames, len(model.specs()))
    live = model.live()
    parts = [
        p for cut in np.split(wave, sorted(min(c, length) for c in cuts)) for p in live.push(Waveform(cut, model.rate))
    ]
    found = torch.cat([ids(model, part) for part in [*parts, *live.flush()]])
    assert torch.equal(found, ids(model, example))
    (whole,) = model.decode([example])
    assert len(whole) == frames * model.hop
    with torch.no_grad():
        vectors = model.quantizer.decode(list(ids(model, example).T[:, None]))
        np.testing.assert_allclose(whole.samples, model.decoder(vectors)[0, :, 0].numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("quick", [False, True])
def test_sessions_begin_anew_and_sit_out_and_none_can_tell(name, quick):
    model, count, steps = drawn(name), 4, 24
    waves = torch.stack([sound(model, steps, seed) for seed in range(count)])
    sessions = Sessions(fast(model) if quick else model, count)
    heard, said, draw = [[] for _ in range(count)], [[] for _ in range(count)], torch.Generator().manual_seed(3)
    for step in range(steps):
        slots = torch.rand(count, generator=draw) < 0.06
        sessions.reset(slots)
        for i in torch.nonzero(slots).flatten().tolist():
            heard[i], said[i] = [], []
        active = torch.rand(count, generator=draw) < 0.7
        given_ = waves[:, step] if step % 3 else waves[:, step].where(active[:, None], 0.0)
        codes = sessions.encode(given_, active if not active.all() else None)
        made = sessions.decode(codes, active)
        for i in torch.nonzero(active).flatten().tolist():
            heard[i].append((given_[i], codes[i]))
            said[i].append(made[i])
    for pairs, frames in zip(heard, said, strict=True):
        wave, codes = (torch.stack(side) for side in zip(*pairs, strict=True))
        (example,) = model.encode([Waveform(wave.flatten().numpy(), model.rate)])
        assert torch.equal(codes, ids(model, example))
        (whole,) = model.decode([example])
        np.testing.assert_allclose(torch.cat(frames).numpy(), whole.samples, rtol=0, atol=1e-5)


def test_fewer_levels_say_less_but_as_long():
    model = drawn("mimi")
    sessions = Sessions(model, 1)
    codes = sessions.encode(sound(model, 1))
    one = sessions.decode(codes[:, :1])
    sessions.reset(torch.tensor([True]))
    whole = sessions.decode(codes)
    assert one.shape == whole.shape == (1, model.hop)
    assert not torch.equal(one, whole)


def test_fast_leaves_the_model_as_it_was():
    model = drawn("mimi")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    quick = fast(model)
    assert {name: weight.shape for name, weight in model.state_dict().items()} == {
        n: w.shape for n, w in before.items()
    }
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    wave = Waveform(sound(model, 40).flatten().numpy(), model.rate)
    (first,), (second,) = model.encode([wave]), quick.encode([wave])
    assert torch.equal(ids(model, first), ids(model, second))
    np.testing.assert_allclose(quick.decode([second])[0].samples, model.decode([first])[0].samples, rtol=0, atol=1e-5)


def test_what_sessions_refuse():
    from oration.codecs.snac import SNAC_24K

    model = drawn("ts3")
    sessions = Sessions(model, 2)
    with pytest.raises(BadInput, match=r"shape \(2, 5\)"):
        sessions.encode(torch.zeros(2, 5))
    with pytest.raises(BadInput, match=r"shape \(2, 3\)"):
        sessions.decode(torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(BadInput, match="looks ahead"):
        Sessions(SNAC_24K.tiny().build(), 2)
    with pytest.raises(BadInput, match="fp64"):
        fast(model, "fp64")


@pytest.mark.parametrize("name", TINY)
def test_it_trains(name):
    torch.manual_seed(0)
    codec = TINY[name]
    if name == "mimi":
        codec = replace(codec, quantizer=replace(codec.quantizer, dropout=0.0, bypass=0.0))
    model = codec.build().train()
    batch = {"wave": torch.randn(4, 30_000) * 0.1}
    for _ in range(3):  # the codebooks are made of what they are given first
        made = model(batch)
    assert made.wave.shape == (4, 30_000)
    (made.wave.square().mean() + sum(made.losses.values())).backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing
