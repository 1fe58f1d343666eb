"""What the releases of MusicGen and of Bark's GPT stages call their tensors.

MusicGen (Copet et al. 2023, arXiv:2306.05284): rows are the codec's levels, each a step later than the one above, and
nothing ends. Its cross-attention to a text encoder is left out, so this is its decoder without a text. Bark
(github.com/suno-ai/bark): one row of text, then units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from oration.core import BadInput, Vocab
from oration.core.released import Carry, Change, joined, table
from oration.lms.heads import key

NO_TEXT = ("*.encoder_attn.*", "*.encoder_attn_layer_norm.*", "enc_to_dec_proj.*", "text_encoder.*", "audio_encoder.*")
"""What MusicGen has besides: attention to a text, the text's encoder, the codec."""
MASKS = ("*.attn.bias",)
"""Bark keeps its causal masks among its weights."""


def musicgen(lm: Any, prefix: str = "") -> list[Carry]:
    """The names of transformers' MusicgenForCausalLM; `prefix`: `decoder.` for MusicgenForConditionalGeneration.

    Its padding symbol, one past the last, is our `pad` (a level that is late) and, summed over the levels, our `first`.
    The body: `layer=Layer(norm="layer", norm_eps=1e-5, mlp="gelu")`, `positions="sine"`, no biases.
    """
    ours, theirs = "body.stack.blocks.{i}.", prefix + "model.decoder.layers.{i}."
    tables = [f"{prefix}model.decoder.embed_tokens.{k}.weight" for k in range(len(lm.rows))]
    levels = list(enumerate(lm.vocabs.items()))
    return [
        Carry("first", tuple(tables), lambda found, at: torch.stack([there[-1] for there in found]).sum(0)),
        *(
            Carry(f"embeddings.{key(row)}.weight", (tables[k],), table(vocab, pad=vocab.blocks[0][1]))
            for k, (row, vocab) in levels
        ),
        *(
            Carry(f"head.projections.{key(row)}.weight", (f"{prefix}lm_heads.{k}.weight",), table(vocab))
            for k, (row, vocab) in levels
        ),
        Carry(ours + "attention.qkv.weight", tuple(f"{theirs}self_attn.{name}_proj.weight" for name in "qkv")),
        Carry(ours + "attention.out.weight", (theirs + "self_attn.out_proj.weight",)),
        *_both(ours + "attention_norm", theirs + "self_attn_layer_norm"),
        *_both(ours + "mlp_norm", theirs + "final_layer_norm"),
        Carry(ours + "up.weight", (theirs + "fc1.weight",)),
        Carry(ours + "down.weight", (theirs + "fc2.weight",)),
        *_both("body.stack.norm", prefix + "model.decoder.layer_norm"),
    ]


def bark(lm: Any, symbols: Mapping[str, int], *, begin: int, between: int, end: int, prefix: str = "") -> list[Carry]:
    """The names of transformers' BarkCausalModel; `prefix`: `semantic.` or `coarse_acoustics.` for a whole BarkModel.

    Bark has no start vector: a model of ours stands for it behind one first symbol.

    Args:
        symbols: stream -> where its symbols begin in their table.
        begin: the symbol that is always first, our start vector.
        between: the symbol after the given streams (`semantic_infer_token`), what our `end` is as an input.
        end: the symbol after the last, what our `end` is as an output (`semantic_pad_token`).
    """
    (vocab,) = lm.vocabs.values()
    ours, theirs = "body.stack.blocks.{i}.", prefix + "layers.{i}."
    blocks = ((".qkv", ".att_proj"), (".out", ".out_proj"))
    table_in, table_out = prefix + "input_embeds_layer.weight", prefix + "lm_head.weight"
    (row,) = lm.rows
    return [
        Carry("first", (table_in,), lambda found, at: found[0][begin]),
        Carry(f"embeddings.{key(row)}.weight", (table_in,), _pieces(vocab, {**symbols, "end": between})),
        Carry(f"head.projections.{key(row)}.weight", (table_out,), _pieces(vocab, {**symbols, "end": end})),
        Carry("body.stack.places.table.weight", (prefix + "position_embeds_layer.weight",)),
        *(each for a, b in blocks for each in _both(f"{ours}attention{a}", f"{theirs}attn{b}")),
        *_both(ours + "attention_norm", theirs + "layernorm_1"),
        *_both(ours + "mlp_norm", theirs + "layernorm_2"),
        *_both(ours + "up", theirs + "mlp.in_proj"),
        *_both(ours + "down", theirs + "mlp.out_proj"),
        *_both("body.stack.norm", prefix + "layernorm_final"),
    ]


def _both(ours: str, theirs: str) -> tuple[Carry, Carry]:
    """A weight and its bias; a rule for a bias that is not there does nothing."""
    return Carry(ours + ".weight", (theirs + ".weight",)), Carry(ours + ".bias", (theirs + ".bias",))


def _pieces(vocab: Vocab, places: Mapping[str, int]) -> Change:
    """The blocks of a vocabulary, each from another place of their table; what lies past its end stays 0."""
    unknown = set(places) - set(vocab.ranges)
    if unknown:
        raise BadInput(f"the row has no {sorted(unknown)}, but {sorted(vocab.ranges)}; name the streams it has")

    def change(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
        theirs = joined(found, at)
        ours = theirs.new_zeros(vocab.size, *theirs.shape[1:])
        for name, first in places.items():
            start, stop = vocab.ranges[name]
            piece = theirs[first : first + stop - start]
            ours[start : start + len(piece)] = piece
        return ours

    return change
