"""What SNAC's releases call their tensors. Siuzdak et al. 2024, arXiv:2410.14411.

`hubertsiuzdak/snac_24khz`, `snac_32khz` and `snac_44khz`, as the package `snac` has them. Only safetensors are read:
the releases, which come as pickles, must have been stored as safetensors beforehand.
"""

from __future__ import annotations

from oration.codecs.released_dac import NEW, conv, levels, stack
from oration.core.released import Carry

IGNORED = ("*.rel_pos.inv_freq",)
"""The angles of attention, which are computed."""


def package() -> list[Carry]:
    """The names of `snac.SNAC`.

    >>> [rule.theirs for rule in package() if rule.ours == "encoder.layers.0.layers.{i}.qkv.weight"]
    [('encoder.block.{i}.to_qkv.weight',)]
    """
    rules = levels(NEW)
    for side, theirs in (("encoder", "encoder.block"), ("decoder", "decoder.model")):
        ours = f"{side}.layers.0.layers.{{i}}"
        there = f"{theirs}.{{i}}"
        # Before the convolutions, whose names take any layer's weight.
        rules += [
            Carry(f"{ours}.norm.weight", (f"{there}.norm.weight",)),
            Carry(f"{ours}.norm.bias", (f"{there}.norm.bias",)),
            Carry(f"{ours}.qkv.weight", (f"{there}.to_qkv.weight",)),
            Carry(f"{ours}.out.weight", (f"{there}.to_out.weight",)),
            *conv(f"{ours}.layers.{{j}}.linear", f"{there}.block.{{j}}.linear", NEW)[:2],
            *stack(side, theirs, NEW),
        ]
    return rules
