"""What Moshi's releases call their tensors. Défossez et al. 2024, arXiv:2410.00037.

A model of the recipe's kind: rows text, the agent's levels, the user's levels (one stream each, nothing ends); a body
of `Transformer`, a head of `Depth` with weights per row, the text row independent. Their initial tokens, one past the
last symbol, are our `first` vector (all rows together, before step 0) and our `pad` (a row that is late).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from oration.core.released import Carry, Change, table, turned
from oration.lms.heads import key

IGNORED = ("audio_encoder.*",)
"""Mimi, in transformers' format; Kyutai's has it in a file of its own."""


def kyutai(lm: Any) -> list[Carry]:
    """The names in model.safetensors of kyutai/moshiko-pytorch-bf16 and its kin (package `moshi` 0.2).

    Weights per row lie end to end there (`self_attn.in_proj_weight`) or in a list (`gating.3.linear_in`); norms are
    `alpha` of shape [1, 1, D]; rotary pairs are neighbours.
    """
    body, layer, there, many = "body.stack.blocks.{i}.", "transformer.layers.{i}.", "depformer.layers.{i}.", _many(lm)
    return [
        *_ends(lm, "text_emb.weight", "emb.{}.weight", "text_linear.weight"),
        Carry(body + "attention.qkv.weight", (layer + "self_attn.in_proj_weight",), _queries(lm, True)),
        Carry(body + "attention.out.weight", (layer + "self_attn.out_proj.weight",)),
        Carry(body + "attention_norm.weight", (layer + "norm1.alpha",), _flat),
        Carry(body + "mlp_norm.weight", (layer + "norm2.alpha",), _flat),
        Carry(body + "gate_up.weight", (layer + "gating.linear_in.weight",)),
        Carry(body + "down.weight", (layer + "gating.linear_out.weight",)),
        Carry("body.stack.norm.weight", ("out_norm.alpha",), _flat),
        *_depth_tables(lm, "depformer_text_emb.weight", "depformer_emb.{}.weight"),
        *(
            Carry(f"head.projections.{key(row)}.weight", (f"linears.{k}.weight",), table(lm.vocabs[row]))
            for k, row in enumerate(lm.head.deep)
        ),
        Carry("head.inward.layers.{j}.weight", ("depformer_in.{j}.weight",)),
        Carry("head.blocks.{i}.qkv.layers.{j}.weight", (there + "self_attn.in_proj_weight",), _slice(many)),
        Carry("head.blocks.{i}.out.layers.{j}.weight", (there + "self_attn.out_proj.weight",), _slice(many)),
        Carry("head.blocks.{i}.attention_norm.weight", (there + "norm1.alpha",), _flat),
        Carry("head.blocks.{i}.mlp_norm.weight", (there + "norm2.alpha",), _flat),
        Carry("head.blocks.{i}.gate_up.layers.{j}.weight", (there + "gating.{j}.linear_in.weight",)),
        Carry("head.blocks.{i}.down.layers.{j}.weight", (there + "gating.{j}.linear_out.weight",)),
    ]


def transformers(lm: Any) -> list[Carry]:
    """The names of transformers' MoshiForConditionalGeneration; weights per row are stacked, [rows, out, in]."""
    body, layer, there = "body.stack.blocks.{i}.", "decoder.model.layers.{i}.", "depth_decoder.layers.{i}."
    apart = ("self_attn.q_proj.linear.weight", "self_attn.k_proj.linear.weight", "self_attn.v_proj.linear.weight")
    return [
        *_ends(lm, "decoder.model.embed_tokens.weight", "embed_tokens.{}.weight", "decoder.lm_head.weight"),
        Carry(body + "attention.qkv.weight", tuple(layer + name for name in apart), _queries(lm, False)),
        Carry(body + "attention.out.weight", (layer + "self_attn.o_proj.linear.weight",)),
        Carry(body + "attention_norm.weight", (layer + "input_layernorm.weight",)),
        Carry(body + "mlp_norm.weight", (layer + "post_attention_layernorm.weight",)),
        Carry(body + "gate_up.weight", (layer + "mlp.fc1.weight",)),
        Carry(body + "down.weight", (layer + "mlp.fc2.weight",)),
        Carry("body.stack.norm.weight", ("decoder.model.norm.weight",)),
        *_depth_tables(lm, "depth_decoder.text_embed_tokens.weight", "depth_decoder.embed_tokens.{}.weight"),
        *(
            Carry(f"head.projections.{key(row)}.weight", ("depth_decoder.lm_heads.weight",), _row(lm, row, k))
            for k, row in enumerate(lm.head.deep)
        ),
        Carry("head.inward.layers.{j}.weight", ("depth_decoder.input_projections.weight",), _place),
        Carry("head.blocks.{i}.qkv.layers.{j}.weight", tuple(there + name for name in apart), _place),
        Carry("head.blocks.{i}.out.layers.{j}.weight", (there + "self_attn.o_proj.linear.weight",), _place),
        Carry("head.blocks.{i}.attention_norm.weight", (there + "input_layernorm.weight",)),
        Carry("head.blocks.{i}.mlp_norm.weight", (there + "post_attention_layernorm.weight",)),
        Carry("head.blocks.{i}.gate_up.layers.{j}.weight", (there + "mlp.fc1.weight",), _place),
        Carry("head.blocks.{i}.down.layers.{j}.weight", (there + "mlp.fc2.weight",), _place),
    ]


