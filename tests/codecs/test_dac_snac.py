"""DAC, SNAC and BigCodec: any cutting is the whole, noise is the same each time, and all of it can be trained."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.codecs.bigcodec import BIGCODEC
from oration.codecs.dac import DAC_16K, DAC_24K, DAC_44K
from oration.codecs.snac import SNAC_24K, SNAC_32K, SNAC_44K, Noise, SnacDecoder, WindowAttention
from oration.core import BadInput, Waveform
from oration.nn.activations import Snake
from oration.nn.pieces import whole

CODECS = {
    "dac 16": DAC_16K, "dac 24": DAC_24K, "dac 44": DAC_44K, "snac 24": SNAC_24K, "snac 32": SNAC_32K,
    "snac 44": SNAC_44K, "bigcodec": BIGCODEC,
}  # fmt: skip
BITS = {  # kbit/s as published
    "dac 16": 6, "dac 24": 24, "dac 44": 7.8, "snac 24": 0.98, "snac 32": 1.9, "snac 44": 2.6, "bigcodec": 1.04,
}  # fmt: skip


@cache
def tiny(name):
    torch.manual_seed(1)
    model = CODECS[name].tiny().build().eval()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, Snake):
                layer.alpha.uniform_(0.5, 1.5)
    return model


def sound(seconds, rate, seed=0):
    return Waveform(np.random.default_rng(seed).normal(size=round(seconds * rate)).astype(np.float32) * 0.3, rate)


@pytest.mark.parametrize("name", CODECS)
def test_the_published_bitrate(name):
    specs = CODECS[name].specs().values()
    bits = sum(np.log2(spec.size) * float(spec.rate) for spec in specs) / 1000
    assert bits == pytest.approx(BITS[name], rel=0.03)


@pytest.mark.parametrize("name", CODECS)
def test_live_codes_and_sound_are_those_of_the_whole(name):
    model = tiny(name)
    wave = sound(0.4, model.rate)
    (example,) = model.encode([wave])
    assert {key: len(stream) for key, stream in example.items()} == {
        key: model.numbers.block * -(-len(wave) // (model.hop * model.numbers.block)) // stride
        for key, stride in zip(model.numbers.streams, model.numbers.strides, strict=True)
    }
    (said,) = model.decode([example])
    lost = {"dac 16": 8, "dac 24": 8}.get(name, 0)  # an odd stride, as released
    assert len(said) == model.hop * model.numbers.block * -(-len(wave) // (model.hop * model.numbers.block)) - lost
    rng = np.random.default_rng(1)
    cuts = sorted(rng.integers(0, len(wave), 6))
    live, speaker, codes, parts = model.live(), model.speaker(), [], []
    for piece in np.split(wave.samples, cuts):
        codes += live.push(Waveform(piece, wave.rate))
    codes += live.flush()
    for example_ in codes:
        parts += speaker.push(example_)
    parts += speaker.flush()
    for key, stream in example.items():
        assert np.array_equal(np.concatenate([part[key].ids for part in codes]), stream.ids)
    np.testing.assert_allclose(np.concatenate([part.samples for part in parts]), said.samples, atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(block=st.integers(1, 12), frames=st.integers(1, 20), name=st.sampled_from(["dac 16", "snac 24", "bigcodec"]))
def test_nets_in_blocks_are_the_nets(block, frames, name):
    model = tiny(name)
    x = torch.randn(2, frames * model.hop, 1, generator=torch.Generator().manual_seed(frames))
    with torch.no_grad():
        vectors = model.encoder(x)
        assert vectors.shape == (2, frames, model.numbers.dim)
        torch.testing.assert_close(whole(model.encoder, x, block * 100), vectors, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(whole(model.decoder, vectors, block), model.decoder(vectors), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CODECS)
def test_all_of_it_learns(name):
    model = replace(CODECS[name].tiny(), rate=CODECS[name].rate).build().train()
    wave = torch.randn(2, 3 * model.hop + 17) * 0.3
    made = model({"wave": wave})
    assert made.wave.shape == wave.shape
    (made.wave.square().mean() + sum(made.losses.values())).backward()
    for key, weight in model.named_parameters():
        assert weight.grad is not None, key
        assert torch.isfinite(weight.grad).all(), key
    assert sum(float(weight.grad.abs().sum()) > 0 for weight in model.parameters()) > 0.9 * len(
        list(model.parameters())
    )


def test_noise_is_the_same_in_any_cutting_and_drawn_anew_in_training():
    layer = Noise(3, seed=5).eval()
    drawn = layer.sequence(0, 20_000)
    assert abs(float(drawn.mean())) < 0.05
    assert float(drawn.std()) == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.sequence(8_000, 500), drawn[8_000:8_500])
    assert not torch.equal(drawn[:1000], Noise(3, seed=6).sequence(0, 1000))
    x = torch.ones(1, 50, 3)
    with torch.no_grad():
        assert torch.equal(layer(x), layer(x))
        assert not torch.equal(layer(x), x)
        assert torch.equal(Noise(3, seed=None).eval()(x), x)
        assert not torch.equal(layer.train()(x), layer(x))


def test_decoders_of_another_seed_differ_in_noise_alone():
    model = tiny("snac 24")
    numbers = replace(model.numbers, decoder=(replace(model.numbers.decoder[0], seed=None),))
    silent = numbers.build().eval()
    silent.load_state_dict(model.state_dict())
    (example,) = model.encode([sound(0.2, 24_000)])
    noisy, clean = model.decode([example])[0].samples, silent.decode([example])[0].samples
    assert noisy.shape == clean.shape
    assert not np.allclose(noisy, clean)
    assert not any(isinstance(layer, Noise) for layer in SnacDecoder(noise=False).tiny().build().modules())


def test_windows_do_not_see_each_other():
    torch.manual_seed(0)
    layer = WindowAttention(32, window=4, head=16).eval()
    x = torch.randn(1, 10, 32)
    with torch.no_grad():
        y = layer(x)
        torch.testing.assert_close(y[:, 4:8], layer(x[:, 4:8]))
        torch.testing.assert_close(y[:, 8:], layer(x[:, 8:]))
        assert not torch.allclose(y[:, :4], layer(x[:, :3])[:, :1].expand(-1, 4, -1))
        torch.testing.assert_close(whole(layer, x, 3), y)
    with pytest.raises(BadInput, match="width 30"):
        WindowAttention(30, window=4, head=16)


def test_fewer_levels_of_several_rates():
    model = tiny("snac 24")
    (example,) = model.encode([sound(0.3, 24_000)])
    some = {name: example[name] for name in list(example)[:2]}
    np.testing.assert_array_equal(model.decode([some])[0].samples, model.decode([example], levels=2)[0].samples)
    with pytest.raises(BadInput, match=r"codec\.0"):
        model.decode([{"codec.1": example["codec.1"]}])
