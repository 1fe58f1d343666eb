"""Language models: one class, from a body, a head and a start. Knows grids, not layouts."""

from oration.lms.bodies import Fusion, Transformer, TransformerModel
from oration.lms.ctc import Ctc, CtcModel
from oration.lms.depth import Depth, DepthModel
from oration.lms.flow_infill import FlowInfillModel, Velocity
from oration.lms.heads import Rows, RowsModel
from oration.lms.infill import InfillModel, Whole
from oration.lms.lm import LM, LanguageModel, State, evaluating
from oration.lms.recent import RecentModel, RecentTransformer
from oration.lms.start import Fresh, FromText, Start
from oration.lms.statespace import Griffin, GriffinModel, StateSpace, StateSpaceModel
from oration.lms.text import Lora, TextBody, TextBodyModel
from oration.lms.towers import TwoTowers, TwoTowersModel
from oration.lms.vectors import Flow, FlowModel, Regress, RegressModel
from oration.nn.positions import Rope
from oration.nn.transformer import Layer

__all__ = [
    "LM", "Ctc", "CtcModel", "Depth", "DepthModel", "Flow", "FlowInfillModel", "FlowModel", "Fresh", "FromText",
    "Fusion", "Griffin", "GriffinModel", "InfillModel", "LanguageModel", "Layer", "Lora", "RecentModel",
    "RecentTransformer", "Regress", "RegressModel", "Rope", "Rows", "RowsModel", "Start", "State", "StateSpace",
    "StateSpaceModel", "TextBody", "TextBodyModel", "Transformer", "TransformerModel", "TwoTowers", "TwoTowersModel",
    "Velocity", "Whole", "evaluating",
]  # fmt: skip