def _many(lm: Any) -> int:
    return len(lm.head.inward.layers)


def _ends(lm: Any, text: str, level: str, out: str) -> list[Carry]:
    """The start vector, the embeddings of all rows, and the text's logits."""
    names = [text, *(level.format(k) for k in range(len(lm.rows) - 1))]
    vocabs = list(lm.vocabs.items())
    return [
        Carry("first", tuple(names), lambda found, at: torch.stack([theirs[-1] for theirs in found]).sum(0)),
        *(
            Carry(f"embeddings.{key(row)}.weight", (name,), table(vocab, pad=vocab.blocks[0][1]))
            for name, (row, vocab) in zip(names, vocabs, strict=True)
        ),
        Carry(f"head.projections.{key(vocabs[0][0])}.weight", (out,), table(vocabs[0][1])),
    ]


def _depth_tables(lm: Any, text: str, level: str) -> list[Carry]:
    """The tables that the depth Transformer reads the rows above with."""
    rows = [row for seen in lm.head.seen for row in seen]
    names = [text, *(level.format(k) for k in range(len(rows) - 1))]
    return [
        Carry(f"head.embeddings.{key(row)}.weight", (name,), table(lm.vocabs[row], pad=lm.vocabs[row].blocks[0][1]))
        for name, row in zip(names, rows, strict=True)
    ]


def _queries(lm: Any, interleaved: bool) -> Change:
    """Queries, keys and values end to end, their rotary pairs turned as our body has them."""
    attention = lm.body.stack.blocks[0].attention
    heads, kv_heads, width = attention.heads, attention.kv_heads, attention.width

    def change(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
        q, k, v = torch.cat(list(found)).split([heads * width, kv_heads * width, kv_heads * width])
        if attention.interleaved != interleaved:
            q, k = turned(q, width, attention.interleaved), turned(k, width, attention.interleaved)
        return torch.cat((q, k, v))

    return change


def _flat(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    return found[0].flatten()


def _slice(many: int) -> Change:
    return lambda found, at: found[0].unflatten(0, (many, -1))[at["j"]]


def _place(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    return torch.cat([theirs[at["j"]] for theirs in found])


def _row(lm: Any, row: str, k: int) -> Change:
    fill = table(lm.vocabs[row])
    return lambda found, at: fill([found[0][k]], at)
