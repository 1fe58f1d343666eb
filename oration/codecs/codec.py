"""A neural codec: sound to a few streams of symbols and back. Encoder, quantizer, decoder; which ones is what differs.

    wave  float[B, T, 1]  -- encoder -->  float[B, F, D]  -- quantizer -->  codec.0, codec.1, ...  -- decoder -->  wave

Zeghidour et al. 2021, arXiv:2107.03312, section III. Every net is made of `Pieces`, so offline coding runs in blocks of
bounded memory, and live coding gives the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oration.audio.live import AtRate, at_rest, pieces
from oration.core import BadInput, Example, Spec, Stream, Waveform
from oration.core.decoder import Decoder
from oration.core.parts import Live
from oration.nn.pieces import Chain, State, ahead
from oration.nn.spool import tidy

BLOCK = 1.5
"""Seconds coded at once: enough to keep a core busy, and every layer's output stays small enough to be reused."""
TIDY = 30.0
"""Seconds of sound after which free memory is given back: it lies between what is kept, and would grow without end."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """`levels` streams `codec.0`, `codec.1` ... from sound at `rate` Hz, and back."""

    encoder: tuple[Any, ...]
    """Nets from sound, float[B, T, 1], to vectors, one after another; each has `build()`."""
    quantizer: Any
    """From `oration.nn.quantize`."""
    decoder: tuple[Any, ...]
    """Nets from vectors to sound."""
    dim: int
    """Width of the vectors between the nets and the quantizer."""
    rate: int = 24_000
    """Hz of the sound it takes and gives."""
    levels: int | None = None
    """How many of the quantizer's levels are streams, the coarsest first; None: all."""
    whole: bool = True
    """Silence is put behind the sound until all levels have whole items; False: the nets' own padding sees to it."""
    window: int = 1
    """Frames that a net takes together: `whole` also fills up to a multiple of them."""
    stream: str = "codec"
    prefix: str = ""
    """Before each name, such as `user.`"""

    def __post_init__(self) -> None:
        most = self.quantizer.levels
        if self.levels is not None and not 1 <= self.levels <= most:
            raise BadInput(f"the codec gives levels={self.levels} streams, expected 1 to its quantizer's {most}")

    def tiny(self) -> Codec:
        """The same structure, streams and rates in small."""
        encoder, decoder = (tuple(net.tiny() for net in side) for side in (self.encoder, self.decoder))
        quantizer, levels = self.quantizer.tiny(), len(self.strides)
        if quantizer.levels < levels:
            quantizer = replace(quantizer, levels=levels)
        return replace(self, encoder=encoder, quantizer=quantizer, decoder=decoder, dim=encoder[-1].dim)

    @property
    def hop(self) -> int:
        """Samples of a frame, the time of one vector."""
        return _hop(self.encoder)

    @property
    def block(self) -> int:
        """Frames after which all levels have whole items, and the nets whole windows."""
        return math.lcm(self.window, *self.strides)

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames of an item, level by level."""
        return tuple(self.quantizer.strides[: self.levels])

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the levels, the coarsest first."""
        return tuple(f"{self.prefix}{self.stream}.{level}" for level in range(len(self.strides)))

    @property
    def frames(self) -> dict[str, int]:
        """Frames of an item of each stream."""
        return dict(zip(self.streams, self.strides, strict=True))

    def specs(self) -> dict[str, Spec]:
        sizes = zip(self.streams, self.quantizer.sizes, self.strides, strict=False)
        return {name: Spec(size, Fraction(self.rate, self.hop * stride)) for name, size, stride in sizes}

    needs = ("wave",)

    def vocoder(self) -> Decoder:
        """For `Recipe.vocoder`."""
        return Decoder(of=self.streams[0], needs=self.streams, rate=self.rate)

    def build(self) -> CodecModel:
        return CodecModel(self)


@lru_cache(maxsize=256)
def _hop(nets: tuple[Any, ...]) -> int:
    with torch.device("meta"):
        built = Chain(*(net.build() for net in nets))
    return built.down // built.up


@dataclass(frozen=True)
class Made:
    """What a codec makes of a batch while it is trained."""

    wave: Tensor
    """float[B, T]"""
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    """Scalars of its own to be minimised, such as `commitment`."""
    codes: Sequence[Tensor] = ()
    """long[B, items] of each level; -1 where a level was left out."""
    first: Tensor | None = None
    """float[B, F, D], what the first level alone stands for: to be taught by another model."""


