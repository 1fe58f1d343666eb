"""EnCodec against transformers' and its authors' own: the same weights give the same codes and the same sound."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from references import reference
from safetensors.torch import save_file

from oration.codecs.encodec import ENCODEC_24K, ENCODEC_24K_6KBPS, ENCODEC_48K
from oration.codecs.released_encodec import IGNORED, NEW, package, transformers
from oration.core import Waveform
from oration.core.released import carry, load_released

AUDIO = ("torchaudio", "torchaudio.functional", "torchaudio.functional.functional")
LEVELS, SIZE, DIM, FILTERS = 8, 64, 16, 4
SMALL = {"dim": DIM, "filters": FILTERS}
TINY = replace(
    ENCODEC_24K,
    encoder=(replace(ENCODEC_24K.encoder[0], **SMALL),),
    quantizer=replace(ENCODEC_24K.quantizer, levels=LEVELS, size=SIZE, cuts=()),
    decoder=(replace(ENCODEC_24K.decoder[0], **SMALL),),
    dim=DIM,
)
# A multiple of the hop, one sample more, less than a hop, and less than the mirror image before the first sample needs.
LENGTHS = (6400, 6401, 7919, 1117, 300, 5)


@torch.no_grad()
def drawn(model, seed=0):
    """The model with random weights, none of them trivial, whose latents use all of its codebooks."""
    torch.manual_seed(seed)
    for name, weight in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith(("embed", "embed_avg")):
            weight.normal_(std=0.3)
        elif name.endswith(("original0", "weight_g", "norm.weight")):
            weight.copy_(1 + torch.rand_like(weight))
        elif weight.is_floating_point() and weight.ndim:
            weight.normal_(std=0.25)
    return model.eval()


@cache
def theirs():
    from transformers import EncodecConfig, EncodecModel

    bandwidth = LEVELS * 6 * 75 / 1000  # kbit/s of 64 codewords at 75 Hz
    config = EncodecConfig(
        target_bandwidths=[bandwidth], hidden_size=DIM, num_filters=FILTERS, codebook_size=SIZE, codebook_dim=DIM
    )
    return drawn(EncodecModel(config))


@cache
def ours():
    model = TINY.build().eval()
    carry(model, theirs().state_dict(), transformers(norm=NEW), IGNORED)
    return model


def sound(length):
    return np.random.default_rng(length).normal(size=length).astype(np.float32) * 0.3


@torch.no_grad()
@pytest.mark.parity("encodec", reference="transformers EncodecModel")
@pytest.mark.parametrize("length", LENGTHS)
def test_transformers_has_the_same_codes_and_sound(length):
    x = sound(length)
    codes = theirs().encode(torch.from_numpy(x)[None, None]).audio_codes[0, 0]
    wave = theirs().decode(codes[None, None], [None]).audio_values[0, 0]
    (example,) = ours().encode([Waveform(x, 24_000)])
    assert np.array_equal(np.stack([example[f"codec.{level}"].ids for level in range(LEVELS)]), codes.numpy())
    assert length < 5000 or len(set(codes[0].tolist())) > 5
    (again,) = ours().decode([example])
    np.testing.assert_allclose(again.samples, wave.numpy(), atol=1e-4)


@torch.no_grad()
@pytest.mark.parity("encodec", reference="encodec 0.1.1")
def test_its_authors_package_has_the_same_codes_and_sound(tmp_path):
    modules = reference("encodec.modules", *AUDIO)
    quantization = reference("encodec.quantization", *AUDIO)
    net = torch.nn.Module()
    net.encoder = modules.SEANetEncoder(dimension=DIM, n_filters=FILTERS, causal=True)
    net.decoder = modules.SEANetDecoder(dimension=DIM, n_filters=FILTERS, causal=True)
    net.quantizer = quantization.ResidualVectorQuantizer(dimension=DIM, n_q=LEVELS, bins=SIZE)
    drawn(net, seed=1)
    save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, tmp_path / "model.safetensors")
    model = TINY.build().eval()
    load_released(model, tmp_path, package(), IGNORED)
    x = sound(7919)
    latent = net.encoder(torch.from_numpy(x)[None, None])
    codes = torch.stack([code[0] for code in net.quantizer.vq.encode(latent, n_q=LEVELS)])
    wave = net.decoder(net.quantizer.decode(codes[:, None]))[0, 0]
    (example,) = model.encode([Waveform(x, 24_000)])
    assert np.array_equal(np.stack([stream.ids for stream in example.values()]), codes.numpy())
    np.testing.assert_allclose(model.decode([example])[0].samples, wave.numpy(), atol=1e-4)


TINY_48K = replace(
    ENCODEC_48K,
    encoder=(replace(ENCODEC_48K.encoder[0], **SMALL),),
    quantizer=replace(ENCODEC_48K.quantizer, levels=LEVELS, size=SIZE, cuts=()),
    decoder=(replace(ENCODEC_48K.decoder[0], **SMALL),),
    dim=DIM,
    segment=0.2,
)


def stereo(length):
    """float32[2, T], of which one channel is louder than the other, and the end than the beginning."""
    rise = np.linspace(0.1, 1, length, dtype=np.float32)
    return np.stack([sound(length) * rise, 0.3 * sound(length + 1)[1:] * rise])


def channels(x):
    return tuple(Waveform(side, 48_000) for side in x)


@cache
def theirs_48k():
    from transformers import EncodecConfig, EncodecModel

    config = EncodecConfig(
        audio_channels=2, norm_type="time_group_norm", use_causal_conv=False, hidden_size=DIM, num_filters=FILTERS,
        codebook_size=SIZE, codebook_dim=DIM, target_bandwidths=[LEVELS * 6 * 150 / 1000], sampling_rate=48_000,
        normalize=True, chunk_length_s=0.2, overlap=0.01,
    )  # fmt: skip
    return drawn(EncodecModel(config), seed=2)


@cache
def ours_48k():
    model = TINY_48K.build().eval()
    carry(model, theirs_48k().state_dict(), transformers(normed=False), IGNORED)
    return model


# One segment, of which a sample is missing, whole, or less than a hop; several, the last of an ordinary length.
@torch.no_grad()
@pytest.mark.parity("encodec_48k", reference="transformers EncodecModel")
@pytest.mark.parametrize("length", [9504, 4007, 300, 5, 2 * 9504 + 3000, 3 * 9504])
def test_at_48_khz_too_it_has_the_same_codes_and_sound(length):
    x = stereo(length)
    found = theirs_48k().encode(torch.from_numpy(x)[None])
    wave = (
        theirs_48k()
        .decode(found.audio_codes, found.audio_scales, last_frame_pad_length=found.last_frame_pad_length)
        .audio_values[0]
    )
    codes = torch.cat([frame[0] for frame in found.audio_codes], 1)
    codes = codes[:, : codes.shape[1] - max(0, found.last_frame_pad_length)]
    (example,) = ours_48k().encode([channels(x)])
    assert np.array_equal(np.stack([example[f"codec.{level}"].ids for level in range(LEVELS)]), codes.numpy())
    scales = torch.cat(found.audio_scales).numpy()
    np.testing.assert_allclose(example["codec.scale"].values, scales, rtol=1e-5)
    assert length < 5000 or len(set(codes[0].tolist())) > 5
    (sides,) = ours_48k().decode_channels([example])
    np.testing.assert_allclose(np.stack([side.samples for side in sides]), wave.numpy(), atol=1e-4)
    (mixed,) = ours_48k().decode([example])
    np.testing.assert_allclose(mixed.samples, wave.mean(0).numpy(), atol=1e-4)


# The second length ends in an overlap, by less than half a hop: the last segment but one is shorter than the others.
@torch.no_grad()
@pytest.mark.parity("encodec_48k", reference="encodec 0.1.1")
@pytest.mark.parametrize("length", [2 * 9504 + 3000, 2 * 9504 + 20, 9504 + 20, 9600])
def test_its_authors_package_has_the_same_segments(length, tmp_path):
    theirs = reference("encodec.model", *AUDIO)
    modules = reference("encodec.modules", *AUDIO)
    quantization = reference("encodec.quantization", *AUDIO)
    kind = {"dimension": DIM, "n_filters": FILTERS, "channels": 2, "causal": False, "norm": "time_group_norm"}
    quantizer = quantization.ResidualVectorQuantizer(dimension=DIM, n_q=LEVELS, bins=SIZE)
    encoder, decoder = modules.SEANetEncoder(**kind), modules.SEANetDecoder(**kind)
    bandwidth = LEVELS * 6 * 150 / 1000
    net = theirs.EncodecModel(encoder, decoder, quantizer, [bandwidth], 48_000, 2, normalize=True, segment=0.2)
    drawn(net, seed=3).set_target_bandwidth(bandwidth)
    save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, tmp_path / "model.safetensors")
    model = TINY_48K.build().eval()
    load_released(model, tmp_path, package(normed=False), IGNORED)
    x = stereo(length)
    frames = net.encode(torch.from_numpy(x)[None])
    (example,) = model.encode([channels(x)])
    codes = torch.cat([codes[0] for codes, _ in frames], 1)
    assert np.array_equal(np.stack([example[f"codec.{level}"].ids for level in range(LEVELS)]), codes.numpy())
    assert len(example["codec.scale"]) == len(frames)
    wave = net.decode(frames)[0, :, :length]
    (sides,) = model.decode_channels([example])
    np.testing.assert_allclose(np.stack([s.samples[:length] for s in sides]), wave.numpy(), atol=1e-4)


def test_the_published_size():
    from transformers import EncodecConfig, EncodecModel

    with torch.device("meta"):
        published = EncodecModel(EncodecConfig())
        model = ENCODEC_24K.build()
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(p.numel() for p in published.parameters())
    assert count == pytest.approx(14.9e6, rel=0.01)  # of the encoder and the decoder; codebooks are buffers there too
    assert [spec.rate for spec in ENCODEC_24K_6KBPS.specs().values()] == [75] * 8


def test_the_published_size_at_48_khz():
    from transformers import EncodecConfig, EncodecModel

    config = EncodecConfig(
        audio_channels=2, norm_type="time_group_norm", use_causal_conv=False, sampling_rate=48_000, normalize=True,
        chunk_length_s=1.0, overlap=0.01, target_bandwidths=[3.0, 6.0, 12.0, 24.0],
    )  # fmt: skip
    with torch.device("meta"):
        published = EncodecModel(config)
        model = ENCODEC_48K.build()
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in published.parameters())
    assert len(model.numbers.streams) == config.num_quantizers
    assert (ENCODEC_48K.length, ENCODEC_48K.step) == (config.chunk_length, config.chunk_stride)
    theirs = {name for name in published.state_dict() if "inited" not in name and "embed_avg" not in name}
    assert len(theirs) == len(model.state_dict())
    assert ENCODEC_48K.specs()["codec.0"].rate * 99 == 150 * 100
