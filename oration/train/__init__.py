"""Floor 4: one loop for every part, its values, and checkpoints."""

from oration.train.feed import Crops, Mix, Packed
from oration.train.optim import AdamW, Constant, Cosine, InverseSqrt, Steps
from oration.train.stage import Train

__all__ = ["AdamW", "Constant", "Cosine", "Crops", "InverseSqrt", "Mix", "Packed", "Steps", "Train"]
