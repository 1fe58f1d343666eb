"""What released Mimi checkpoints call their tensors. Défossez et al. 2024, arXiv:2410.00037.

Two spellings of one net: `kyutai/mimi` in transformers' names, and Kyutai's own file
(`tokenizer-e351c8d8-checkpoint125.safetensors`, beside each Moshi), which the package `moshi` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from oration.core.released import Carry, Change, joined, turned

IGNORED = ("*.initialized", "*._initialized")
"""Whether k-means has been; a released codebook is."""


def transformers(model: Any) -> list[Carry]:
    """The names of `MimiModel`, for a model of `mimi.MIMI` or of its kind.

    Rotary pairs are a half of a head apart there.
    """
    rules = []
    for side, seanet in (("encoder", 0), ("decoder", 2)):
        rules += _seanet(f"{side}.layers.{seanet}.layers", f"{side}.layers", "conv", "conv")
        layer = f"{side}_transformer.layers.{{i}}"
        names = {
            "attention.out.weight": "self_attn.o_proj.weight",
            "attention_norm": "input_layernorm",
            "mlp_norm": "post_attention_layernorm",
            "up.weight": "mlp.fc1.weight",
            "down.weight": "mlp.fc2.weight",
            "attention_scale": "self_attn_layer_scale.scale",
            "mlp_scale": "mlp_layer_scale.scale",
        }
        queries = tuple(f"{layer}.self_attn.{part}_proj.weight" for part in "qkv")
        rules += _blocks(f"{side}.layers.1", layer, names, Carry("", queries, _neighbours(model, side)))
    rules += [
        Carry("encoder.layers.2.weight", ("downsample.conv.weight",)),
        Carry("decoder.layers.0.weight", ("upsample.conv.weight",)),
    ]
    for ours, theirs in (("first", "semantic"), ("rest", "acoustic")):
        there = f"quantizer.{theirs}_residual_vector_quantizer"
        rules += _levels(ours, there, f"{there}.layers.{{i}}.codebook", "embed_sum")
    return rules


def kyutai(*, apart: bool = False) -> list[Carry]:
    """The names of the package `moshi`.

    Args:
        apart: the projections of attention are lists of one, as in a model that the package has built; in the released
            file they are not.
    """
    rules = []
    inward, outward = ("in_projs.0.weight", "out_projs.0.weight") if apart else ("in_proj_weight", "out_proj.weight")
    for side, seanet in (("encoder", 0), ("decoder", 2)):
        rules += _seanet(f"{side}.layers.{seanet}.layers", f"{side}.model", "conv.conv", "convtr.convtr")
        layer = f"{side}_transformer.transformer.layers.{{i}}"
        names = {
            "attention.out.weight": f"self_attn.{outward}",
            "attention_norm": "norm1",
            "mlp_norm": "norm2",
            "up.weight": "linear1.weight",
            "down.weight": "linear2.weight",
            "attention_scale": "layer_scale_1.scale",
            "mlp_scale": "layer_scale_2.scale",
        }
        rules += _blocks(f"{side}.layers.1", layer, names, Carry("", (f"{layer}.self_attn.{inward}",)))
    rules += [
        Carry("encoder.layers.2.weight", ("downsample.conv.conv.conv.weight",)),
        Carry("decoder.layers.0.weight", ("upsample.convtr.convtr.convtr.weight",)),
    ]
    for part in ("first", "rest"):
        there = f"quantizer.rvq_{part}"
        rules += _levels(part, there, f"{there}.vq.layers.{{i}}._codebook", "embedding_sum")
    return rules


def _seanet(ours: str, theirs: str, conv: str, up: str) -> list[Carry]:
    """The convolutions of one side; those of a decoder that make time longer may have a name of their own."""
    rules = []
    for name in ("weight", "bias"):
        rules.append(Carry(f"{ours}.{{i}}.inner.layers.{{j}}.{name}", (f"{theirs}.{{i}}.block.{{j}}.{conv}.{name}",)))
        if ours.startswith("decoder") and up != conv:
            ends = (0, 14)
            rules += [Carry(f"{ours}.{end}.{name}", (f"{theirs}.{end}.{conv}.{name}",)) for end in ends]
            rules.append(Carry(f"{ours}.{{i}}.{name}", (f"{theirs}.{{i}}.{up}.{name}",)))
        else:
            rules.append(Carry(f"{ours}.{{i}}.{name}", (f"{theirs}.{{i}}.{conv}.{name}",)))
    return rules


def _blocks(ours: str, theirs: str, names: Mapping[str, str], queries: Carry) -> list[Carry]:
    block = f"{ours}.stack.blocks.{{i}}"
    rules = [Carry(f"{block}.attention.qkv.weight", queries.theirs, queries.change)]
    for name, other in names.items():
        ends = ("",) if "scale" in name or name.endswith("weight") else (".weight", ".bias")
        rules += [Carry(f"{block}.{name}{end}", (f"{theirs}.{other}{end}",)) for end in ends]
    return rules


def _levels(ours: str, theirs: str, level: str, total: str) -> list[Carry]:
    """A residual quantizer: a codeword is the mean of the vectors that chose it, of which they keep sum and number."""
    return [
        Carry(f"quantizer.{ours}.inward.weight", (f"{theirs}.input_proj.weight",)),
        Carry(f"quantizer.{ours}.outward.weight", (f"{theirs}.output_proj.weight",)),
        Carry(f"quantizer.{ours}.levels.{{i}}.codebook", (f"{level}.{total}", f"{level}.cluster_usage"), _mean),
        Carry(f"quantizer.{ours}.levels.{{i}}.mass", (f"{level}.cluster_usage",)),
    ]


def _mean(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    return found[0] / found[1].clamp(min=1e-5)[:, None]


def _neighbours(model: Any, side: str) -> Change:
    """Queries, keys and values end to end, the rotary pairs of the first two neighbours as here."""
    width = getattr(model, side).layers[1].width

    def change(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
        q, k, v = found
        return joined([turned(q, width, True), turned(k, width, True), v], at)

    return change
