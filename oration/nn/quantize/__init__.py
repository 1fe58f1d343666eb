"""Vectors to symbols and back: what a codec puts between its encoder and its decoder. Knows no speech."""

from oration.nn.quantize.factorised import FactorisedRvq
from oration.nn.quantize.fsq import Fsq
from oration.nn.quantize.groups import GroupRvq
from oration.nn.quantize.gumbel import GumbelVq
from oration.nn.quantize.lfq import Lfq
from oration.nn.quantize.multiscale import MultiScaleRvq
from oration.nn.quantize.narrow import narrow
from oration.nn.quantize.quantized import Quantized, Quantizer, Usage, usage
from oration.nn.quantize.rvq import Rvq
from oration.nn.quantize.split import SplitRvq

__all__ = [
    "FactorisedRvq", "Fsq", "GroupRvq", "GumbelVq", "Lfq", "MultiScaleRvq", "Quantized", "Quantizer", "Rvq", "SplitRvq",
    "Usage", "narrow", "usage",
]  # fmt: skip
