"""Codec nets over spectra keep their rates and stream exactly."""

import pytest
import torch

from oration.audio.mel import LogMel
from oration.codecs import Bypass, Codec, SpectralDecoder, SpectralEncoder, Voice
from oration.core import BadInput
from oration.evaluate.signal import mel_gap
from oration.nn.pieces import Chain, ahead, join
from oration.nn.quantize import Rvq

SMALL = {"width": 6, "inner": 8, "dim": 4, "layers": (1, 1, 1), "kernel": 3, "fft": 40, "hop": 10}


@torch.no_grad()
@pytest.mark.parametrize("strides", [(2, 2), (2, 1), (1, 1)])
@pytest.mark.parametrize("late", [{}, {"back": 15, "ahead": 1}])
def test_pieces_equal_the_whole_and_do_not_see_the_future(strides, late):
    torch.manual_seed(0)
    encoder = SpectralEncoder(**SMALL, strides=strides)
    decoder = SpectralDecoder(**SMALL, strides=strides[::-1], **late)
    assert encoder.stride == decoder.stride == 10 * strides[0] * strides[1]
    net = Chain(encoder.build(), decoder.build()).double()
    assert net.aligned == (not late)
    assert net.layers[0].aligned
    x = torch.randn(2, 405, 1, dtype=torch.float64)
    frames = net.layers[0](x)
    assert frames.shape == (2, -(-405 // encoder.stride), 4)
    whole = net(x)
    assert whole.shape == (2, frames.shape[1] * encoder.stride, 1)
    state, parts, at = net.start(2, x), [], 0
    for cut in (1, 1, 33, 80, 240, 405):
        y, state = net.push(x[:, at:cut], state)
        parts.append(y)
        at = cut
    torch.testing.assert_close(join([*parts, net.flush(state)]), whole, rtol=0, atol=1e-10)
    if not late:
        other = torch.cat((x[:, :200], torch.randn(2, 205, 1, dtype=torch.float64)), 1)
        torch.testing.assert_close(net(other)[:, :200], whole[:, :200])


VOICE, BYPASS = Voice(bins=16, floor=80.0, ceiling=400.0, bands=20), Bypass(bands=20, coefficients=1)


@torch.no_grad()
@pytest.mark.parametrize("bypass", [None, BYPASS])
@pytest.mark.parametrize(("voice", "back"), [(None, 0), (VOICE, 0), (VOICE, 480)])
def test_with_magnitudes_a_voice_and_a_bypass_pieces_equal_the_whole(voice, back, bypass):
    torch.manual_seed(0)
    numbers = SMALL | {"fft": 640, "hop": 160}
    encoder = SpectralEncoder(**numbers, magnitudes=(320, 1024), voice=voice, bypass=bypass)
    decoder = SpectralDecoder(**numbers, back=back, voice=voice, bypass=bypass)
    net = Chain(encoder.build(), decoder.build()).double()
    assert net.layers[0].aligned
    assert net.aligned == (back == 0)
    assert ahead(net) == back
    x = 0.1 * torch.randn(2, 6000, 1, dtype=torch.float64)
    whole = net(x)
    assert whole.shape == (2, 10 * 640, 1)
    state, parts, at = net.start(2, x), [], 0
    for cut in (1, 1, 333, 800, 2400, 6000):
        y, state = net.push(x[:, at:cut], state)
        parts.append(y)
        at = cut
    torch.testing.assert_close(join([*parts, *net.rest(state)]), whole, rtol=0, atol=1e-9)
    torch.testing.assert_close(net(x[1:]), whole[1:], rtol=0, atol=1e-9)
    other = torch.cat((x[:, :3200], 0.1 * torch.randn(2, 2800, 1, dtype=torch.float64)), 1)
    torch.testing.assert_close(net(other)[:, : 3200 - back], whole[:, : 3200 - back])
    if back == 0:
        _, state = net.push(x[:, :3200], net.start(2, x))
        y, _ = net.push(x[:, 3200:5760], net.reset(state, torch.tensor([True, False]), x))
        torch.testing.assert_close(y[0], net(x[:1, 3200:5760])[0])
        torch.testing.assert_close(y[1], whole[1, 3200:5760])


@torch.no_grad()
def test_a_bypass_says_what_is_heard_before_anything_is_learnt():
    torch.manual_seed(0)
    numbers = {"dim": 256, "width": 16, "inner": 24, "layers": (1, 1, 1)}
    net = Chain(
        SpectralEncoder(**numbers, magnitudes=(320, 1024), bypass=Bypass()).build(),
        SpectralDecoder(**numbers, back=480, voice=Voice(), bypass=Bypass()).build(),
    )
    # from noise to a hum that swells: loudness and colour change
    time = torch.arange(16_000) / 16_000
    wave = torch.where(time < 0.5, 0.02 * torch.randn(16_000), 0.3 * time * torch.sin(800 * torch.pi * time))
    copy = net(wave[None, :, None])[0, :, 0]
    plain = 0.1 * torch.randn(16_000)
    gaps = [total / frames for total, frames in (mel_gap(wave.numpy(), y.numpy(), LogMel()) for y in (copy, plain))]
    assert gaps[0] < 0.5 * gaps[1]


def test_a_voice_is_taught_by_the_batch_and_says_what_is_missing():
    torch.manual_seed(0)
    numbers = SMALL | {"fft": 640, "hop": 160}
    codec = Codec(
        encoder=(SpectralEncoder(**numbers),),
        quantizer=Rvq(levels=2, size=4, pool=2),
        decoder=(SpectralDecoder(**numbers, voice=VOICE),),
        dim=4,
        rate=16_000,
    ).build()
    wave = 0.1 * torch.randn(2, 6400)
    batch = {"wave": wave, "f0": torch.randint(17, (2, 40))}
    made = codec.train()(batch)
    assert made.wave.shape == wave.shape
    assert {"commitment", "pitch", "envelope"} == set(made.losses)
    sum(made.losses.values()).backward()
    head = codec.decoder.layers[0].layers[-1]
    assert head.heard.weight.grad.any()
    with pytest.raises(BadInput, match=r"taught pitch by the stream 'f0', but the batch has \['wave'\]"):
        codec({"wave": wave})
    with pytest.raises(BadInput, match="holds the symbol 17, but the decoder's voice has 16 bins"):
        codec({"wave": wave, "f0": torch.full((2, 40), 17)})
    assert set(codec.eval()(batch).losses) == {"pitch", "envelope"}
    assert not codec({"wave": wave}).losses


def test_a_bypass_needs_room():
    with pytest.raises(BadInput, match="48 coefficients of 4 frames do not fit vectors of 128"):
        SpectralEncoder(bypass=Bypass()).build()


def test_a_tiny_one_has_the_same_rates():
    encoder, decoder = SpectralEncoder(), SpectralDecoder(strides=(2, 1), back=240)
    assert encoder.tiny().stride == encoder.stride == 640
    assert decoder.tiny().stride == decoder.stride == 320
    assert sum(p.numel() for p in encoder.tiny().build().parameters()) < 30_000


def test_every_rate_needs_its_blocks():
    with pytest.raises(BadInput, match="3 rates"):
        SpectralEncoder(layers=(4, 4))
