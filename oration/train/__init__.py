"""Floor 4: one loop for every part, its values, and checkpoints."""

from oration.train.feed import Crops, Mix, Packed
from oration.train.optim import AdamW, Constant, Cosine, InverseSqrt, Linear, Steps
from oration.train.stage import Train
from oration.train.texts import Texts
from oration.train.utterances import Utterances
from oration.train.whole import Whole

__all__ = [
    "AdamW", "Constant", "Cosine", "Crops", "InverseSqrt", "Linear", "Mix", "Packed", "Steps", "Texts", "Train",
    "Utterances", "Whole",
]  # fmt: skip
