"""A codec's first level learns what another model hears: meaning in the first stream, sound in the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput, Spec


@dataclass(frozen=True, kw_only=True)
class Distil:
    """What the first level stands for, through a linear layer of the loss's own, against a stream of the batch.

    A stream of vectors is compared by cosine, one of symbols by cross-entropy (Zhang et al. 2023, arXiv:2308.16692,
    section 3.3). The stream may have another rate: vectors are averaged, of symbols the nearest is taken.
    """

    stream: str = "speech"
    """The teacher's, as a tokenizer of the recipe gives it; the feed has to bring it."""
    axis: Literal["width", "time"] = "width"
    """Cosine of each frame over the width (Mimi: Défossez et al. 2024, arXiv:2410.00037, 3.3.2), averaged; or of each
    dimension over the time (SpeechTokenizer's D axis), whose log-sigmoid is taken."""
    weight: float = 1.0

    @classmethod
    def tiny(cls) -> Distil:
        return cls()

    def build(self, dim: int, specs: Mapping[str, Spec]) -> DistilModel:
        """The layer, from the codec's `dim` to the width or the symbols of the stream.

        Raises:
            BadInput: the data has no such stream.
        """
        if self.stream not in specs:
            raise BadInput(
                f"distillation needs the stream {self.stream!r}, but the data gives {sorted(specs)}; add the tokenizer "
                "that makes it, or name another"
            )
        return DistilModel(self, dim, specs[self.stream])


class DistilModel(nn.Module):
    """The layer and the loss."""

    def __init__(self, config: Distil, dim: int, spec: Spec) -> None:
        super().__init__()
        self.config, self.dense = config, bool(spec.dim)
        self.layer = nn.Linear(dim, spec.dim or spec.size)

    def forward(self, first: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """float[B, F, D] of the first level -> the loss, before its weight.

        Raises:
            BadInput: the feed brings no such stream.
        """
        if self.config.stream not in batch:
            raise BadInput(
                f"distillation needs {self.config.stream!r} in the batch, which has {sorted(batch)}; "
                "name it in feed.streams"
            )
        teacher, guess = batch[self.config.stream], self.layer(first).float()
        if self.dense:
            return self._cosine(guess, teacher.float())
        frames, items = guess.shape[1], teacher.shape[1]
        nearest = ((torch.arange(frames, device=teacher.device) + 0.5) * items / frames).long()
        labels = teacher[:, nearest]
        nats = F.cross_entropy(guess.transpose(1, 2), labels, ignore_index=-1, reduction="sum")
        return nats / (labels >= 0).sum().clamp_min(1)

    def _cosine(self, guess: Tensor, teacher: Tensor) -> Tensor:
        teacher = F.adaptive_avg_pool1d(teacher.transpose(1, 2), guess.shape[1]).transpose(1, 2)
        # behind the end of a clip the teacher says nothing
        heard = (teacher != 0).any(-1, keepdim=True)
        if self.config.axis == "time":
            return -F.logsigmoid(F.cosine_similarity(guess * heard, teacher, dim=1)).mean()
        alike = F.cosine_similarity(guess, teacher, dim=2)[..., None] * heard
        return 1 - alike.sum() / heard.sum().clamp_min(1)
