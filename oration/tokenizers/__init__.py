"""Recordings (or what is known of them) to streams, one file per family."""

from oration.tokenizers.cpc import CpcEncoder
from oration.tokenizers.f0 import F0
from oration.tokenizers.features import LogMelFeatures, MfccFeatures
from oration.tokenizers.mel import Mel
from oration.tokenizers.phonetic import PhoneticEncoder
from oration.tokenizers.speaker import SpeakerTable
from oration.tokenizers.units import Units, UnitsModel

__all__ = [
    "F0", "CpcEncoder", "LogMelFeatures", "Mel", "MfccFeatures", "PhoneticEncoder", "SpeakerTable", "Units",
    "UnitsModel",
]  # fmt: skip
