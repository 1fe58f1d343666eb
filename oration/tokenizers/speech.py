"""Speech as vectors: a continuous stream from any encoder, for language models that read (or say) no symbols.

What a Whisper or conformer encoder is to Spectron, LLaMA-Omni or Mini-Omni: the adapter of the language model takes
vectors of any width. tGSLM's stream of word-sized vectors is the same with means over longer spans (`Segments`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from oration.audio.live import LiveVectors, at_rest
from oration.core import BadInput, Example, Spec, Stream, Waveform
from oration.tokenizers.features import LogMelFeatures, MfccFeatures
from oration.tokenizers.grouped import Encoder, Grouped, GroupedModel, shape, smallest


@dataclass(frozen=True, kw_only=True)
class Speech:
    """`stack` frames of an encoder side by side: 50 Hz and a stack of 4 make 12.5 vectors a second, 4 times as wide."""

    encoder: Encoder = field(default_factory=LogMelFeatures)
    stack: int = 4
    stream: str = "speech"
    needs = ("wave",)

    def tiny(self) -> Speech:
        """The same with a tiny encoder."""
        return replace(self, encoder=smallest(self.encoder))

    @property
    def groups(self) -> Grouped:
        """The encoder of the whole vectors."""
        return Grouped(encoder=self.encoder, frames=self.stack)

    def specs(self) -> dict[str, Spec]:
        rate, width = shape(self.groups)
        return {self.stream: Spec(1, rate, width)}

    def build(self) -> SpeechModel:
        return SpeechModel(self)


@dataclass(frozen=True, kw_only=True)
class Segments:
    """The mean of an encoder's frames over `seconds`: one vector about the length of a short word.

    Algayres et al. 2023 (tGSLM, arXiv:2310.05224) found segments of a fixed 200 ms as good as words; their vectors come
    from a net trained to embed segments (SSE), for which the mean of any encoder stands here.
    """

    encoder: Encoder = field(default_factory=MfccFeatures)
    seconds: float = 0.2
    stream: str = "words"
    needs = ("wave",)

    def tiny(self) -> Segments:
        """The same with a tiny encoder."""
        return replace(self, encoder=smallest(self.encoder))

    @property
    def groups(self) -> Grouped:
        """The encoder of the segments.

        Raises:
            BadInput: a segment is no whole number of frames.
        """
        frames = self.seconds * float(shape(self.encoder)[0])
        if round(frames) < 1 or abs(frames - round(frames)) > 1e-6:
            raise BadInput(
                f"a segment of {self.seconds} s has {frames:.3f} frames of its encoder, expected a whole number; "
                "change seconds"
            )
        return Grouped(encoder=self.encoder, frames=round(frames), mean=True)

    def specs(self) -> dict[str, Spec]:
        rate, width = shape(self.groups)
        return {self.stream: Spec(1, rate, width)}

    def build(self) -> SpeechModel:
        return SpeechModel(self)


class SpeechModel(nn.Module):
    """The encoder of a `Speech` or of `Segments`, and the scale of its vectors.

    `objectives.Standardise` sets `mean` and `scale`, so that each dimension has mean 0 and variance 1: what heads that
    say vectors (regression, flow) expect. Until then vectors are as the encoder gives them.
    """

    needs = ("wave",)

    def __init__(self, numbers: Speech | Segments) -> None:
        super().__init__()
        self.numbers = numbers
        groups = numbers.groups
        self.encoder = groups.encoder.build()
        self.frames, self.average = groups.frames, groups.mean
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(self.groups.dim))
        self.register_buffer("scale", torch.ones(self.groups.dim))

    @property
    def groups(self) -> GroupedModel:
        """The encoder of the whole vectors, around the one that objectives train."""
        return GroupedModel(self.encoder, self.frames, mean=self.average)

    @property
    def rate(self) -> int:
        """Hz of the samples it takes."""
        return int(self.encoder.rate)

    @property
    def hop(self) -> int:
        """Samples per vector."""
        return int(self.encoder.hop) * self.frames

    def specs(self) -> dict[str, Spec]:
        return self.numbers.specs()

    def features(self, samples: Tensor) -> Tensor:
        """float[B, T] -> float[B, F, dim], in the encoder's own scale."""
        return self.groups.features(samples)

    def normal(self, vectors: Tensor) -> Tensor:
        """float[..., dim] in the scale of the stream."""
        return (vectors.to(self.mean) - self.mean) * self.scale

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings at any rate -> ceil(seconds * rate) vectors each, one by one: a batch equals its members."""
        live = LiveVectors(self.groups)
        with at_rest(self):
            return [self.example(torch.cat([*live.whole(wave)])) for wave in waves]

    def example(self, vectors: Tensor) -> Example:
        """float[F, dim] -> the stream"""
        return {self.numbers.stream: Stream.dense(self.normal(vectors).cpu().numpy())}

    def live(self) -> LiveSpeech:
        """The streaming form, as late as the encoder's own."""
        return LiveSpeech(self)


class LiveSpeech:
    """One recording to vectors, in pieces of any length and at any one rate."""

    def __init__(self, model: SpeechModel) -> None:
        self.model, self.vectors = model, LiveVectors(model.groups)

    def push(self, wave: Waveform) -> list[Example]:
        """A piece -> the vectors that it completes."""
        with at_rest(self.model):
            vectors = self.vectors.push(wave)
            return [self.model.example(vectors)] if len(vectors) else []

    def flush(self) -> list[Example]:
        """The rest. Afterwards it is ready for another recording."""
        with at_rest(self.model):
            vectors = self.vectors.flush()
            return [self.model.example(vectors)] if len(vectors) else []
