"""Moshi against transformers' Moshi and Kyutai's own names: the same weights give the same logits and the same talk."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from oration.core import BadInput, Spec, Stream, collate
from oration.core.released import carry, load_released
from oration.generate import Sampler, complete
from oration.layouts import Layout, Stack
from oration.lms import LM, Depth, Layer, Transformer
from oration.lms.released_moshi import IGNORED, kyutai, transformers
from oration.tasks import Task

LEVELS, CARD, TEXT = 3, 32, 30
AGENT = tuple(f"codec.{i}" for i in range(LEVELS))
USER = tuple(f"user.codec.{i}" for i in range(LEVELS))
LATE = (0, *(1,) * (LEVELS - 1))
TALK = Task(
    name="talk",
    layout=Layout((Stack(("text.frames", *AGENT, *USER), (0, *LATE, *LATE), end="never"),)),
    predict=("text.frames", *AGENT),
)
SPECS = {"text.frames": Spec(TEXT, 12.5), **{name: Spec(CARD, 12.5) for name in (*AGENT, *USER)}}


def build(positions="rotary_interleaved"):
    body = Transformer(layers=2, dim=32, heads=4, ffn=48, window=3000, positions=positions, layer=Layer(norm_eps=1e-8))
    head = Depth(
        layers=2, dim=16, heads=2, ffn=24, rows=AGENT, independent=("text.frames",), weights_per_row=True,
        rope_base=None, norm_eps=1e-8, final_norm=False,
    )  # fmt: skip
    torch.manual_seed(0)
    return LM(name="temporal", tasks=(TALK,), body=body, head=head, context=3000).build(SPECS).eval()


@cache
def reference():
    """transformers' model, tiny, of random weights."""
    from transformers import MimiConfig, MoshiConfig, MoshiForConditionalGeneration

    mimi = MimiConfig(
        hidden_size=16, num_filters=2, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
        intermediate_size=16, codebook_size=CARD, codebook_dim=8, vector_quantization_hidden_dimension=8,
        num_quantizers=4,
        upsample_groups=16,
    )  # fmt: skip
    depth = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 48, "head_dim": 8,
        "max_position_embeddings": LEVELS + 1,
    }  # fmt: skip
    config = MoshiConfig(
        vocab_size=TEXT, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=96, head_dim=8,
        num_codebooks=LEVELS, audio_vocab_size=CARD, audio_encoder_config=mimi, depth_decoder_config=depth,
    )  # fmt: skip
    torch.manual_seed(1)
    model = MoshiForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    return model


def released(theirs):
    """The same weights under the names of Kyutai's release."""
    given = {name: tensor for name, tensor in theirs.items() if not name.startswith("audio_encoder")}
    found = {}

    def take(name):
        return given.pop(name)

    def neighbours(weight):  # rotary pairs a half apart -> side by side, head by head of width 8
        return weight.unflatten(0, (-1, 2, 4)).transpose(1, 2).flatten(0, 2)

    def stack(names):
        return torch.cat([take(name) for name in names], 1).flatten(0, 1)

    found["text_emb.weight"] = take("decoder.model.embed_tokens.weight")
    found["text_linear.weight"] = take("decoder.lm_head.weight")
    found["out_norm.alpha"] = take("decoder.model.norm.weight")[None, None]
    found["depformer_text_emb.weight"] = take("depth_decoder.text_embed_tokens.weight")
    for k in range(2 * LEVELS):
        found[f"emb.{k}.weight"] = take(f"embed_tokens.{k}.weight")
    for k in range(LEVELS - 1):
        found[f"depformer_emb.{k}.weight"] = take(f"depth_decoder.embed_tokens.{k}.weight")
    heads, inward = take("depth_decoder.lm_heads.weight"), take("depth_decoder.input_projections.weight")
    for k in range(LEVELS):
        found[f"linears.{k}.weight"], found[f"depformer_in.{k}.weight"] = heads[k].clone(), inward[k].clone()
    for i in range(2):
        main, deep = f"decoder.model.layers.{i}.", f"depth_decoder.layers.{i}."
        q, k, v, out = (take(f"{main}self_attn.{name}_proj.linear.weight") for name in "qkvo")
        found[f"transformer.layers.{i}.self_attn.in_proj_weight"] = torch.cat((neighbours(q), neighbours(k), v))
        found[f"transformer.layers.{i}.self_attn.out_proj.weight"] = out
        found[f"transformer.layers.{i}.gating.linear_in.weight"] = take(main + "mlp.fc1.weight")
        found[f"transformer.layers.{i}.gating.linear_out.weight"] = take(main + "mlp.fc2.weight")
        names = [f"{deep}self_attn.{name}_proj.linear.weight" for name in "qkv"]
        found[f"depformer.layers.{i}.self_attn.in_proj_weight"] = stack(names)
        found[f"depformer.layers.{i}.self_attn.out_proj.weight"] = stack([f"{deep}self_attn.o_proj.linear.weight"])
        fc1, fc2 = take(deep + "mlp.fc1.weight"), take(deep + "mlp.fc2.weight")
        for j in range(LEVELS):
            found[f"depformer.layers.{i}.gating.{j}.linear_in.weight"] = fc1[j].clone()
            found[f"depformer.layers.{i}.gating.{j}.linear_out.weight"] = fc2[j].clone()
        for where, prefix in ((main, "transformer"), (deep, "depformer")):
            for number, name in ((1, "input_layernorm"), (2, "post_attention_layernorm")):
                found[f"{prefix}.layers.{i}.norm{number}.alpha"] = take(f"{where}{name}.weight")[None, None]
    assert not given
    return found


