"""Phones from transcripts alone, by CTC: no times are needed, the model finds them.

Graves et al. 2006 (ICML): the loss is -log of the probability of all paths that spell the phones of the transcript.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.core import BadInput, Loss, Spec
from oration.tokenizers.heard import HeardPhonesModel


@dataclass(frozen=True, kw_only=True)
class CtcPhones:
    """Trains `HeardPhones`; give it the feed `Utterances`. Nats a phone."""

    stream: str = "phonemes"
    """What is said, phone by phone; silences in it are ignored."""

    @classmethod
    def tiny(cls) -> CtcPhones:
        return cls()

    def build(self, part: nn.Module, specs: Mapping[str, Spec]) -> CtcPhonesModel:
        """Nothing to remember.

        Raises:
            BadInput: the part is no `HeardPhones`, or the data has no such stream.
        """
        if not isinstance(part, HeardPhonesModel):
            raise BadInput(f"CtcPhones trains HeardPhones, but the part is {type(part).__name__}; name that part")
        if self.stream not in specs:
            raise BadInput(f"CtcPhones needs the stream {self.stream!r}, but the data gives {sorted(specs)}")
        return CtcPhonesModel(self)


class CtcPhonesModel(nn.Module):
    """The loss."""

    def __init__(self, numbers: CtcPhones) -> None:
        super().__init__()
        self.numbers = numbers

    def groups(self, part: nn.Module) -> dict[str, list[nn.Parameter]]:
        """One optimizer for the head, and for the encoder if it is its own."""
        return {"model": list(part.parameters())}

    def losses(self, part: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Iterator[tuple[str, Loss]]:
        """One loss a batch of `Utterances`. Clips with more phones than frames teach nothing."""
        assert isinstance(part, HeardPhonesModel)
        if self.training and part.numbers.encoder is not None:
            part.encoder.calibrate(batch["wave"], batch["seconds"])
        emissions = part(part.features(batch["wave"]))
        frames = (batch["seconds"] * part.rate).ceil().long().clamp(max=emissions.shape[1])
        targets = [row[row > 0] for row in batch[self.numbers.stream]]
        lengths = torch.tensor([len(target) for target in targets])
        nats = F.ctc_loss(
            emissions.transpose(0, 1), torch.cat(targets), frames, lengths, reduction="sum", zero_infinity=True
        )
        blank = emissions[:, :, 0].detach().exp().mean()
        yield "model", Loss(nats / max(1, int(lengths.sum())), {"blank": blank})
