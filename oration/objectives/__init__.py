"""Objectives: what training minimises."""

from oration.objectives.bpe import Bpe
from oration.objectives.cpc import Cpc
from oration.objectives.cross_entropy import CrossEntropy, CrossEntropyModel
from oration.objectives.ctc import CtcLoss
from oration.objectives.ctc_phones import CtcPhones
from oration.objectives.distil import Distil
from oration.objectives.flow import MaskedFlow
from oration.objectives.frames import Augment, FrameCrossEntropy
from oration.objectives.gan import Gan
from oration.objectives.kmeans import KMeans
from oration.objectives.masked import Masked, NextLevel
from oration.objectives.noisy import Noisy
from oration.objectives.prosody import ProsodyLoss
from oration.objectives.remember import Remember
from oration.objectives.spectral import Distance
from oration.objectives.standardise import Standardise
from oration.objectives.unit_bpe import UnitBpe

__all__ = [
    "Augment", "Bpe", "Cpc", "CrossEntropy", "CrossEntropyModel", "CtcLoss", "CtcPhones", "Distance", "Distil",
    "FrameCrossEntropy", "Gan", "KMeans", "Masked", "MaskedFlow", "NextLevel", "Noisy", "ProsodyLoss", "Remember",
    "Standardise", "UnitBpe",
]  # fmt: skip
