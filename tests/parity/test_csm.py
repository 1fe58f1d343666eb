"""CSM against transformers' Csm: the same weights give the same logits of all levels and the same speech."""

from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from oration.core import Spec, Stream, collate
from oration.core.released import load_released
from oration.generate import Sampler, complete
from oration.layouts import Layout, Line, Stack
from oration.lms import LM, Depth, Layer, Rope, Transformer
from oration.lms.released_csm import IGNORED, transformers
from oration.tasks import Task

LEVELS, CARD, TEXT = 4, 16, 40
SYMBOLS, BEGIN, END = CARD + 3, TEXT, TEXT + 1  # rows of their tables: a level's, and around a text
LEVEL = tuple(f"codec.{i}" for i in range(LEVELS))
SAY = Task(name="say", layout=Layout((Line("text", row="text"), Stack(LEVEL, end="zeros"))), predict=LEVEL)
# As in sesame/csm-1b: both Transformers are stretched, the depth decoder's from 16 levels.
ROPE = Rope(base=500_000.0, factor=32.0, low=0.125, high=0.5, context=1024)
DEEP = Rope(base=500_000.0, factor=32.0, low=0.001953125, high=0.0078125, context=16)
SPECS = {"text": Spec(TEXT), **{name: Spec(CARD, 12.5) for name in LEVEL}}


def theirs(rope):
    """A stretch as transformers writes it."""
    return {
        "rope_type": "llama3", "rope_theta": rope.base, "factor": rope.factor, "low_freq_factor": rope.low,
        "high_freq_factor": rope.high, "original_max_position_embeddings": rope.context,
    }  # fmt: skip


@cache
def reference():
    """transformers' model, tiny, of random weights."""
    from transformers import CsmConfig, CsmForConditionalGeneration, MimiConfig

    mimi = MimiConfig(
        hidden_size=16, num_filters=2, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
        intermediate_size=16, codebook_size=CARD, codebook_dim=8, vector_quantization_hidden_dimension=8,
        num_quantizers=4, upsample_groups=16,
    )  # fmt: skip
    depth = {
        "num_codebooks": LEVELS, "vocab_size": SYMBOLS, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "backbone_hidden_size": 32,
        "max_position_embeddings": LEVELS + 1, "rope_parameters": theirs(DEEP),
    }  # fmt: skip
    config = CsmConfig(
        num_codebooks=LEVELS, vocab_size=SYMBOLS, text_vocab_size=TEXT + 4, hidden_size=32, intermediate_size=48,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, codec_config=mimi,
        depth_decoder_config=depth, pad_token_id=0, bos_token_id=BEGIN, audio_token_id=1, audio_eos_token_id=2,
        codebook_pad_token_id=CARD + 2, rope_parameters=theirs(ROPE),
    )  # fmt: skip
    torch.manual_seed(1)
    model = CsmForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
        model.tie_weights()
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("csm")
    save_file({n: t.clone() for n, t in reference().state_dict().items()}, folder / "model.safetensors")
    body = Transformer(layers=2, dim=32, heads=4, kv_heads=2, ffn=48, rope_base=ROPE, layer=Layer(norm_eps=1e-5))
    head = Depth(
        layers=2, dim=16, heads=2, kv_heads=1, ffn=24, rows=LEVEL[1:], independent=LEVEL[:1], inputs="sequence",
        rope_base=DEEP, norm_eps=1e-5,
    )  # fmt: skip
    ours = LM(name="csm", tasks=(SAY,), body=body, head=head).build(SPECS).eval()
    load_released(ours, folder, transformers(ours, symbols=SYMBOLS, begin=BEGIN, end=END), IGNORED)
    return ours


def theirs_at(text, frames):
    """Their logits of level 0 after the text and each of the frames (long[F, LEVELS]), and of the other levels."""
    model = reference()
    said = model.embed_text_tokens(torch.tensor([[BEGIN, *text, END]]))
    embedded = torch.cat((said, model.backbone_model.embed_tokens(frames[None])), 1)
    hidden = model.backbone_model(inputs_embeds=embedded, use_cache=False).last_hidden_state[0, len(text) + 1 :]
    column = torch.cat((torch.zeros(len(frames), 1, dtype=torch.long), frames[:, :-1]), 1)
    seen = torch.ones_like(column)  # without a mask transformers 5 fails on a batch of one
    deep = model.depth_decoder(
        input_ids=column, backbone_last_hidden_state=hidden[:-1], attention_mask=seen, use_cache=False
    )
    return model.lm_head(hidden), deep.logits


def example(frames):
    rng = np.random.default_rng(0)
    levels = {name: Stream(rng.integers(1, CARD, frames)) for name in LEVEL}
    return {"text": Stream(rng.integers(0, TEXT, 6)), **levels}


@torch.no_grad()
@pytest.mark.parity("csm", reference="transformers CsmForConditionalGeneration")
def test_all_rows_have_the_same_logits(model):
    streams = example(7)
    grid = SAY.place([streams], SPECS, vocabs=model.vocabs)
    logits = model(collate([grid], [v.offset("pad") for v in model.vocabs.values()]))
    assert set(logits) == set(LEVEL)
    # The last column is of zeros in every level: that is how speech ends, there and here.
    frames = torch.from_numpy(grid.tokens[1:, 7:]).T
    assert not frames[-1].any()
    first, deep = theirs_at(streams["text"].ids.tolist(), frames)
    torch.testing.assert_close(logits["codec.0"][0, 7:, :CARD], first[:-1, :CARD], atol=1e-4, rtol=1e-4)
    for k, row in enumerate(LEVEL[1:]):
        torch.testing.assert_close(logits[row][0, 7:, :CARD], deep[:, k, :CARD], atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parity("csm", reference="transformers CsmForConditionalGeneration")
def test_the_same_greedy_speech(model):
    streams, steps = example(0), 6
    (reply,) = complete(
        model, SAY, [[{"text": streams["text"]}]], SPECS, seeds=[0], sampler=Sampler.greedy(), steps=steps
    )
    text, frames = streams["text"].ids.tolist(), torch.zeros(0, LEVELS, dtype=torch.long)
    for _ in range(steps):
        frame = torch.zeros(1, LEVELS, dtype=torch.long)
        for level in range(LEVELS):
            first, deep = theirs_at(text, torch.cat((frames, frame)))
            frame[0, level] = (first[-2] if not level else deep[-1, level - 1])[:CARD].argmax()
        frames = torch.cat((frames, frame))
    assert not (frames == 0).all(1).any()
    for level, name in enumerate(LEVEL):
        assert reply.example[name].ids.tolist() == frames[:, level].tolist()
    assert len(frames.unique()) > 2
