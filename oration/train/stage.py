"""One stage of training as a value: which part, on what, towards what, for how long."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from oration.train.feed import Crops, Mix, Packed
from oration.train.optim import AdamW, Constant, Cosine, InverseSqrt, Linear, Steps
from oration.train.texts import Texts
from oration.train.utterances import Utterances
from oration.train.whole import Whole


@dataclass(frozen=True, kw_only=True)
class Train:
    """Stages of a recipe run in order; each starts from the parts that the earlier ones left."""

    part: str
    """The part's name, or a module inside it: `ulm`, `units`, `units.encoder`, `vocoder`."""
    objective: Any
    feed: Crops | Packed | Texts | Utterances | Whole
    budget: Steps
    data: Mix = field(default_factory=Mix)
    optimizer: AdamW = field(default_factory=AdamW)
    schedule: Constant | Cosine | InverseSqrt | Linear = field(default_factory=Cosine)
    precision: Literal["fp32", "bf16"] = "bf16"
    seed: int = 0
    save_every: int = 250
    """Updates between checkpoints."""
    dev_every: int = 250
    """Updates between measurements on held-out clips; 0 for none."""
    dev_batches: int = 8
    keep: Literal["last", "best"] = "last"
    """`best`: those weights that had the lowest held-out loss when measured, so that a run may last too long."""

    def tiny(self) -> Train:
        """Three updates on a little of any data."""
        objective = type(self.objective).tiny() if hasattr(self.objective, "tiny") else self.objective
        return replace(
            self,
            objective=objective,
            feed=self.feed.tiny(),
            budget=Steps(3),
            data=Mix(),
            save_every=2,
            dev_every=2,
            dev_batches=1,
        )
