"""EnCodec against transformers' and its authors' own: the same weights give the same codes and the same sound."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from references import reference
from safetensors.torch import save_file

from oration.codecs.encodec import ENCODEC_24K, ENCODEC_24K_6KBPS
from oration.codecs.released_encodec import IGNORED, NEW, package, transformers
from oration.codecs.seanet import SeaNetDecoder, SeaNetEncoder
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
        elif name.endswith(("original0", "weight_g")):
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


@torch.no_grad()
@pytest.mark.parity("encodec", reference="transformers EncodecModel")
def test_one_segment_at_48_khz_goes_through_the_same_nets():
    from transformers import EncodecConfig, EncodecModel

    config = EncodecConfig(
        audio_channels=2, norm_type="time_group_norm", use_causal_conv=False, hidden_size=DIM, num_filters=FILTERS,
        codebook_size=SIZE, codebook_dim=DIM, target_bandwidths=[LEVELS * 6 * 75 / 1000],
    )  # fmt: skip
    published = drawn(EncodecModel(config), seed=2)
    kind = {**SMALL, "channels": 2, "causal": False, "norm": "time"}
    nets = (SeaNetEncoder(**kind),), (SeaNetDecoder(**kind),)
    model = replace(TINY, encoder=nets[0], decoder=nets[1]).build().eval()
    carry(model, published.state_dict(), transformers(normed=False), IGNORED)
    x = torch.from_numpy(sound(2 * 4007)).view(1, 4007, 2)
    vectors = published.encoder(x.mT).mT
    torch.testing.assert_close(model.encoder(x), vectors, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.decoder(vectors), published.decoder(vectors.mT).mT, atol=1e-4, rtol=1e-4)


def test_the_published_size():
    from transformers import EncodecConfig, EncodecModel

    with torch.device("meta"):
        published = EncodecModel(EncodecConfig())
        model = ENCODEC_24K.build()
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(p.numel() for p in published.parameters())
    assert count == pytest.approx(14.9e6, rel=0.01)  # of the encoder and the decoder; codebooks are buffers there too
    assert [spec.rate for spec in ENCODEC_24K_6KBPS.specs().values()] == [75] * 8
