"""Streams to recordings: generators behind one promise, their discriminators, and the prosody that comes before."""

from oration.vocoders.discriminators import MultiBandStft, MultiPeriod, MultiResolutionStft, MultiScale
from oration.vocoders.griffin_lim import GriffinLim
from oration.vocoders.prosody import Prosody, ProsodyModel
from oration.vocoders.recall import Recall, RecallModel
from oration.vocoders.unit_hifigan import UnitHifiGan, UnitHifiGanModel
from oration.vocoders.vocos import Vocos, VocosModel

__all__ = [
    "GriffinLim", "MultiBandStft", "MultiPeriod", "MultiResolutionStft", "MultiScale", "Prosody", "ProsodyModel",
    "Recall", "RecallModel", "UnitHifiGan", "UnitHifiGanModel", "Vocos", "VocosModel",
]  # fmt: skip
