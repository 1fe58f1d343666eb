"""DAC against transformers' and its authors' own: the same weights give the same codes and the same sound."""

import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from references import _Missing as Missing
from references import reference
from safetensors.torch import save_file

from oration.codecs.dac import DAC_16K, DAC_24K, DAC_44K, DacDecoder, DacEncoder, dac
from oration.codecs.released_dac import package, transformers
from oration.core import Waveform
from oration.core.released import carry, load_released

LEVELS, SIZE, WIDTH, STRIDES = 4, 64, 4, (2, 4, 5, 8)
HOP = 320
CODEC = dac(16_000, LEVELS, STRIDES)
TINY = replace(
    CODEC,
    encoder=(DacEncoder(width=WIDTH, strides=STRIDES),),
    quantizer=replace(CODEC.quantizer, size=SIZE),
    decoder=(DacDecoder(dim=16 * WIDTH, width=96, strides=STRIDES[::-1]),),
    dim=16 * WIDTH,
)


@torch.no_grad()
def drawn(model, seed=0):
    """The model with random weights, none of them trivial."""
    torch.manual_seed(seed)
    for name, weight in model.named_parameters():
        loud = 0.5 if name.startswith("decoder") else 1.0  # so that the sound is not all at the ends of the tanh
        if name.endswith("alpha"):
            weight.uniform_(0.5, 2)
        elif name.endswith("weight_g"):
            weight.uniform_(0.5 * loud, 1.5 * loud)
        else:
            weight.normal_(std=0.05 if "bias" in name else loud * weight[0].numel() ** -0.5)
    return model.eval()


def sound(length):
    return np.random.default_rng(length).normal(size=length).astype(np.float32) * 0.3


def padded(x):
    """Filled up to whole hops, which both implementations leave to what is before them."""
    return torch.from_numpy(np.pad(x, (0, -len(x) % HOP)))[None, None]


def same(model, x, codes, wave):
    """See that `model` gives long[levels, F] `codes` and from them float[T] `wave`."""
    (example,) = model.encode([Waveform(x, model.rate)])
    assert np.array_equal(np.stack([stream.ids for stream in example.values()]), codes.numpy())
    (again,) = model.decode([example])
    np.testing.assert_allclose(again.samples, wave.numpy(), atol=1e-4)
    assert again.samples.std() > 1e-2


@cache
def theirs():
    from transformers import DacConfig, DacModel

    config = DacConfig(
        encoder_hidden_size=WIDTH, downsampling_ratios=list(STRIDES), decoder_hidden_size=96, n_codebooks=LEVELS,
        codebook_size=SIZE,
    )  # fmt: skip
    return drawn(DacModel(config))


@cache
def ours():
    model = TINY.build().eval()
    carry(model, theirs().state_dict(), transformers())
    return model


@torch.no_grad()
@pytest.mark.parity("dac", reference="transformers DacModel")
@pytest.mark.parametrize("length", [6400, 6401, 7919, 1117, 5])
def test_transformers_has_the_same_codes_and_sound(length):
    x = sound(length)
    codes = theirs().encode(padded(x)).audio_codes[0]
    assert length < 5000 or all(len(set(row.tolist())) > 8 for row in codes)
    same(ours(), x, codes, theirs().decode(audio_codes=codes[None]).audio_values[0])


@torch.no_grad()
@pytest.mark.parity("dac", reference="transformers DacModel")
def test_transformers_has_the_same_sound_of_fewer_levels():
    x = sound(3200)
    codes = theirs().encode(padded(x)).audio_codes[:, :2]
    wave = theirs().decode(audio_codes=codes).audio_values[0]
    (example,) = ours().encode([Waveform(x, 16_000)])
    np.testing.assert_allclose(ours().decode([example], levels=2)[0].samples, wave.numpy(), atol=1e-4)
    del example["codec.2"]
    np.testing.assert_allclose(ours().decode([example])[0].samples, wave.numpy(), atol=1e-4)


@torch.no_grad()
@pytest.mark.parity("dac", reference="descript-audio-codec 1.0.0")
def test_its_authors_package_has_the_same_codes_and_sound(tmp_path, monkeypatch):
    ml, audiotools = Missing("audiotools.ml"), Missing("audiotools")
    ml.BaseModel = type("BaseModel", (torch.nn.Module,), {"INTERN": [], "EXTERN": []})  # what DAC is derived from
    audiotools.ml = ml
    for module in (ml, audiotools):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    nets = reference("dac.model.dac", "argbind")
    quantize = reference("dac.nn.quantize")
    net = torch.nn.Module()
    net.encoder = nets.Encoder(WIDTH, list(STRIDES), 16 * WIDTH)
    net.quantizer = quantize.ResidualVectorQuantize(16 * WIDTH, LEVELS, SIZE, 8)
    net.decoder = nets.Decoder(16 * WIDTH, 96, list(STRIDES[::-1]))
    drawn(net, seed=1)
    save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, tmp_path / "model.safetensors")
    model = TINY.build().eval()
    load_released(model, tmp_path, package())
    x = sound(7919)
    codes = net.quantizer(net.encoder(padded(x)))[1]
    same(model, x, codes[0], net.decoder(net.quantizer.from_codes(codes)[0])[0, 0])


def test_the_published_sizes():
    from transformers import DacConfig, DacModel

    for codec, millions in ((DAC_16K, 74.2), (DAC_24K, 74.7), (DAC_44K, 76.7)):
        config = DacConfig(
            downsampling_ratios=list(codec.encoder[0].strides), n_codebooks=codec.quantizer.levels,
            sampling_rate=codec.rate,
        )  # fmt: skip
        with torch.device("meta"):
            published, model = DacModel(config), codec.build()
        lengths = sum(weight.numel() for name, weight in model.named_parameters() if name.endswith("gain"))
        count = sum(weight.numel() for weight in model.parameters())
        assert count - lengths == sum(weight.numel() for weight in published.parameters())
        assert count / 1e6 == pytest.approx(millions, abs=0.1)  # with weight norm, as the package has it
        assert model.hop == config.hop_length
