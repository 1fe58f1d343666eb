"""Objectives: what training minimises."""

from oration.objectives.cpc import Cpc
from oration.objectives.cross_entropy import CrossEntropy, CrossEntropyModel
from oration.objectives.frames import Augment, FrameCrossEntropy
from oration.objectives.gan import Gan
from oration.objectives.kmeans import KMeans
from oration.objectives.prosody import ProsodyLoss

__all__ = ["Augment", "Cpc", "CrossEntropy", "CrossEntropyModel", "FrameCrossEntropy", "Gan", "KMeans", "ProsodyLoss"]