def theirs_at(codes):
    """Logits of transformers' modules for columns long[1 + 2 * LEVELS, S]: text [S, TEXT], levels [S, LEVELS, CARD]."""
    model = reference()
    initial = torch.tensor([[TEXT], *([[CARD]] * (2 * LEVELS))])
    before = torch.cat((initial, codes[:, :-1]), 1)[None]
    embedded = model.decoder.model.embed_tokens(before[:, 0])
    embedded = embedded + sum(model.embed_tokens[k](before[:, k + 1]) for k in range(2 * LEVELS))
    out = model.decoder(inputs_embeds=embedded, use_cache=False)
    depth = model.depth_decoder(
        input_ids=codes[:LEVELS].T, last_hidden_state=out.last_hidden_state[0][:, None], use_cache=False
    )
    return out.logits[0], depth.logits


def example(frames, seed=0):
    rng = np.random.default_rng(seed)
    return {name: Stream(rng.integers(0, SPECS[name].size, frames)) for name in TALK.layout.streams}


def columns(model, streams):
    """A grid, and its columns in their numbering: an absent cell is their initial token."""
    grid = TALK.place([streams], SPECS, vocabs=model.vocabs)
    return grid, torch.from_numpy(grid.tokens)  # one past the symbols is `pad` here and the initial token there


@torch.no_grad()
@pytest.mark.parity("moshi", reference="transformers MoshiForConditionalGeneration")
@pytest.mark.parametrize("positions", ["rotary", "rotary_interleaved"])
@pytest.mark.parametrize("names", ["transformers", "kyutai"])
def test_all_rows_have_the_same_logits(names, positions, tmp_path):
    model = build(positions)
    if names == "transformers":
        carry(model, reference().state_dict(), transformers(model), IGNORED)
    else:
        save_file(released(reference().state_dict()), tmp_path / "model.safetensors")
        load_released(model, tmp_path, kyutai(model))
    grid, codes = columns(model, example(9))
    logits = model(collate([grid], [v.offset("pad") for v in model.vocabs.values()]))
    text, levels = theirs_at(codes)
    assert set(logits) == {"text.frames", *AGENT}
    torch.testing.assert_close(logits["text.frames"][0, :, :TEXT], text, atol=1e-4, rtol=1e-4)
    for k, row in enumerate(AGENT):
        torch.testing.assert_close(logits[row][0, :, :CARD], levels[:, k], atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parity("moshi", reference="transformers MoshiForConditionalGeneration")
def test_the_same_greedy_talk():
    model, frames = build(), 8
    carry(model, reference().state_dict(), transformers(model), IGNORED)
    heard = {name: stream for name, stream in example(frames).items() if name in USER}
    (reply,) = complete(model, TALK, [[heard]], SPECS, seeds=[0], sampler=Sampler.greedy(), steps=frames)
    _, codes = columns(model, {name: example(frames)[name] for name in TALK.layout.streams})
    codes = codes[:, :frames].clone()
    for step in range(frames):  # a level that is late is not drawn at step 0, and stays their initial token
        for row in range(LEVELS + 1):
            if step >= (0, *LATE)[row]:
                text, levels = theirs_at(codes[:, : step + 1])
                codes[row, step] = (text if not row else levels[:, row - 1])[step].argmax()
    for row, late in enumerate((0, *LATE)):
        name = ("text.frames", *AGENT)[row]
        assert reply.example[name].ids.tolist() == codes[row, late:].tolist(), name
    assert len({*codes[1].tolist()}) > 1


def test_a_release_of_another_size_is_refused(tmp_path):
    model, theirs = build(), released(reference().state_dict())
    with pytest.raises(BadInput, match="has no .*safetensors"):
        load_released(model, tmp_path, kyutai(model))
    save_file({**theirs, "extra.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(BadInput, match=r"1 tensors that this model does not take, such as 'extra.weight'"):
        load_released(model, tmp_path, kyutai(model))
    short = {name: tensor for name, tensor in theirs.items() if name != "emb.5.weight"}
    with pytest.raises(BadInput, match=r"is made of 'emb.5.weight', which the release does not have"):
        carry(model, short, kyutai(model))
    other = replace(model.config, body=replace(model.config.body, kv_heads=2)).build(SPECS)
    with pytest.raises(BadInput, match=r"is \(64, 32\) here, but the release's .*in_proj_weight' makes \(96, 32\)"):
        carry(other, theirs, kyutai(other))
    with pytest.raises(BadInput, match="nothing says what the weight 'first' is called"):
        carry(model, theirs, kyutai(model)[1:])
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(BadInput, match="is no safetensors file"):
        load_released(model, tmp_path, kyutai(model))
