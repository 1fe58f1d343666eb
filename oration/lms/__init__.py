"""Language models: one class, from a body, a head and a start. Knows grids, not layouts."""

from oration.lms.bodies import Transformer, TransformerModel
from oration.lms.heads import Rows, RowsModel
from oration.lms.lm import LM, LanguageModel, State, evaluating
from oration.lms.start import Fresh, FromText, Start
from oration.lms.text import TextBody, TextBodyModel

__all__ = [
    "LM", "Fresh", "FromText", "LanguageModel", "Rows", "RowsModel", "Start", "State", "TextBody", "TextBodyModel",
    "Transformer", "TransformerModel", "evaluating",
]  # fmt: skip
