"""What CSM's release calls its tensors, in transformers' format. Sesame 2025, sesame/csm-1b.

A model of the recipe's kind: a row of text, then the levels of the codec; a body of `Transformer`, a head of `Depth`
with inputs in sequence, level 0 independent. All levels lie in one table there, one after another, with three symbols a
level more than the codec has. A missing row adds nothing there, so our `pad` is 0; our `first` is the symbol that their
text begins with, which a prompt then leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from oration.core.released import Carry, Change, table
from oration.lms.heads import key

IGNORED = ("codec_model.*", "depth_decoder.model.embed_tokens.weight")
"""Mimi; and the levels' table again, which the two models share."""


def transformers(lm: Any, *, symbols: int = 2051, begin: int = 128_000, end: int = 128_001) -> list[Carry]:
    """The names of transformers' CsmForConditionalGeneration.

    Args:
        symbols: of a level, in their table.
        begin: their symbol before a text, ours in `first`.
        end: their symbol after a text, ours the mark `end`.
    """
    text, *levels = lm.rows
    body, layer, there = "body.stack.blocks.{i}.", "backbone_model.layers.{i}.", "depth_decoder.model.layers.{i}."
    levels_table = ("backbone_model.embed_tokens.embed_audio_tokens.weight",)
    return [
        Carry("first", ("embed_text_tokens.weight",), lambda found, at: found[0][begin]),
        Carry(f"embeddings.{key(text)}.weight", ("embed_text_tokens.weight",), table(lm.vocabs[text], end=end)),
        *(
            Carry(f"embeddings.{key(row)}.weight", levels_table, table(lm.vocabs[row], k * symbols))
            for k, row in enumerate(levels)
        ),
        *_layers(body, "attention.qkv", "attention.out", "gate_up", "down", layer),
        Carry("body.stack.norm.weight", ("backbone_model.norm.weight",)),
        Carry(f"head.projections.{key(levels[0])}.weight", ("lm_head.weight",), table(lm.vocabs[levels[0]])),
        *(
            Carry(f"head.projections.{key(row)}.weight", ("depth_decoder.codebooks_head.weight",), _head(lm, row, k))
            for k, row in enumerate(levels[1:])
        ),
        Carry("head.inward.layers.0.weight", ("depth_decoder.model.inputs_embeds_projector.weight",)),
        *_layers("head.blocks.{i}.", "qkv.layers.0", "out.layers.0", "gate_up.layers.0", "down.layers.0", there),
        Carry("head.norm.weight", ("depth_decoder.model.norm.weight",)),
    ]


def _layers(ours: str, qkv: str, out: str, gate_up: str, down: str, theirs: str) -> list[Carry]:
    """A LLaMA-like layer, of the backbone or of the depth decoder."""
    return [
        Carry(f"{ours}{qkv}.weight", tuple(f"{theirs}self_attn.{name}_proj.weight" for name in "qkv")),
        Carry(f"{ours}{out}.weight", (theirs + "self_attn.o_proj.weight",)),
        Carry(ours + "attention_norm.weight", (theirs + "input_layernorm.weight",)),
        Carry(ours + "mlp_norm.weight", (theirs + "post_attention_layernorm.weight",)),
        Carry(f"{ours}{gate_up}.weight", (theirs + "mlp.gate_proj.weight", theirs + "mlp.up_proj.weight")),
        Carry(f"{ours}{down}.weight", (theirs + "mlp.down_proj.weight",)),
    ]


def _head(lm: Any, row: str, k: int) -> Change:
    fill = table(lm.vocabs[row])

    def change(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
        return fill([found[0][k].T], at)

    return change
