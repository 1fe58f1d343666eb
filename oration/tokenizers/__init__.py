"""Recordings (or what is known of them) to streams, one file per family."""

from oration.core.decoder import Decoder
from oration.tokenizers.channels import Channels, ChannelsModel
from oration.tokenizers.cpc import CpcEncoder
from oration.tokenizers.f0 import F0
from oration.tokenizers.features import LogMelFeatures, MfccFeatures
from oration.tokenizers.grouped import Grouped
from oration.tokenizers.heard import HeardPhones, HeardPhonesModel
from oration.tokenizers.mel import Mel
from oration.tokenizers.mel_rvq import MelRvq, MelRvqModel
from oration.tokenizers.phonemes import Phonemes
from oration.tokenizers.phonetic import PhoneticEncoder
from oration.tokenizers.speaker import SpeakerTable
from oration.tokenizers.speech import Segments, Speech, SpeechModel
from oration.tokenizers.style import ProsodyStatistics, Style
from oration.tokenizers.text import TextPieces, TextPiecesModel
from oration.tokenizers.unit_pieces import UnitPieces, UnitPiecesModel
from oration.tokenizers.units import Units, UnitsModel

__all__ = [
    "F0", "Channels", "ChannelsModel", "CpcEncoder", "Decoder", "Grouped", "HeardPhones", "HeardPhonesModel",
    "LogMelFeatures", "Mel", "MelRvq", "MelRvqModel", "MfccFeatures", "Phonemes", "PhoneticEncoder",
    "ProsodyStatistics", "Segments", "SpeakerTable", "Speech", "SpeechModel", "Style", "TextPieces",
    "TextPiecesModel", "UnitPieces", "UnitPiecesModel", "Units", "UnitsModel",
]  # fmt: skip
