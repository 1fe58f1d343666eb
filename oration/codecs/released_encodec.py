"""What released EnCodec checkpoints call their tensors. Défossez et al. 2022, arXiv:2210.13438.

Two spellings of one net: `facebook/encodec_24khz` and `encodec_48khz` in transformers' names (torch's older or newer
weight norm), and the authors' own package `encodec`, whose SEANet SpeechTokenizer uses too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oration.core.released import Carry

OLD = ("weight_g", "weight_v")
"""Length and direction of a weight as torch's older weight norm has them."""
NEW = ("parametrizations.weight.original0", "parametrizations.weight.original1")

IGNORED = ("quantizer.*.inited", "quantizer.*.embed_avg")
"""Whether k-means has been, and the sum that the codewords are the mean of: ours keeps the mean."""


def transformers(*, norm: Sequence[str] = OLD, normed: bool = True) -> list[Carry]:
    """The names of `EncodecModel`.

    Args:
        norm: `OLD` in the files of 2023, `NEW` in a model that transformers has loaded.
        normed: False: as at 48 kHz, weights are whole, and a norm over time follows.

    >>> [rule.theirs for rule in transformers() if rule.ours == "encoder.layers.0.layers.{i}.gain"]
    [('encoder.layers.{i}.conv.weight_g',)]
    """
    sides = [
        rule for s in ("encoder", "decoder") for rule in seanet(s, f"{s}.layers", "conv", norm if normed else None)
    ]
    return [*sides, *codebooks("quantizer.layers.{i}.codebook")]


def package(*, normed: bool = True, last: int = 15) -> list[Carry]:
    """The names of the package `encodec`.

    Args:
        last: which layer of the decoder is the last convolution.

    >>> [rule.theirs for rule in package() if rule.ours == "decoder.layers.0.layers.{i}.inner.layers.{j}.bias"]
    [('decoder.model.{i}.block.{j}.conv.conv.bias',)]
    """
    norm = OLD if normed else None
    both = [rule for s in ("encoder", "decoder") for rule in seanet(s, f"{s}.model", "conv.conv", norm, last=last)]
    return [*both, *codebooks("quantizer.vq.layers.{i}._codebook")]


def seanet(side: str, theirs: str, conv: str, norm: Sequence[str] | None, *, last: int | None = None) -> list[Carry]:
    """The weights of one side.

    Args:
        theirs: where its layers are, such as `encoder.model`.
        conv: what a convolution is called in one.
        norm: names of a weight's length and direction; None: weights are whole, and a norm over time follows.
        last: the last layer of a decoder whose transposed convolutions have a name of their own.
    """
    ours, rules = f"{side}.layers.0.layers", list[Carry]()
    places = {f"{ours}.{{i}}.inner.layers.{{j}}": f"{theirs}.{{i}}.block.{{j}}.{conv}"}
    places[f"{ours}.{{i}}.shortcut"] = f"{theirs}.{{i}}.shortcut.{conv}"
    if side == "decoder" and last is not None:
        places |= {f"{ours}.{end}": f"{theirs}.{end}.{conv}" for end in (0, last)}
        conv = conv.replace("conv", "convtr")
    places[f"{ours}.{{i}}"] = f"{theirs}.{{i}}.{conv}"
    for here, there in places.items():
        rules += [Carry(f"{here}.{name}", (f"{there}.{other}",)) for name, other in _conv(norm).items()]
        if norm is None:
            behind = f"{there.rpartition('.')[0]}.norm"
            rules += [Carry(f"{here}.layers.0.{name}", (f"{there}.{name}",)) for name in ("weight", "bias")]
            rules += [Carry(f"{here}.layers.1.{name}", (f"{behind}.{name}",)) for name in ("weight", "bias")]
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        for back in ("", "_reverse"):
            name = f"lstm.{kind}_l{{k}}{back}"
            rules.append(Carry(f"{ours}.{{i}}.{name}", (f"{theirs}.{{i}}.{name}",)))
    return rules


def _conv(norm: Sequence[str] | None) -> Mapping[str, str]:
    return {} if norm is None else {"gain": norm[0], "weight": norm[1], "bias": "bias"}


def codebooks(theirs: str) -> list[Carry]:
    """The codewords of a residual quantizer's levels and how often each was chosen; `{i}` in `theirs` is the level."""
    names = {"codebook": "embed", "mass": "cluster_size"}
    return [Carry(f"quantizer.levels.{{i}}.{here}", (f"{theirs}.{there}",)) for here, there in names.items()]
