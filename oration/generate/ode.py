"""Vectors filled in by following a flow from noise: Voicebox. Knows no layout and no vocoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from oration.core import BadInput
from oration.generate.canvas import Canvas, Filler
from oration.generate.sampler import Sampler
from oration.lms.flow_infill import FlowInfillModel


@dataclass(frozen=True, kw_only=True)
class Ode(Filler):
    """Solve the flow's differential equation (Le et al. 2023, arXiv:2306.15687, 3.3), for the head `Velocity`."""

    nfe: int = 32
    """Evaluations of the field; with guidance each costs two passes of the model. The paper: 32, by the midpoint."""
    method: Literal["midpoint", "euler"] = "midpoint"
    """Two evaluations a step, or one."""
    guidance: float = 1.7
    """The velocity is moved away from the one with nothing known, by this factor; 1: as it is. The paper writes it as
    1 + alpha with alpha = 0.7."""
    temperature: float = 1.0
    """Factor on the noise that the flow starts from; 0: the one way from the middle of it."""

    def __post_init__(self) -> None:
        if self.nfe < 1 or (self.method == "midpoint" and self.nfe % 2) or self.temperature < 0:
            raise BadInput(
                f"{self!r}: expected at least one evaluation, an even number for the midpoint method, and a "
                "temperature of 0 or more"
            )

    def fill(self, canvas: Canvas, sampler: Sampler | None) -> Iterator[int]:
        """The sampler is for symbols; here it says nothing."""
        lm = canvas.lm
        if not isinstance(lm, FlowInfillModel):
            raise BadInput(
                f"Ode follows a flow, but {lm.config.name!r} is a {type(lm).__name__}, which fills in symbols; give it "
                "Confidence or Levels"
            )
        items = lm.hidden_items(canvas.batch, canvas.asked)
        x = {name: self._noise(canvas, name, hidden) for name, hidden in items.items()}
        size = (2 if self.method == "midpoint" else 1) / self.nfe
        for number in range(round(1 / size)):
            now = number * size
            speed = self._field(canvas, x, now)
            if self.method == "midpoint":
                middle = {name: v + size / 2 * speed[name] for name, v in x.items()}
                speed = self._field(canvas, middle, now + size / 2)
            x = {name: v + size * speed[name] for name, v in x.items()}
        dense = dict(canvas.batch.dense)
        for name, hidden in items.items():
            values = torch.where(hidden[:, None], lm.unscaled(x[name]), dense[name].values.float())
            dense[name] = replace(dense[name], values=values)
        canvas.batch = replace(canvas.batch, dense=dense)
        yield from canvas.levels

    def _noise(self, canvas: Canvas, name: str, hidden: Tensor) -> Tensor:
        """float[N, W]: noise for each hidden item from its own sequence's chance, zeros elsewhere."""
        at, width = canvas.batch.dense[name], canvas.lm.widths[name]
        x = torch.zeros(len(hidden), width)
        for number, chance in enumerate(canvas.chance):
            mine = (hidden & (at.sequence == number)).cpu()
            x[mine] = torch.randn(int(mine.sum()), width, generator=chance) * self.temperature
        return x.to(hidden.device)

    def _field(self, canvas: Canvas, x: Mapping[str, Tensor], now: float) -> dict[str, Tensor]:
        """Predicted stream -> float[N, W], the velocity."""
        lm, batch, hide = canvas.lm, canvas.batch, canvas.asked
        assert isinstance(lm, FlowInfillModel)
        time = torch.full((len(hide), 1), now, device=hide.device)
        speed = lm.velocity(batch, x, time, hide)
        if self.guidance != 1:
            without = lm.velocity(batch, x, time, hide, lm.holds(batch) & ~hide)
            speed = {name: without[name] + self.guidance * (v - without[name]) for name, v in speed.items()}
        return {name: v.float() for name, v in speed.items()}