class CodecModel(nn.Module):
    """The weights of a `Codec`. `objectives.Gan` trains it through `forward`."""

    needs = ("wave",)

    def __init__(self, numbers: Codec) -> None:
        super().__init__()
        self.numbers, self.rate, self.hop = numbers, numbers.rate, numbers.hop
        self.encoder = Chain(*(net.build() for net in numbers.encoder))
        self.quantizer = numbers.quantizer.build(numbers.dim)
        self.decoder = Chain(*(net.build() for net in numbers.decoder))

    def specs(self) -> dict[str, Spec]:
        return self.numbers.specs()

    @property
    def aligned(self) -> bool:
        """Whether neither side looks ahead: a frame goes in, its codes come out, and its sound."""
        return self.encoder.aligned and self.decoder.aligned

    @property
    def delay(self) -> float:
        """Seconds that the encoder looks ahead of a frame; infinity where all of a recording counts, or none knows."""
        found = ahead(self.encoder)
        return math.inf if found is None else found / self.rate

    @property
    def late(self) -> float:
        """Seconds that sound is behind its codes; infinity as for `delay`."""
        found = ahead(self.decoder)
        return math.inf if found is None else found * self.hop / self.rate

    def heard(self, wave: Tensor) -> Tensor:
        """float[B, T] -> float[B, T, 1], what the encoder is given."""
        return wave[..., None]

    def forward(self, batch: Mapping[str, Tensor]) -> Made:
        """`wave` float[B, T], or what was made of it for the codec to clean, `noisy` -> the same through all levels."""
        wave = batch.get("noisy", batch["wave"])
        x = F.pad(wave, (0, -wave.shape[1] % (self.hop * self.numbers.block)))
        found = self.quantizer(self.encoder(self.heard(x)))
        sound, taught = learnt(self.decoder, found.vectors, batch)
        sound = sound[:, : wave.shape[1], 0]
        # DAC's odd strides lose a few samples at the end.
        sound = F.pad(sound, (0, wave.shape[1] - sound.shape[1]))
        return Made(sound, {**found.losses, **taught}, found.codes, found.first)

    def encode(self, waves: Sequence[Waveform]) -> list[Example]:
        """Recordings at any rate -> the streams of all levels, one by one: a batch equals its members exactly."""
        found = []
        for wave in waves:
            live = self.live()
            parts = [*(part for piece in pieces(wave) for part in live.push(piece)), *live.flush()]
            found.append(self._joined(parts))
        return found

    def decode(self, examples: Sequence[Example], *, levels: int | None = None) -> list[Waveform]:
        """Streams -> sound. An example may lack the last levels: then less of it is said.

        Args:
            levels: use only so many.

        Raises:
            BadInput: the first level is missing, an id is no codeword, or levels of one example do not belong together.
        """
        waves = []
        for example in examples:
            self._verify(example)
            live = self.speaker(levels=levels)
            parts = [wave.samples for wave in (*live.push(example), *live.flush())]
            waves.append(Waveform(np.concatenate([np.zeros(0, np.float32), *parts]), self.rate))
        return waves

    def live(self) -> Live[Waveform, Example]:
        """The streaming form of `encode`."""
        return LiveEncoder(self)

    def speaker(self, *, levels: int | None = None) -> Live[Example, Waveform]:
        """The streaming form of `decode`."""
        return LiveDecoder(self, levels)

    def known(self, example: Example, levels: int | None = None) -> tuple[str, ...]:
        """The levels that can be decoded: the first ones without a gap."""
        wanted = self.numbers.streams[:levels]
        names = tuple(n for i, n in enumerate(wanted) if all(before in example for before in wanted[: i + 1]))
        if not names:
            raise BadInput(f"the codec decodes {wanted[0]!r} at least, but the example has {sorted(example)}")
        return names

    def example(self, codes: Sequence[Tensor]) -> Example:
        """long[1, items] of each level -> streams"""
        return {n: Stream(c[0].cpu().numpy()) for n, c in zip(self.numbers.streams, codes, strict=False)}

    def _joined(self, parts: Sequence[Example]) -> Example:
        empty = np.zeros(0, np.int64)
        names = self.numbers.streams
        return {name: Stream(np.concatenate([empty, *(part[name].ids for part in parts)])) for name in names}

    def _verify(self, example: Example) -> None:
        names = self.known(example)
        strides = self.numbers.frames
        frames = {name: len(example[name]) * strides[name] for name in names}
        shortest, longest = min(frames, key=frames.__getitem__), max(frames, key=frames.__getitem__)
        if frames[longest] - frames[shortest] > self.numbers.block:
            raise BadInput(
                f"streams {longest!r} ({frames[longest]} frames) and {shortest!r} ({frames[shortest]} frames) of one "
                "example differ in length, expected the same; were they made from the same recording?"
            )


