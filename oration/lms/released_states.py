"""What the releases of Mamba-2 and RecurrentGemma call the tensors of their bodies, in transformers' format.

For `StateSpace` and `Griffin`. RecurrentGemma multiplies its embeddings by sqrt(dim) and caps its logits, which is
outside the body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from oration.core.released import Carry


def mamba2(prefix: str = "backbone.") -> list[Carry]:
    """The names of transformers' Mamba2ForCausalLM, for a `StateSpaceModel`."""
    there = prefix + "layers.{i}."
    names = {
        "inward.weight": "in_proj.weight", "out.weight": "out_proj.weight", "conv.bias": "conv1d.bias",
        "step": "dt_bias", "decay": "A_log", "skip": "D", "norm": "norm.weight",
    }  # fmt: skip
    return [
        *(Carry("mixers.{i}." + ours, (f"{there}mixer.{theirs}",)) for ours, theirs in names.items()),
        Carry("mixers.{i}.conv.weight", (there + "mixer.conv1d.weight",), _taps),
        Carry("norms.{i}.weight", (there + "norm.weight",)),
        Carry("norm.weight", (prefix + "norm_f.weight",)),
    ]


def recurrent_gemma(body: Any, prefix: str = "model.") -> list[Carry]:
    """The names of transformers' RecurrentGemmaForCausalLM, for a `GriffinModel`; norms are stored less one there."""
    ours, there = "stack.blocks.{i}.", prefix + "layers.{i}."
    rules = [
        *(
            Carry(f"{ours}gate_up.{kind}", (f"{there}mlp_block.gate_proj.{kind}", f"{there}mlp_block.up_proj.{kind}"))
            for kind in ("weight", "bias")
        ),
        *_both(ours + "down", there + "mlp_block.down_proj"),
        Carry(ours + "attention_norm.weight", (there + "temporal_pre_norm.weight",), _one_more),
        Carry(ours + "mlp_norm.weight", (there + "channel_pre_norm.weight",), _one_more),
        Carry("stack.norm.weight", (prefix + "final_norm.weight",), _one_more),
    ]
    for i, kind in enumerate(body.stack.kinds):  # both kinds have an `out`, of another name there
        rules += (_attention if kind == "attention" else _recurrence)(
            f"stack.blocks.{i}.attention.", f"{prefix}layers.{i}.temporal_block."
        )
    return rules


def _attention(ours: str, there: str) -> list[Carry]:
    return [
        Carry(ours + "qkv.weight", tuple(f"{there}{name}_proj.weight" for name in "qkv")),
        *_both(ours + "out", there + "o_proj"),
    ]


def _recurrence(ours: str, there: str) -> list[Carry]:
    lru = there + "rg_lru."
    return [
        *_both(ours + "gate", there + "linear_y"),
        *_both(ours + "inward", there + "linear_x"),
        *_both(ours + "out", there + "linear_out"),
        Carry(ours + "conv.weight", (there + "conv_1d.weight",), _taps),
        Carry(ours + "conv.bias", (there + "conv_1d.bias",)),
        Carry(ours + "decay", (lru + "recurrent_param",)),
        Carry(ours + "gates", (lru + "input_gate_weight", lru + "recurrent_gate_weight"), _stacked),
        Carry(ours + "shifts", (lru + "input_gate_bias", lru + "recurrent_gate_bias"), _flat),
    ]


def _both(ours: str, theirs: str) -> tuple[Carry, Carry]:
    return Carry(ours + ".weight", (theirs + ".weight",)), Carry(ours + ".bias", (theirs + ".bias",))


def _taps(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    return found[0][:, 0]


def _one_more(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    return found[0] + 1


def _stacked(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    return torch.stack(list(found))


def _flat(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    return torch.stack([each.flatten() for each in found])
