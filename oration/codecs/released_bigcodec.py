"""What BigCodec's release calls its tensors. Xin et al. 2024, arXiv:2409.05377.

`Alethia/BigCodec` is a pickle of two sets of weights, `CodecEnc` and `generator`; stored beforehand as one safetensors
file, with these words and a dot before each name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from oration.codecs.released_dac import OLD, conv
from oration.core.released import Carry

IGNORED = ("*.filter",)
"""The taps of the filters around activations, which are computed."""


def names() -> list[Carry]:
    """The names of the released weights.

    >>> [rule.theirs for rule in names() if rule.ours == "encoder.layers.0.layers.{i}.layers.{j}.layers.1.beta"]
    [('CodecEnc.block.{i}.block.{j}.act.beta',)]
    """
    rules = []
    for side, theirs in (("encoder", "CodecEnc.block"), ("decoder", "generator.model")):
        for here, there in (("", ""), (".layers.{j}", ".block.{j}"), (_UNIT, ".block.{j}.block.{k}")):
            at, place = f"{side}.layers.0.layers.{{i}}{here}", f"{theirs}.{{i}}{there}"
            rules += [Carry(f"{at}.layers.1.{name}", (f"{place}.act.{name}",)) for name in ("alpha", "beta")]
            rules += conv(at, place, OLD)
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            name = f"lstm.{kind}_l{{k}}"
            rules.append(Carry(f"{side}.layers.0.layers.{{i}}.{name}", (f"{theirs}.{{i}}.{name}",)))
    ours, theirs = "quantizer.levels.{q}", "generator.quantizer.layers.{q}"
    for here, there in (("inward", "in_proj"), ("outward", "out_proj")):
        for name, other in (("gain", "weight_g"), ("weight", "weight_v")):
            rules.append(Carry(f"{ours}.{here}.{name}", (f"{theirs}.{there}.{other}",), _framed))
        rules.append(Carry(f"{ours}.{here}.bias", (f"{theirs}.{there}.bias",)))
    return [*rules, Carry(f"{ours}.codebook", (f"{theirs}._codebook.weight",))]


_UNIT = ".layers.{j}.inner.layers.{k}"


def _framed(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    """The weight of a linear layer as that of a convolution of one frame."""
    return found[0][:, :, None]
