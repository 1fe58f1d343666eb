"""How much of its codebooks a codec makes use of while it is trained, and an alarm when that is next to nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from oration.core import Spec

MEMORY = 100
"""Updates over which codes are counted: older ones fade."""
UNUSED = 0.1
"""Share of a codebook in use below which it counts as collapsed."""
ALIKE = 0.02
"""Share of a codebook that would say as much, below which it counts as collapsed: restarts keep all of it in use."""
PATIENCE = 500
"""Updates in a row before the alarm."""


class CodebookUse(nn.Module):
    """Running counts of the codes of each level; buffers, so that they resume with the run.

    One batch is too few to tell: 48 crops of a second are 600 codes at 12.5 Hz, and a codebook may have 4096.
    """

    def __init__(self, specs: Mapping[str, Spec]) -> None:
        super().__init__()
        self.specs = dict(specs)
        for level, spec in enumerate(self.specs.values()):
            self.register_buffer(f"count{level}", torch.zeros(spec.size))
        self.low = dict.fromkeys(self.specs, 0)
        self.told: set[str] = set()

    @torch.no_grad()
    def forward(self, codes: Sequence[Tensor]) -> dict[str, Tensor]:
        """long[B, items] of each level, -1 where left out -> values for the log, still on the codes' device.

        `codes/<stream>/use`: share of codewords drawn within about `MEMORY` updates. `.../perplexity`: codewords that
        would say as much if all were used alike. `.../kbps`: what the level needs at least, each code by itself.
        """
        values, total = dict[str, Tensor](), list[Tensor]()
        for level, (row, (name, spec)) in enumerate(zip(codes, self.specs.items(), strict=False)):
            count = self._count(level, row, spec.size)
            entropy = torch.special.entr(count / count.sum().clamp_min(1e-9)).sum()
            total.append(entropy * (float(spec.rate or 0) / math.log(2) / 1000))
            # drawn once, `MEMORY` updates ago
            values[f"codes/{name}/use"] = (count >= 0.999 / math.e).float().mean()
            values[f"codes/{name}/perplexity"] = entropy.exp()
            values[f"codes/{name}/kbps"] = total[-1]
        return values | ({"kbps": torch.stack(total).sum()} if total else {})

    def _count(self, level: int, row: Tensor, size: int) -> Tensor:
        before: Tensor = getattr(self, f"count{level}")
        # no bincount, which waits for a GPU: one more cell takes those that are left out
        drawn = before.new_zeros(size + 1)
        flat = row.flatten()
        drawn.index_add_(0, flat + 1, torch.ones_like(flat, dtype=drawn.dtype))
        if not self.training:
            return drawn[1:]
        before.mul_(math.exp(-1 / MEMORY)).add_(drawn[1:])
        return before

    def alarm(self, values: Mapping[str, float]) -> str | None:
        """A sentence, once for each level, when it has been collapsed for `PATIENCE` updates in a row."""
        for name, spec in self.specs.items():
            if f"codes/{name}/use" not in values:
                continue
            use, perplexity = values[f"codes/{name}/use"], values[f"codes/{name}/perplexity"]
            low = use < UNUSED or perplexity < max(1.5, ALIKE * spec.size)
            self.low[name] = self.low[name] + 1 if low else 0
            if self.low[name] >= PATIENCE and name not in self.told:
                self.told.add(name)
                return (
                    f"the codebook of {name!r} has collapsed: for {PATIENCE} updates it has used {use:.1%} of its "
                    f"{spec.size} codewords, which say as much as {perplexity:.1f} would; let dead codewords start "
                    "again, make the codebook smaller, or lower the learning rate"
                )
        return None
