"""SNAC against its author's package: the same weights give the same codes and the same sound, noise included."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from references import reference
from safetensors.torch import save_file

from oration.codecs.released_snac import IGNORED, package
from oration.codecs.snac import SNAC_24K, SNAC_32K, SNAC_44K, Noise, SnacDecoder, SnacEncoder
from oration.core import Waveform
from oration.core.released import load_released

SIZE, SCALES = 64, (4, 2, 1)
NETS = {  # width next to the sound and of the decoder, strides, window
    "speech": (4, 32, (2, 4, 8, 8), None),
    "music": (16, 128, (2, 3, 4), 8),  # heads are 64 wide there, whatever the width
}


@torch.no_grad()
def drawn(model):
    """The model with random weights, none of them trivial."""
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        loud = 0.5 if name.startswith("decoder") else 1.0  # so that the sound is not all at the ends of the tanh
        if name.endswith("alpha"):
            weight.uniform_(0.5, 2)
        elif name.endswith("original0"):
            weight.uniform_(0.5 * loud, 1.5 * loud)
        elif weight.ndim > 1:
            weight.normal_(std=weight[0].numel() ** -0.5)
        else:
            weight.normal_(std=0.05).add_(float("norm.weight" in name))
    return model.eval()


@cache
def theirs(kind):
    width, inner, strides, window = NETS[kind]
    return drawn(
        reference("snac").SNAC(
            encoder_dim=width,
            encoder_rates=list(strides),
            decoder_dim=inner,
            decoder_rates=list(strides[::-1]),
            attn_window_size=window,
            codebook_size=SIZE,
            codebook_dim=8,
            vq_strides=list(SCALES),
        )
    )


@pytest.fixture(params=NETS)
def pair(request, tmp_path):
    """Their model and ours of the same weights, carried in a file."""
    net = theirs(request.param)
    width, inner, strides, window = NETS[request.param]
    encoder = SnacEncoder(width=width, strides=strides, window=window)
    codec = replace(
        SNAC_24K, encoder=(encoder,), quantizer=replace(SNAC_24K.quantizer, size=SIZE, strides=SCALES),
        decoder=(SnacDecoder(dim=encoder.dim, width=inner, strides=strides[::-1], window=window),),
        dim=encoder.dim, window=window or 1,
    )  # fmt: skip
    model = codec.build().eval()
    save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, tmp_path / "model.safetensors")
    load_released(model, tmp_path, package(), IGNORED)
    return net, model


def sound(length):
    return np.random.default_rng(length).normal(size=length).astype(np.float32) * 0.3


@torch.no_grad()
@pytest.mark.parity("snac", reference="snac 1.2.1")
@pytest.mark.parametrize("length", [8192, 10_007, 5])
def test_the_same_codes_and_sound(pair, length, monkeypatch):
    net, model = pair
    x = sound(length)
    codes = net.encode(torch.from_numpy(x)[None, None])
    layers = [layer for layer in model.decoder.modules() if isinstance(layer, Noise)]
    noises = iter([layer.sequence(0, 20_000) for layer in layers])

    def draw(shape, **_):
        return next(noises)[None, None, : shape[2]]

    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn", draw)
        wave = net.decode(codes)[0, 0].numpy()
    (example,) = model.encode([Waveform(x, 24_000)])
    for stream, code in zip(example.values(), codes, strict=True):
        assert np.array_equal(stream.ids, code[0].numpy())
    assert length < 5000 or len(set(codes[-1][0].tolist())) > 8
    again = model.decode([example])[0].samples
    np.testing.assert_allclose(again, wave, atol=1e-4)
    assert again.std() > 1e-2


@torch.no_grad()
@pytest.mark.parity("snac", reference="snac 1.2.1")
def test_the_same_sound_without_noise(pair, monkeypatch):
    net, model = pair
    for layer in model.decoder.modules():
        if isinstance(layer, Noise):
            layer.seed = None
    codes = net.encode(torch.from_numpy(sound(4000))[None, None])
    monkeypatch.setattr(torch, "randn", lambda shape, **_: torch.zeros(shape))
    again = model.decode([model.example(codes)])[0].samples
    np.testing.assert_allclose(again, net.decode(codes)[0, 0].numpy(), atol=1e-4)


def test_the_published_sizes():
    for codec, millions, rates in (
        (SNAC_24K, 19.8, (11.7, 23.4, 46.9)),
        (SNAC_32K, 54.5, (10.4, 20.8, 41.7, 83.3)),
        (SNAC_44K, 54.5, (14.4, 28.7, 57.4, 114.8)),
    ):
        with torch.device("meta"):
            model = codec.build()
        assert sum(weight.numel() for weight in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
        assert [float(spec.rate) for spec in codec.specs().values()] == pytest.approx(rates, abs=0.06)
