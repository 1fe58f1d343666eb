"""What DAC's releases call their tensors. Kumar et al. 2023, arXiv:2306.06546.

`descript/dac_16khz`, `dac_24khz` and `dac_44khz` in transformers' format, whose weights are without weight norm; and
the names of the authors' package (descript-audio-codec), with it. Only safetensors are read: weights of the package,
which come as a pickle, must have been stored as safetensors beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from oration.core.released import Carry

OLD = ("weight_g", "weight_v")
"""Length and direction of a weight as torch's older weight norm has them."""
NEW = ("parametrizations.weight.original0", "parametrizations.weight.original1")


def package(norm: Sequence[str] = OLD) -> list[Carry]:
    """The names of descript-audio-codec's `DAC`.

    >>> [rule.theirs for rule in package() if rule.ours == "decoder.layers.0.layers.{i}.layers.{j}.alpha"]
    [('decoder.model.{i}.block.{j}.alpha',)]
    """
    return [*stack("encoder", "encoder.block", norm), *stack("decoder", "decoder.model", norm), *levels(norm)]


def stack(ours: str, theirs: str, norm: Sequence[str]) -> list[Carry]:
    """A side whose layers stand there as they do here."""
    rules = []
    for here, there in (("", ""), (".layers.{j}", ".block.{j}"), (".layers.{j}.inner.{k}", ".block.{j}.block.{k}")):
        at, place = f"{ours}.layers.0.layers.{{i}}{here}", f"{theirs}.{{i}}{there}"
        rules += [Carry(f"{at}.alpha", (f"{place}.alpha",), flat), *conv(at, place, norm)]
    return rules


def levels(norm: Sequence[str] | None, theirs: str = "quantizer.quantizers.{q}") -> list[Carry]:
    """The codebooks and their projections."""
    ours = "quantizer.levels.{q}"
    return [
        *conv(f"{ours}.inward", f"{theirs}.in_proj", norm),
        *conv(f"{ours}.outward", f"{theirs}.out_proj", norm),
        Carry(f"{ours}.codebook", (f"{theirs}.codebook.weight",)),
    ]


def conv(ours: str, theirs: str, norm: Sequence[str] | None) -> list[Carry]:
    """A convolution with weight norm; None: there without, and the length is that of the weight."""
    gain = (
        Carry(f"{ours}.gain", (f"{theirs}.{norm[0]}",))
        if norm
        else Carry(f"{ours}.gain", (f"{theirs}.weight",), length)
    )
    weight = norm[1] if norm else "weight"
    return [gain, Carry(f"{ours}.weight", (f"{theirs}.{weight}",)), Carry(f"{ours}.bias", (f"{theirs}.bias",))]


def transformers(strides: int = 4) -> list[Carry]:
    """The names of transformers' `DacModel`.

    Args:
        strides: how many there are.

    >>> [rule.theirs for rule in transformers() if rule.ours == "encoder.layers.0.layers.2.layers.1.inner.3.weight"]
    [('encoder.block.1.res_unit2.conv2.weight',)]
    """
    rules = levels(None)
    for side, before in (("encoder", 0), ("decoder", 2)):
        ours = f"{side}.layers.0.layers"
        rules += conv(f"{ours}.0", f"{side}.conv1", None)
        rules.append(Carry(f"{ours}.{strides + 1}.alpha", (f"{side}.snake1.alpha",), flat))
        rules += conv(f"{ours}.{strides + 2}", f"{side}.conv2", None)
        for i in range(strides):
            here, there = f"{ours}.{i + 1}.layers", f"{side}.block.{i}"
            for j in range(3):
                unit, theirs = f"{here}.{before + j}.inner", f"{there}.res_unit{j + 1}"
                for k in range(2):
                    rules.append(Carry(f"{unit}.{2 * k}.alpha", (f"{theirs}.snake{k + 1}.alpha",), flat))
                    rules += conv(f"{unit}.{2 * k + 1}", f"{theirs}.conv{k + 1}", None)
            snake, change = (0, "conv_t1") if before else (3, "conv1")
            rules.append(Carry(f"{here}.{snake}.alpha", (f"{there}.snake1.alpha",), flat))
            rules += conv(f"{here}.{snake + 1}", f"{there}.{change}", None)
    return rules


def flat(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    """One number a channel."""
    return found[0].flatten()


def length(found: Sequence[Tensor], at: Mapping[str, int]) -> Tensor:
    """What a weight norm of the whole weight is."""
    return found[0].norm(dim=(1, 2), keepdim=True)
