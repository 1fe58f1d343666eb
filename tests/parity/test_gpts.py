"""MusicGen's decoder and Bark's GPT stages against transformers: the same weights, the same logits, the same music."""

from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from oration.core import BadInput, Spec, Stream, collate
from oration.core.released import carry, load_released
from oration.generate import Sampler, complete
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Layer, Transformer
from oration.lms.released_gpt import MASKS, NO_TEXT, bark, musicgen
from oration.tasks import Task

LEVELS, CARD = 4, 16
ROWS = tuple(f"codec.{i}" for i in range(LEVELS))
PLAY = Task(name="play", layout=Layout((Stack(ROWS, tuple(range(LEVELS)), end="never"),)), predict=ROWS)
CODEC = {row: Spec(CARD, 50) for row in ROWS}
TEXT, UNITS = 12, 20
SAY = Task(name="say", layout=Layout((Line("text"), Line("units"))), predict=("units",))
SPOKEN = {"text": Spec(TEXT), "units": Spec(UNITS, 50)}
BEGIN, BETWEEN, END = 33, 34, 20
"""Of Bark's table: units 0-19, their end, text 21-32, the text's first symbol, and what stands before the units."""


def shaken(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return model.eval()


@cache
def their_music():
    from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

    config = MusicgenDecoderConfig(
        vocab_size=CARD, num_codebooks=LEVELS, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, pad_token_id=CARD, bos_token_id=CARD,
    )  # fmt: skip
    torch.manual_seed(0)
    model = shaken(MusicgenForCausalLM(config))
    model.generation_config.pad_token_id = model.generation_config.decoder_start_token_id = CARD
    return model


def our_music():
    body = Transformer(
        layers=2, dim=32, heads=4, ffn=48, positions="sine", layer=Layer(norm="layer", norm_eps=1e-5, mlp="gelu")
    )
    return LM(name="lm", tasks=(PLAY,), body=body, context=64).build(CODEC).eval()


def codes(frames, seed=0):
    return np.random.default_rng(seed).integers(0, CARD, (LEVELS, frames))


@pytest.mark.parity("musicgen", "audiogen", reference="transformers MusicgenForCausalLM")
def test_delays_are_those_of_musicgen():
    frames = 9
    played = codes(frames)
    grid = PLAY.place([dict(zip(ROWS, map(Stream, played), strict=True))], CODEC)
    first = torch.full((LEVELS, 1), CARD)
    _, pattern = their_music().build_delay_pattern_mask(
        torch.cat((first, torch.from_numpy(played)), 1), CARD, max_length=frames + LEVELS
    )
    assert grid.tokens.tolist() == pattern[:, 1:].tolist()  # our `pad` is one past the symbols, as theirs


@torch.no_grad()
@pytest.mark.parity("musicgen", "audiogen", reference="transformers MusicgenForCausalLM")
def test_musicgen_has_the_same_logits(tmp_path):
    model = our_music()
    save_file({k: v.contiguous() for k, v in their_music().state_dict().items()}, tmp_path / "model.safetensors")
    load_released(model, tmp_path, musicgen(model), NO_TEXT)
    grid = PLAY.place([dict(zip(ROWS, map(Stream, codes(11)), strict=True))], CODEC)
    ours = model(collate([grid], [CARD] * LEVELS))
    before = torch.cat((torch.full((LEVELS, 1), CARD), torch.from_numpy(grid.tokens)), 1)
    theirs = their_music()(input_ids=before).logits
    for k, row in enumerate(ROWS):
        torch.testing.assert_close(ours[row][0, :, :CARD], theirs[k, :-1], atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parity("musicgen", "audiogen", reference="transformers MusicgenForCausalLM")
def test_musicgen_plays_the_same():
    model, frames = our_music(), 16
    carry(model, their_music().state_dict(), musicgen(model), NO_TEXT)
    (reply,) = complete(model, PLAY, [{}], CODEC, seeds=[0], sampler=Sampler.greedy(), steps=frames + LEVELS - 1)
    theirs = their_music()
    played, pattern = theirs.build_delay_pattern_mask(torch.full((LEVELS, 1), CARD), CARD, max_length=frames + LEVELS)
    for _ in range(frames + LEVELS - 1):
        column = theirs(input_ids=played).logits[:, -1].argmax(-1, keepdim=True)
        played = theirs.apply_delay_pattern_mask(torch.cat((played, column), 1), pattern)
    # Ours goes on where theirs ends level after level, so the steps compared are those before.
    drawn = [reply.example[row].ids[: frames - k].tolist() for k, row in enumerate(ROWS)]
    assert drawn == [played[k, 1 + k : 1 + frames].tolist() for k in range(LEVELS)]
    assert len({code for level in drawn for code in level}) > 2


@cache
def their_bark(bias):
    from transformers.models.bark.configuration_bark import BarkSemanticConfig
    from transformers.models.bark.modeling_bark import BarkSemanticModel

    config = BarkSemanticConfig(
        block_size=64, input_vocab_size=36, output_vocab_size=24, num_layers=2, num_heads=4, hidden_size=32, bias=bias
    )
    torch.manual_seed(0)
    return shaken(BarkSemanticModel(config))


def our_bark(bias):
    layer = Layer(norm="layer", norm_eps=1e-5, norm_bias=bias, mlp="gelu", mlp_bias=bias, out_bias=bias)
    body = Transformer(layers=2, dim=32, heads=4, ffn=128, positions=64, bias=bias, layer=layer)
    model = LM(name="lm", tasks=(SAY,), body=body, context=64).build(SPOKEN).eval()
    return model, bark(model, {"text": 21, "units": 0}, begin=BEGIN, between=BETWEEN, end=END)


def spoken(n, m):
    rng = np.random.default_rng(3)
    return {"text": Stream(rng.integers(0, TEXT, n)), "units": Stream(rng.integers(0, UNITS, m))}


def in_bark(example):
    """The input of Bark's model."""
    return torch.tensor([[BEGIN, *(21 + example["text"].ids), BETWEEN, *example["units"].ids]])


@torch.no_grad()
@pytest.mark.parity("bark", reference="transformers BarkSemanticModel")
@pytest.mark.parametrize("bias", [False, True])
def test_bark_has_the_same_logits(bias, tmp_path):
    model, names = our_bark(bias)
    save_file({k: v.contiguous() for k, v in their_bark(bias).state_dict().items()}, tmp_path / "model.safetensors")
    load_released(model, tmp_path, names, MASKS)
    example = spoken(7, 12)
    (vocab,) = model.vocabs.values()
    ours = model(collate([SAY.place([example], SPOKEN)], [vocab.offset("pad")]))["main"][0]
    theirs = their_bark(bias)(in_bark(example)).logits[0]
    assert len(ours) == len(theirs)
    first, last = vocab.ranges["units"]
    torch.testing.assert_close(ours[:, first:last], theirs[:, :UNITS], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours[:, vocab.offset("end")], theirs[:, END], atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parity("bark", reference="transformers BarkSemanticModel")
def test_bark_says_the_same():
    model, names = our_bark(False)
    carry(model, their_bark(False).state_dict(), names, MASKS)
    prompt = {"text": spoken(7, 0)["text"], "units": Stream(np.zeros(0, int))}
    (reply,) = complete(model, SAY, [prompt], SPOKEN, seeds=[0], sampler=Sampler.greedy(), steps=15)
    said = in_bark(prompt)
    for _ in range(15):
        logits = their_bark(False)(said).logits[:, -1, : END + 1]
        said = torch.cat((said, logits.argmax(-1, keepdim=True)), 1)
    units = said[0, 9:].tolist()
    units = units[: units.index(END)] if END in units else units
    assert reply.example["units"].ids.tolist() == units
    assert len(set(units)) > 2


def test_a_stream_that_the_row_does_not_have_is_refused():
    model, _ = our_bark(False)
    with pytest.raises(BadInput, match=r"the row has no \['phones'\], but"):
        bark(model, {"phones": 0}, begin=0, between=0, end=0)
