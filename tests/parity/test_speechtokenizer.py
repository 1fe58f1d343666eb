"""SpeechTokenizer against its authors' package: the same weights give the same codes and the same sound."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from references import reference
from safetensors.torch import save_file

from oration.codecs.released_speechtokenizer import IGNORED, release
from oration.codecs.speechtokenizer import SPEECHTOKENIZER
from oration.core import Waveform
from oration.core.released import load_released

# Its package imports its trainer, and that what trainers need.
UNUSED = ("beartype", "beartype.door", "accelerate", "lion_pytorch", "tensorboard", "speechtokenizer.trainer")
CONFIG = {
    "n_filters": 64, "dimension": 1024, "semantic_dimension": 768, "strides": [8, 5, 4, 2], "lstm_layers": 2,
    "bidirectional": True, "dilation_base": 2, "residual_kernel_size": 3, "n_residual_layers": 1, "activation": "ELU",
    "sample_rate": 16_000, "n_q": 8, "codebook_size": 1024,
}  # fmt: skip
"""As released."""
SMALL = {**CONFIG, "n_filters": 4, "dimension": 16, "semantic_dimension": 12, "codebook_size": 48}
TINY = replace(
    SPEECHTOKENIZER,
    encoder=(replace(SPEECHTOKENIZER.encoder[0], dim=16, filters=4),),
    quantizer=replace(SPEECHTOKENIZER.quantizer, size=48),
    decoder=(replace(SPEECHTOKENIZER.decoder[0], dim=16, filters=4),),
    dim=16,
)


def package(config):
    return reference("speechtokenizer.model", *UNUSED).SpeechTokenizer(config)


@cache
@torch.no_grad()
def theirs():
    """Its model with random weights, none of them trivial."""
    torch.manual_seed(0)
    model = package(SMALL)
    for name, weight in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith("weight_g"):
            weight.copy_(1 + torch.rand_like(weight))
        elif weight.is_floating_point() and not name.endswith("inited"):
            weight.normal_(std=0.25)
    return model.eval()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speechtokenizer")
    tensors = {name: tensor.clone() for name, tensor in theirs().state_dict().items()}
    save_file(tensors, folder / "SpeechTokenizer.safetensors")
    model = TINY.build().eval()
    load_released(model, folder, release(), IGNORED)
    return model


@torch.no_grad()
@pytest.mark.parity("speechtokenizer", reference="speechtokenizer 1.0.1")
@pytest.mark.parametrize("length", [6400, 6401, 5119, 40])
def test_its_package_has_the_same_codes_and_sound(ours, length):
    x = np.random.default_rng(length).normal(size=length).astype(np.float32) * 0.3
    codes = theirs().encode(torch.from_numpy(x)[None, None])[:, 0]
    wave = theirs().decode(codes[:, None])[0, 0]
    (example,) = ours.encode([Waveform(x, 16_000)])
    assert np.array_equal(np.stack([stream.ids for stream in example.values()]), codes.numpy())
    assert length < 5000 or len(set(codes[0].tolist())) > 5
    np.testing.assert_allclose(ours.decode([example])[0].samples, wave.numpy(), atol=1e-4)
    few = {"codec.0": example["codec.0"]}  # what is said, without how
    np.testing.assert_allclose(ours.decode([few])[0].samples, theirs().decode(codes[:1, None])[0, 0], atol=1e-4)


def test_the_published_size():
    with torch.device("meta"):
        published, model = package(CONFIG), SPEECHTOKENIZER.build()
    teacher = sum(p.numel() for p in published.transform.parameters())
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(p.numel() for p in published.parameters()) - teacher
    assert [spec.rate for spec in SPEECHTOKENIZER.specs().values()] == [50] * 8
