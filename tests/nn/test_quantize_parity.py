"""Quantizers of transformers' codecs with random weights, carried across: the same codes, the same vectors."""

import pytest
import torch
from transformers import DacConfig, EncodecConfig, MimiConfig
from transformers.models.dac.modeling_dac import DacResidualVectorQuantizer
from transformers.models.encodec.modeling_encodec import EncodecResidualVectorQuantizer
from transformers.models.mimi.modeling_mimi import MimiSplitResidualVectorQuantizer

from oration.core.released import Carry, carry
from oration.nn.quantize import FactorisedRvq, Rvq, SplitRvq


def randomised(module):
    for tensor in module.state_dict().values():
        tensor.copy_(torch.randn_like(tensor))
    return module.eval()


def same(a, b):
    assert torch.equal(torch.stack(list(a)), torch.stack(list(b)))


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@torch.no_grad()
def test_encodec():
    numbers = EncodecConfig(codebook_size=64, codebook_dim=16, hidden_size=16, target_bandwidths=[2.4])
    theirs = EncodecResidualVectorQuantizer(numbers)
    for layer in theirs.layers:
        layer.codebook.embed.normal_()
    ours = Rvq(levels=theirs.num_quantizers, size=64).build(16).eval()
    mapping = [
        Carry("levels.{i}.codebook", ("layers.{i}.codebook.embed",)),
        Carry("levels.{i}.mass", ("layers.{i}.codebook.cluster_size",)),
    ]
    carry(ours, theirs.state_dict(), mapping, ignore=["*.inited", "*.embed_avg"])
    x = torch.randn(2, 30, 16)
    codes = theirs.encode(x.mT)
    same(ours.encode(x), codes)
    torch.testing.assert_close(ours.decode(list(codes)), theirs.decode(codes).mT)
    torch.testing.assert_close(ours.decode(list(codes[:2])), theirs.decode(codes[:2]).mT)


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
def test_dac(training):
    numbers = DacConfig(n_codebooks=4, codebook_size=64, codebook_dim=5, hidden_size=24, quantizer_dropout=0.0)
    theirs = randomised(DacResidualVectorQuantizer(numbers))
    ours = FactorisedRvq(levels=4, size=64, dim=5, dropout=0.0).build(24).train(training)
    mapping = [Carry("levels.{i}.codebook", ("quantizers.{i}.codebook.weight",))]
    for side, there in (("inward", "in_proj"), ("outward", "out_proj")):
        weight = f"quantizers.{{i}}.{there}.weight"
        mapping += [
            Carry(f"levels.{{i}}.{side}.gain", (weight,), lambda found, at: found[0].norm(dim=(1, 2), keepdim=True)),
            Carry(f"levels.{{i}}.{side}.weight", (weight,)),
            Carry(f"levels.{{i}}.{side}.bias", (f"quantizers.{{i}}.{there}.bias",)),
        ]
    carry(ours, theirs.state_dict(), mapping)
    x = torch.randn(3, 30, 24)
    vectors, codes, _, to_vectors, to_codes = theirs(x.mT)
    found = ours(x)
    same(found.codes, codes.unbind(1))
    torch.testing.assert_close(found.vectors, vectors.mT, atol=1e-4, rtol=1e-4)
    same(ours.encode(x), codes.unbind(1))
    torch.testing.assert_close(ours.decode(codes.unbind(1)), theirs.from_codes(codes)[0].mT, atol=1e-4, rtol=1e-4)
    if training:
        torch.testing.assert_close(found.losses["codebook"], to_codes.mean(), rtol=1e-4, atol=0)
        torch.testing.assert_close(found.losses["commitment"], 0.25 * to_vectors.mean(), rtol=1e-4, atol=0)


@torch.no_grad()
def test_mimi():
    numbers = MimiConfig(
        num_quantizers=5, codebook_size=64, codebook_dim=12, vector_quantization_hidden_dimension=12, hidden_size=24
    )
    theirs = randomised(MimiSplitResidualVectorQuantizer(numbers))
    for part in (theirs.semantic_residual_vector_quantizer, theirs.acoustic_residual_vector_quantizer):
        for layer in part.layers:
            layer.codebook.cluster_usage.uniform_(0.5, 2)
    ours = SplitRvq(levels=5, size=64, dim=12).build(24).eval()
    mapping = []
    for part, there in (("first", "semantic"), ("rest", "acoustic")):
        whole = f"{there}_residual_vector_quantizer"
        book = f"{whole}.layers.{{i}}.codebook"
        mapping += [
            Carry(f"{part}.inward.weight", (f"{whole}.input_proj.weight",)),
            Carry(f"{part}.outward.weight", (f"{whole}.output_proj.weight",)),
            Carry(f"{part}.levels.{{i}}.mass", (f"{book}.cluster_usage",)),
            Carry(
                f"{part}.levels.{{i}}.codebook",
                (f"{book}.embed_sum", f"{book}.cluster_usage"),
                lambda found, at: found[0] / found[1].clamp(min=1e-5)[:, None],
            ),
        ]
    carry(ours, theirs.state_dict(), mapping, ignore=["*.initialized"])
    x = torch.randn(2, 30, 24)
    codes = theirs.encode(x.mT)
    same(ours.encode(x), codes)
    for count in (1, 3, 5):
        wanted = theirs.decode(codes[:count].transpose(0, 1)).mT
        torch.testing.assert_close(ours.decode(list(codes[:count])), wanted, atol=1e-5, rtol=1e-5)
