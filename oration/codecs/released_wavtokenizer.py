"""What released WavTokenizer checkpoints call their tensors. Ji et al. 2024, arXiv:2408.16532.

The releases are pickled training checkpoints: whoever trusts them has to save their `state_dict` as safetensors first.
They hold an EnCodec decoder that nothing uses, and the discriminators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from oration.codecs.released_encodec import OLD, seanet
from oration.core.released import Carry, Change, joined

IGNORED = (
    "feature_extractor.encodec.decoder.*",
    "feature_extractor.encodec.quantizer.*.inited",
    "feature_extractor.encodec.quantizer.*.embed_avg",
    "head.istft.window",
    "*discriminator*.*",
    "dac.*",
    "melspec_loss.*",
)


def release(condition: int = 0) -> list[Carry]:
    """The names of the authors' code.

    Args:
        condition: which of the four bandwidths that norms are conditioned on; the authors' examples take the first.

    >>> [rule.theirs for rule in release() if rule.ours == "decoder.layers.0.layers.5.out.bias"]
    [('head.out.bias',)]
    """
    rules = seanet("encoder", "feature_extractor.encodec.encoder.model", "conv.conv", OLD)
    level = "feature_extractor.encodec.quantizer.vq.layers.{i}._codebook"
    rules.append(Carry("quantizer.levels.{i}.codebook", (f"{level}.embed",)))
    rules.append(Carry("quantizer.levels.{i}.mass", (f"{level}.cluster_size",)))
    ours, row = "decoder.layers.0.layers", _row(condition)
    pos, deep = f"{ours}.1.layer", "backbone.convnext.{i}"
    block = f"{ours}.3.blocks.{{i}}"
    for name, scale in (("weight", "scale"), ("bias", "shift")):
        rules += [
            Carry(f"{ours}.0.{name}", (f"backbone.embed.{name}",)),
            Carry(f"{pos}.2.norm.{name}", (f"backbone.pos_net.2.norm.{name}",)),
            Carry(f"{pos}.2.inward.{name}", tuple(f"backbone.pos_net.2.{part}.{name}" for part in "qkv"), _flat),
            Carry(f"{pos}.2.outward.{name}", (f"backbone.pos_net.2.proj_out.{name}",), _flat),
            Carry(f"{pos}.5.{name}", (f"backbone.pos_net.5.{name}",)),
            Carry(f"{ours}.2.{name}", (f"backbone.norm.{scale}.weight",), row),
            Carry(f"{block}.norm.{name}", (f"{deep}.norm.{scale}.weight",), row),
            Carry(f"{block}.up.{name}", (f"{deep}.pwconv1.{name}",)),
            Carry(f"{block}.down.{name}", (f"{deep}.pwconv2.{name}",)),
            Carry(f"{ours}.4.{name}", (f"backbone.final_layer_norm.{name}",)),
            Carry(f"{ours}.5.out.{name}", (f"head.out.{name}",)),
        ]
        rules += [
            Carry(f"{pos}.{{i}}.{kind}s.{n}.{name}", (f"backbone.pos_net.{{i}}.{kind}{n + 1}.{name}",))
            for kind in ("norm", "conv")
            for n in (0, 1)
        ]
    return [
        *rules,
        Carry(f"{block}.conv.weight", (f"{deep}.dwconv.weight",), _channels_last),
        Carry(f"{block}.conv.bias", (f"{deep}.dwconv.bias",)),
        Carry(f"{block}.scale", (f"{deep}.gamma",)),
    ]


def _flat(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    """Convolutions of one frame as one linear layer."""
    return joined(found, at).flatten(1) if found[0].ndim > 1 else joined(found, at)


def _channels_last(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    return found[0][:, 0].T


def _row(number: int) -> Change:
    return lambda found, at: found[0][number]
