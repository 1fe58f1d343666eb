"""Mimi against transformers' and Kyutai's own: the same weights give the same codes and the same sound, live too."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from references import reference
from safetensors.torch import save_file

from oration.codecs.mimi import MIMI
from oration.codecs.released_mimi import IGNORED, kyutai, transformers
from oration.core import Waveform
from oration.core.released import carry, load_released

LEVELS, SIZE, WIDTH, DIM, FILTERS, WINDOW = 6, 64, 8, 16, 4, 12
SMALL = {"dim": DIM, "filters": FILTERS}
CONTEXT = replace(MIMI.encoder[1], dim=DIM, width=DIM, inside=DIM, layers=2, heads=2, ffn=24, window=WINDOW)
TINY = replace(
    MIMI,
    encoder=(replace(MIMI.encoder[0], **SMALL), CONTEXT, replace(MIMI.encoder[2], dim=DIM)),
    quantizer=replace(MIMI.quantizer, levels=LEVELS, size=SIZE, dim=WIDTH),
    decoder=(replace(MIMI.decoder[0], dim=DIM), CONTEXT, replace(MIMI.decoder[2], **SMALL)),
    dim=DIM,
    levels=LEVELS,
)
FRAME = 1920
# Whole frames beyond the window, one sample more, half a frame, less than one.
LENGTHS = (12 * FRAME, 12 * FRAME + 1, 4 * FRAME - 900, 700)


@torch.no_grad()
def drawn(model, seed=0):
    """The model with random weights, none of them trivial, whose latents use all of its codebooks."""
    torch.manual_seed(seed)
    for name, weight in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith("cluster_usage"):
            weight.uniform_(0.5, 1.5)
        elif name.endswith(("embed_sum", "embedding_sum")):
            weight.normal_(std=0.5)
        elif weight.is_floating_point() and weight.ndim and "freq" not in name:
            weight.normal_(std=0.25)
    return model.eval()


@cache
def theirs():
    from transformers import MimiConfig, MimiModel

    config = MimiConfig(
        hidden_size=DIM, num_filters=FILTERS, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        head_dim=DIM // 2, intermediate_size=24, codebook_size=SIZE, codebook_dim=WIDTH, num_quantizers=LEVELS,
        vector_quantization_hidden_dimension=WIDTH, upsample_groups=DIM, sliding_window=WINDOW,
    )  # fmt: skip
    return drawn(MimiModel(config))


@cache
def authors():
    loaders = reference("moshi.models.loaders")
    seanet = loaders._seanet_kwargs | {"dimension": DIM, "n_filters": FILTERS}
    transformer = loaders._transformer_kwargs | {
        "d_model": DIM, "num_heads": 2, "num_layers": 2, "context": WINDOW, "input_dimension": DIM,
        "output_dimensions": [DIM], "dim_feedforward": 24,
    }  # fmt: skip
    quantizer = {"dimension": WIDTH, "n_q": LEVELS, "bins": SIZE, "input_dimension": DIM, "output_dimension": DIM}
    config = loaders._mimi_config | {"seanet": seanet, "quantizer": quantizer, "transformer": transformer}
    return drawn(loaders.get_mimi(None, config, num_codebooks=LEVELS))


@cache
def ours():
    model = TINY.build().eval()
    carry(model, authors().state_dict(), kyutai(apart=True), IGNORED)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """transformers' own file of its model."""
    path = tmp_path_factory.mktemp("mimi")
    theirs().save_pretrained(path)
    return path


def sound(length, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(length).astype(np.float32)) * 0.3


def codes(model, wave):
    example = model.encode([Waveform(wave.numpy(), 24_000)])[0]
    return torch.stack([torch.from_numpy(example[name].ids) for name in model.numbers.streams])


def example(model, codes):
    return model.example([row[None] for row in codes])


@pytest.mark.parity("mimi", "moshi", "csm", reference="transformers MimiModel")
@torch.no_grad()
def test_transformers_codes_and_sound_from_its_own_file(folder):
    # There every layer fills up its own last stride.
    model = replace(TINY, whole=False).build().eval()
    load_released(model, folder, transformers(model), IGNORED)
    for length in LENGTHS:
        wave = sound(length)
        wanted = theirs().encode(wave[None, None]).audio_codes[0]
        assert wanted.unique().numel() > 4
        assert torch.equal(codes(model, wave), wanted)
        for levels in (LEVELS, 1):
            spoken = theirs().decode(wanted[None, :levels]).audio_values[0, 0]
            made = model.decode([example(model, wanted)], levels=levels)[0].samples
            np.testing.assert_allclose(made, spoken.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parity("mimi", "moshi", reference="moshi 0.2.13")
@torch.no_grad()
def test_the_authors_codes_and_sound():
    model = ours()
    for length in LENGTHS:
        wave = sound(length, seed=1)
        wanted = authors().encode(wave[None, None])[0]
        assert wanted.unique().numel() > 4
        assert torch.equal(codes(model, wave), wanted)
        for levels in (LEVELS, 2, 1):
            spoken = authors().decode(wanted[None, :levels])[0, 0]
            made = model.decode([example(model, wanted)], levels=levels)[0].samples
            np.testing.assert_allclose(made, spoken.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parity("mimi", "moshi", reference="moshi 0.2.13")
@torch.no_grad()
def test_live_as_the_authors_live_within_the_window():
    # Further on theirs differs from its own whole files: its ring holds the window alone, and the second of two steps
    # overwrites what the first still looks at.
    model, frames = ours(), WINDOW // 2
    wave = sound(frames * FRAME, seed=2)
    live, speaker = model.live(), model.speaker()
    with authors().streaming(1):
        for piece in wave.split(FRAME):
            wanted = authors().encode(piece[None, None])
            spoken = authors().decode(wanted)[0, 0]
            (found,) = live.push(Waveform(piece.numpy(), 24_000))
            assert [found[name].ids[0] for name in model.numbers.streams] == wanted[0, :, 0].tolist()
            (made,) = speaker.push(found)
            np.testing.assert_allclose(made.samples, spoken.numpy(), rtol=0, atol=1e-4)


@torch.no_grad()
def test_the_released_file_of_the_authors_loads(tmp_path):
    names = {"in_projs.0.weight": "in_proj_weight", "out_projs.0.weight": "out_proj.weight"}
    tensors = {}
    for name, tensor in authors().state_dict().items():
        for new, old in names.items():
            name = name.replace(new, old)
        tensors[name] = tensor.clone()
    save_file(tensors, tmp_path / "tokenizer.safetensors")
    model = TINY.build().eval()
    load_released(model, tmp_path, kyutai(), IGNORED)
    for name, weight in ours().state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, rtol=0, atol=0)
