"""What the LMs of EnCodec's entropy coder call their tensors. Défossez et al. 2022, arXiv:2210.13438, section 3.3.

The authors' package `encodec`, `encodec_lm_24khz` and `encodec_lm_48khz`: pickled files, to be written as safetensors
by whoever trusts them. A table there has a row more than the codec has codewords, the first, which stands for the level
before the first frame; together they are our `first`. Marks of ours that they do not have add nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from oration.core.released import Carry, table
from oration.lms.heads import key


def package(lm: Any) -> list[Carry]:
    """The names of `encodec.model.LMModel`, for a language model of a level a row.

    With fewer levels than the release has, ignore its others: `emb.8.*`, `linears.8.*` and so on.
    """
    places, layer, theirs = list(enumerate(lm.rows)), "body.layers.{i}.", "transformer.layers.{i}."
    rules = [Carry("first", tuple(f"emb.{k}.weight" for k, _ in places), _missing)]
    for k, row in places:
        vocab = lm.vocabs[row]
        rules.append(Carry(f"embeddings.{key(row)}.weight", (f"emb.{k}.weight",), table(vocab, 1)))
        for kind in ("weight", "bias"):
            rules.append(Carry(f"head.projections.{key(row)}.{kind}", (f"linears.{k}.{kind}",), table(vocab)))
    for kind in ("weight", "bias"):
        rules += [
            Carry(f"body.norm.{kind}", (f"transformer.norm_in.{kind}",)),
            Carry(f"{layer}qkv.{kind}", (f"{theirs}self_attn.in_proj_{kind}",)),
            Carry(f"{layer}out.{kind}", (f"{theirs}self_attn.out_proj.{kind}",)),
            Carry(f"{layer}up.{kind}", (f"{theirs}linear1.{kind}",)),
            Carry(f"{layer}down.{kind}", (f"{theirs}linear2.{kind}",)),
            Carry(f"{layer}attention_norm.{kind}", (f"{theirs}norm1.{kind}",)),
            Carry(f"{layer}mlp_norm.{kind}", (f"{theirs}norm2.{kind}",)),
        ]
    return rules


def _missing(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    return torch.stack([one[0] for one in found]).sum(0)
