"""Phones as a CTC model hears them: without a transcript a rough recognition, with one the times of what was said.

Emissions at 100 Hz from a small head on a causal encoder. With `encoder=None` that is the encoder of the units of the
model that comes with the package: it stays as it is and is not saved again. `objectives.CtcPhones` trains it from
transcripts alone; `oration.data.ctc_align` aligns with it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from oration.audio.live import LiveVectors, at_rest
from oration.core import TICKS, BadInput, Example, Spec, Stream, Waveform
from oration.nn.causal import CausalConv
from oration.text.phones import PHONES
from oration.tokenizers.encoder import CausalEncoder, CausalEncoderModel
from oration.tokenizers.phonetic import PhoneticEncoder

SHIPPED = Path(__file__).parents[1] / "pocket" / "units.safetensors"


@dataclass(frozen=True, kw_only=True)
class HeardPhones:
    """Phones with onsets; the blank of CTC is silence, symbol 0 of `PHONES`."""

    encoder: CausalEncoder | None = None
    """One to train; None: the one that comes with the package."""
    width: int = 192
    ahead: int = 2
    """Frames of the encoder that the head looks to either side."""
    fine: int = 2
    """Emissions a frame of the encoder."""
    stream: str = "heard"
    needs = ("wave",)

    @classmethod
    def tiny(cls) -> HeardPhones:
        return cls(encoder=CausalEncoder.tiny(), width=16)

    def specs(self) -> dict[str, Spec]:
        return {self.stream: Spec(len(PHONES))}

    def build(self) -> HeardPhonesModel:
        return HeardPhonesModel(self)


class HeardPhonesModel(nn.Module):
    """The head, and the encoder if it is its own."""

    needs = ("wave",)
    fits: Tensor

    def __init__(self, numbers: HeardPhones) -> None:
        super().__init__()
        self.numbers = numbers
        own = (numbers.encoder or PhoneticEncoder()).build()
        # In a tuple, a module is neither trained nor saved.
        self._lent: tuple[CausalEncoderModel, ...] = () if numbers.encoder else (own,)
        if numbers.encoder:
            self.own = own
        self.norm = nn.LayerNorm(own.dim)
        self.conv = CausalConv(own.dim, numbers.width, 2 * numbers.ahead + 1)
        self.out = nn.Linear(numbers.width, numbers.fine * len(PHONES))
        self.register_buffer("fits", torch.tensor(0))
        if self._lent and not any(p.is_meta for p in own.parameters()):
            self.fits.fill_(_lend(own))

    @property
    def encoder(self) -> CausalEncoderModel:
        """What gives the features."""
        return self._lent[0] if self._lent else self.own

    @property
    def rate(self) -> int:
        """Emissions a second."""
        return self.encoder.rate // self.encoder.hop * self.numbers.fine

    def specs(self) -> dict[str, Spec]:
        return self.numbers.specs()

    def features(self, samples: Tensor) -> Tensor:
        """float[B, T] at 16 kHz -> float[B, F, D]; gradients flow into an encoder of its own."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._lent):
            return self.encoder.features(samples)

    def forward(self, features: Tensor) -> Tensor:
        """float[B, F, D] -> log-probabilities float[B, F * fine, 40]."""
        ahead = self.numbers.ahead
        hidden = self.conv(F.pad(self.norm(features), (0, 0, 0, ahead)))[:, ahead:]
        return self._named(hidden)

    def _named(self, hidden: Tensor) -> Tensor:
        logits = self.out(F.gelu(hidden)).float()
        return logits.unflatten(-1, (self.numbers.fine, len(PHONES))).flatten(1, 2).log_softmax(-1)

    def emissions(self, wave: Waveform) -> np.ndarray:
        """A recording at any rate -> log-probabilities at `rate` a second, float32[T, 40]."""
        live = LiveHeard(self)
        with at_rest(self):
            parts = [live.named(vectors) for vectors in live.vectors.whole(wave)]
            return torch.cat([*parts, live.rest()]).cpu().numpy()

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings at any rate -> the likeliest phone of each frame, repeats merged, silence left out."""
        found = []
        for wave in waves:
            said = self.emissions(wave).argmax(1)
            first = np.flatnonzero((said != 0) & (said != np.concatenate([[0], said[:-1]])))
            found.append({self.numbers.stream: Stream(said[first], first * (TICKS // self.rate))})
        return found

    def live(self) -> LiveHeard:
        return LiveHeard(self)

    def _apply(self, fn: Any, recurse: bool = True) -> HeardPhonesModel:
        for encoder in self._lent:
            encoder._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        wanted = int(self.fits)
        super()._load_from_state_dict(*arguments)
        if int(self.fits) != wanted:
            raise BadInput(
                f"these weights for {self.numbers.stream!r} were trained on another encoder than the one that comes "
                "with this package; train them again: oration train aligner"
            )


class LiveHeard:
    """One recording in pieces -> phones, as soon as the encoder and the head have seen enough."""

    def __init__(self, model: HeardPhonesModel) -> None:
        self.model = model
        self.vectors = LiveVectors(model.encoder)
        self._reset()

    def _reset(self) -> None:
        self.kept, self.skip = self.model.conv.start(1), self.model.numbers.ahead
        self.last, self.frames = 0, 0

    def named(self, vectors: Tensor) -> Tensor:
        """float[f, D] -> the emissions that they complete, float[t, 40]."""
        hidden, self.kept = self.model.conv.push(self.model.norm(vectors)[None], self.kept)
        hidden = hidden[:, min(self.skip, hidden.shape[1]) :]
        self.skip = max(0, self.skip - vectors.shape[0])
        return self.model._named(hidden)[0]

    def rest(self) -> Tensor:
        """The emissions that wait for frames yet to come."""
        ahead = self.model.numbers.ahead
        zeros = self.kept.new_zeros(1, ahead, self.kept.shape[2])
        hidden, _ = self.model.conv.push(zeros, self.kept)
        return self.model._named(hidden[:, min(self.skip, hidden.shape[1]) :])[0]

    def push(self, wave: Waveform) -> list[Example]:
        """A piece at any rate, the same for all pieces of a recording."""
        with at_rest(self.model):
            return self._phones(self.named(self.vectors.push(wave)))

    def flush(self) -> list[Example]:
        """The rest. Afterwards it is ready for another recording."""
        with at_rest(self.model):
            found = self._phones(torch.cat([self.named(self.vectors.flush()), self.rest()]))
        self._reset()
        return found

    def _phones(self, emissions: Tensor) -> list[Example]:
        said = emissions.argmax(1).cpu().numpy()
        first = np.flatnonzero((said != 0) & (said != np.concatenate([[self.last], said[:-1]])))
        onsets = (first + self.frames) * (TICKS // self.model.rate)
        self.last, self.frames = int(said[-1]) if len(said) else self.last, self.frames + len(said)
        return [{self.model.numbers.stream: Stream(said[first], onsets)}] if len(first) else []


def _lend(encoder: CausalEncoderModel) -> int:
    """Load the encoder that comes with the package; a checksum of its weights.

    Raises:
        BadInput: they are missing.
    """
    if not SHIPPED.is_file():
        raise BadInput(f"the package's own encoder {str(SHIPPED)!r} is missing; reinstall oration, or give an encoder")
    tensors = {n.removeprefix("encoder."): t for n, t in load_file(SHIPPED).items() if n.startswith("encoder.")}
    encoder.load_state_dict({name: tensor.to(encoder.state_dict()[name].dtype) for name, tensor in tensors.items()})
    encoder.eval().requires_grad_(False)
    return zlib.crc32(b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors)))