def learnt(layer: nn.Module, x: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """`layer(x)`, and the own losses of the layers in it that a batch teaches: those with `taught(x, batch)`."""
    if hasattr(layer, "taught"):
        found: tuple[Tensor, dict[str, Tensor]] = layer.taught(x, batch)  # type: ignore[operator]
        return found
    if not isinstance(layer, Chain):
        return layer(x), {}
    losses = dict[str, Tensor]()
    for one in layer.layers:
        x, own = learnt(one, x, batch)
        losses |= own
    return x, losses


class LiveEncoder:
    """One recording to codes, in pieces of any length and at any one rate."""

    def __init__(self, model: CodecModel) -> None:
        self.model, self.sound = model, AtRate(model.rate)
        self._begin()

    def _begin(self) -> None:
        self.state: State = None
        self.seen = 0
        self.tidied = 0
        self.vectors: Tensor | None = None

    def push(self, wave: Waveform) -> list[Example]:
        """A piece -> the codes that it completes, all levels together."""
        with at_rest(self.model):
            return self._code(self.sound.push(wave))

    def flush(self) -> list[Example]:
        """The last codes. Afterwards it is ready for another recording."""
        with at_rest(self.model):
            found = self._code(self.sound.flush())
            numbers = self.model.numbers
            if numbers.whole and self.seen:
                found += self._code(torch.zeros(-self.seen % (self.model.hop * numbers.block)))
            for vectors in () if self.state is None else self.model.encoder.rest(self.state):
                found += self._quantize(vectors)
        self._begin()
        return found

    def _code(self, samples: Tensor) -> list[Example]:
        found, step = list[Example](), round(BLOCK * self.model.rate / self.model.hop) * self.model.hop
        self.seen += len(samples)
        for block in samples.split(step) if len(samples) else ():
            x = block.to(next(self.model.parameters()))[None, :, None]
            if self.state is None:
                self.state = self.model.encoder.start(1, x)
            vectors, self.state = self.model.encoder.push(x, self.state)
            found += self._quantize(vectors)
        if self.seen - self.tidied > TIDY * self.model.rate:
            self.tidied = self.seen
            tidy()
        return found

    def _quantize(self, vectors: Tensor) -> list[Example]:
        if self.vectors is not None:
            vectors = torch.cat((self.vectors, vectors), 1)
        block = self.model.numbers.block
        ready = vectors.shape[1] // block * block
        self.vectors = vectors[:, ready:] if ready < vectors.shape[1] else None
        if not ready:
            return []
        return [self.model.example(self.model.quantizer.encode(vectors[:, :ready], self.model.numbers.levels))]


class LiveDecoder:
    """Codes of one recording to sound, in any cutting."""

    def __init__(self, model: CodecModel, levels: int | None = None) -> None:
        self.model, self.levels = model, levels
        self.state: State = None
        self.untidy = 0
        self.names: tuple[str, ...] | None = None
        self.held: dict[str, np.ndarray] = {}

    def push(self, x: Example) -> list[Waveform]:
        """More items of the levels -> the sound that they complete. The first push says which levels there are.

        Raises:
            BadInput: the first level is missing, or an id is no codeword.
        """
        model = self.model
        if self.names is None:
            self.names = model.known(x, self.levels)
        specs = model.specs()
        for name in self.names:
            if name in x:
                x[name].verify(name, specs[name])
                self.held[name] = np.concatenate((self.held.get(name, np.zeros(0, np.int64)), x[name].ids))
        with at_rest(model):
            return self._sound()

    def flush(self) -> list[Waveform]:
        """The rest of the sound. Afterwards it is ready for other codes."""
        with at_rest(self.model):
            rest = () if self.state is None else self.model.decoder.rest(self.state)
            waves = [self._wave(sound) for sound in rest]
        self.state, self.names, self.held = None, None, {}
        return waves

    def _sound(self) -> list[Waveform]:
        model, strides = self.model, self.model.numbers.frames
        names = self.names or ()
        block = math.lcm(*(strides[name] for name in names))
        ready = min((len(self.held.get(name, ())) * strides[name] for name in names), default=0) // block * block
        step, waves = max(1, round(BLOCK * model.rate / model.hop) // block) * block, list[Waveform]()
        device = next(model.parameters()).device
        for at in range(0, ready, step):
            stop = min(ready, at + step)
            ids = [self.held[name][at // strides[name] : stop // strides[name]] for name in names]
            vectors = model.quantizer.decode([torch.from_numpy(i)[None].to(device) for i in ids])
            if self.state is None:
                self.state = model.decoder.start(1, vectors)
            sound, self.state = model.decoder.push(vectors, self.state)
            waves.append(self._wave(sound))
        self.untidy += ready
        if self.untidy * model.hop > TIDY * model.rate:
            self.untidy = 0
            tidy()
        self.held = {name: self.held[name][ready // strides[name] :] for name in names if name in self.held}
        return [wave for wave in waves if len(wave)]

    def _wave(self, sound: Tensor) -> Waveform:
        return Waveform(sound[0, :, 0].float().cpu().numpy(), self.model.rate)
