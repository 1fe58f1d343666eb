"""A codec of segments that overlap, each brought to the same loudness, of sound of one channel or two.

    sound     |-------- segment 0 --------|
                                        |-------- segment 1 --------|
    codec.0   | 150 items               | 150 items                 |
    .scale    | its loudness            | its loudness

Défossez et al. 2022, arXiv:2210.13438, section 3.1 (48 kHz). A segment knows nothing of the others, so its nets may
look at all of it; sound comes in and goes out by segments, and live coding gives bit by bit what offline coding gives.
Sound of two channels is a tuple of two `Waveform`s, left and right; one `Waveform` is heard on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oration.audio.live import AtRate, at_rest, pieces
from oration.codecs.codec import Codec, CodecModel, Made
from oration.core import BadInput, Example, Spec, Stream, Waveform

Sound = Waveform | tuple[Waveform, ...]
"""A recording, or its channels."""
LOUD = 0.1
"""How loud segments are of which nobody says it: the root of the mean square, as of speech near a microphone."""


@dataclass(frozen=True, kw_only=True)
class SegmentedCodec(Codec):
    """A `Codec` whose nets are given one segment at a time. Its stream `codec.scale` says how loud each was.

    Levels have so many items a second as segments make; without the stream of scales, all segments are spoken alike.
    """

    segment: float = 1.0
    """Seconds."""
    overlap: float = 0.01
    """Share of a segment that the next one hears too."""

    def tiny(self) -> SegmentedCodec:
        """The same structure, streams, rates and segments in small."""
        small = super().tiny()
        assert isinstance(small, SegmentedCodec)
        return small

    @property
    def channels(self) -> int:
        """Of the sound."""
        return int(self.encoder[0].channels)

    @property
    def length(self) -> int:
        """Samples of a segment."""
        return int(self.segment * self.rate)

    @property
    def step(self) -> int:
        """Samples from the beginning of a segment to that of the next."""
        return max(1, round((1 - self.overlap) * self.length))

    @property
    def whole_segment(self) -> int:
        """Frames of a whole segment."""
        return -(-self.length // self.hop)

    @property
    def scale(self) -> str:
        """The stream of loudness, one vector of width 1 for a segment."""
        return f"{self.prefix}{self.stream}.scale"

    @property
    def frames(self) -> dict[str, int]:
        return {**super().frames, self.scale: self.whole_segment}

    def specs(self) -> dict[str, Spec]:
        pace = Fraction(self.rate, self.step)
        levels = {name: Spec(spec.size, self.whole_segment * pace) for name, spec in super().specs().items()}
        return {**levels, self.scale: Spec(1, pace, 1)}

    def build(self) -> SegmentedModel:
        return SegmentedModel(self)


class SegmentedModel(CodecModel):
    """The weights of a `SegmentedCodec`."""

    numbers: SegmentedCodec

    @property
    def delay(self) -> float:
        """Seconds that a code waits for sound: its segment."""
        return self.numbers.segment

    @property
    def late(self) -> float:
        """Seconds that sound waits for codes: its segment."""
        return self.numbers.segment

    def heard(self, wave: Tensor) -> Tensor:
        """float[B, T] -> float[B, T, channels], the same on all."""
        return wave[..., None].expand(-1, -1, self.numbers.channels)

    def forward(self, batch: Mapping[str, Tensor]) -> Made:
        """As of any codec; what is given is taken for one segment."""
        wave = batch.get("noisy", batch["wave"])
        x = self.heard(wave)
        scale = loudness(x)
        found = self.quantizer(self.encoder(x / scale))
        sound = (self.decoder(found.vectors) * scale).mean(2)
        return Made(F.pad(sound, (0, wave.shape[1] - sound.shape[1])), found.losses, found.codes, found.first)

    def encode(self, waves: Sequence[Sound]) -> list[Example]:
        """Recordings, or tuples of their channels, at any rate -> the streams of all levels and of loudness."""
        found = []
        for wave in waves:
            live = self.live()
            sides = wave if isinstance(wave, tuple) else (wave,)
            parts = [part for piece in zip(*map(pieces, sides), strict=True) for part in live.push(piece)]
            found.append(self._joined([*parts, *live.flush()]))
        return found

    def decode(self, examples: Sequence[Example], *, levels: int | None = None) -> list[Waveform]:
        """Streams -> sound, the mean of its channels; see `decode_channels` and `CodecModel.decode`."""
        return [_mixed(sides) for sides in self.decode_channels(examples, levels=levels)]

    def decode_channels(self, examples: Sequence[Example], *, levels: int | None = None) -> list[tuple[Waveform, ...]]:
        """Streams -> the channels of the sound.

        Raises:
            BadInput: as `CodecModel.decode`; or there are not as many scales as segments.
        """
        found = []
        for example in examples:
            self._verify(example)
            live = self.speaker(levels=levels)
            parts = [*live.push_channels(example), *live.flush_channels()]
            found.append(tuple(map(self._end_to_end, zip(*parts, strict=True) if parts else ((),) * self._many)))
        return found

    def live(self) -> LiveSegments:
        """The streaming form of `encode`."""
        return LiveSegments(self)

    def speaker(self, *, levels: int | None = None) -> SegmentSpeaker:
        """The streaming form of `decode`."""
        return SegmentSpeaker(self, levels)

    @property
    def _many(self) -> int:
        return self.numbers.channels

    def _end_to_end(self, waves: Sequence[Waveform]) -> Waveform:
        return Waveform(np.concatenate([np.zeros(0, np.float32), *(wave.samples for wave in waves)]), self.rate)

    def _joined(self, parts: Sequence[Example]) -> Example:
        name = self.numbers.scale
        scales = Stream.joined([Stream.dense(np.zeros((0, 1))), *(part[name] for part in parts)])
        return {**super()._joined(parts), name: scales}

    def _verify(self, example: Example) -> None:
        super()._verify(example)
        name = self.numbers.scale
        if name not in example:
            return
        example[name].verify(name, self.specs()[name])
        items, whole = len(example[self.known(example)[0]]), self.numbers.whole_segment
        # Sound that ends in the overlap leaves one item to its last segment and one less to that before it.
        if not -(-items // whole) <= len(example[name]) <= items // whole + 1:
            raise BadInput(
                f"the stream {name!r} tells the loudness of {len(example[name])} segments, but {items} items of each "
                f"level make {-(-items // whole)} of {whole}; were they made from the same recording?"
            )


class LiveSegments:
    """One recording to codes, in pieces of any length and at any one rate, each of one channel or of all."""

    def __init__(self, model: SegmentedModel) -> None:
        self.model, self.sides = model, list[AtRate]()
        self.held = torch.zeros(0, 0)
        """float[channels, T]: what was heard from the beginning of a segment on."""

    def push(self, wave: Sound) -> list[Example]:
        """A piece -> the codes of the segments that it completes.

        Raises:
            BadInput: its rate or number of channels differs from that of the piece before, or from the codec's.
        """
        sides = wave if isinstance(wave, tuple) else (wave,)
        self._check(sides)
        if not self.sides:
            self.sides = [AtRate(self.model.rate) for _ in sides]
        return self._code([live.push(side) for live, side in zip(self.sides, sides, strict=True)])

    def flush(self) -> list[Example]:
        """The last codes. Afterwards it is ready for another recording."""
        found = self._code([live.flush() for live in self.sides])
        while self.held.numel():
            found.append(self._segment())
        self.sides, self.held = [], torch.zeros(0, 0)
        return found

    def _check(self, sides: tuple[Waveform, ...]) -> None:
        many = self.model.numbers.channels
        if len(sides) not in (1, many) or (self.sides and len(sides) != len(self.sides)):
            raise BadInput(
                f"a piece has {len(sides)} channels, expected 1 or {many} and in all pieces the same; "
                "mix the channels, or flush first"
            )
        if len({(len(side), side.rate) for side in sides}) > 1:
            raise BadInput(f"the channels of a piece are equally long, but these are {sides}; cut them alike")

    def _code(self, samples: list[Tensor]) -> list[Example]:
        if not samples:
            return []
        new = torch.stack(samples)
        self.held = torch.cat((self.held, new), 1) if self.held.numel() else new
        found = list[Example]()
        while self.held.shape[1] >= self.model.numbers.length:
            found.append(self._segment())
        return found

    def _segment(self) -> Example:
        """The codes of the segment that begins where `held` begins, which then begins at the next."""
        model, numbers = self.model, self.model.numbers
        with at_rest(model):
            x = self.held[:, : numbers.length].to(next(model.parameters())).mT[None].expand(-1, -1, numbers.channels)
            scale = loudness(x)
            codes = model.quantizer.encode(model.encoder(x / scale), numbers.levels)
        self.held = self.held[:, numbers.step :]
        return {**model.example(codes), numbers.scale: Stream.dense(scale[0].float().cpu().numpy())}


class SegmentSpeaker:
    """Codes of one recording to sound, in any cutting, a segment at a time."""

    def __init__(self, model: SegmentedModel, levels: int | None = None) -> None:
        self.model, self.levels = model, levels
        self._begin()

    def _begin(self) -> None:
        self.names: tuple[str, ...] | None = None
        self.scaled = False
        self.held: dict[str, np.ndarray] = {}
        self.scales: list[float] = []
        self.tail: Tensor | None = None
        """float[t, channels]: of the segment before, what the next one overlaps."""
        self.fade: Tensor | None = None

    def push(self, x: Example) -> list[Waveform]:
        """More items -> the sound that they complete, the mean of its channels. See `CodecModel.speaker`.

        Raises:
            BadInput: the first level is missing, or an id is no codeword.
        """
        return list(map(_mixed, self.push_channels(x)))

    def flush(self) -> list[Waveform]:
        """The rest of the sound. Afterwards it is ready for other codes."""
        return list(map(_mixed, self.flush_channels()))

    def push_channels(self, x: Example) -> list[tuple[Waveform, ...]]:
        """As `push` -> all channels."""
        numbers, specs = self.model.numbers, self.model.specs()
        if self.names is None:
            self.names, self.scaled = self.model.known(x, self.levels), numbers.scale in x
        for name in self.names:
            if name in x:
                x[name].verify(name, specs[name])
                self.held[name] = np.concatenate((self.held.get(name, np.zeros(0, np.int64)), x[name].ids))
        if numbers.scale in x:
            x[numbers.scale].verify(numbers.scale, specs[numbers.scale])
            values = x[numbers.scale].values
            self.scales += [] if values is None else values[:, 0].tolist()
        whole, found = numbers.whole_segment, list[tuple[Waveform, ...]]()
        # One item more than a segment: until then it could be the last but one, and one shorter.
        while self._ready() > whole and (self.scales or not self.scaled):
            found += self._segment(whole, last=False)
        return found

    def flush_channels(self) -> list[tuple[Waveform, ...]]:
        """As `flush` -> all channels."""
        whole, found = self.model.numbers.whole_segment, list[tuple[Waveform, ...]]()
        while ready := self._ready():
            take = min(ready, whole)
            if ready == whole and len(self.scales) == 2:
                take = whole - 1
            found += self._segment(take, last=take == ready)
        self._begin()
        return found

    def _ready(self) -> int:
        return min((len(self.held.get(name, ())) for name in self.names or ()), default=0)

    def _segment(self, frames: int, *, last: bool) -> list[tuple[Waveform, ...]]:
        model, names = self.model, self.names or ()
        device = next(model.parameters()).device
        ids = [torch.from_numpy(self.held[name][:frames])[None].to(device) for name in names]
        self.held = {name: self.held[name][frames:] for name in names}
        scale = self.scales.pop(0) if self.scales else LOUD
        with at_rest(model):
            sound = model.decoder(model.quantizer.decode(ids))[0] * scale
        return [tuple(Waveform(side.float().cpu().numpy(), model.rate) for side in self._added(sound, last).mT)]

    def _added(self, sound: Tensor, last: bool) -> Tensor:
        """float[T, channels] of a segment -> what is complete, faded over from the segment before."""
        step = self.model.numbers.step
        if self.fade is None:  # the segments' weights are a triangle each
            at = torch.linspace(0, 1, len(sound) + 2, device=sound.device)[1:-1, None]
            self.fade = 0.5 - (at - 0.5).abs()
        if self.tail is not None:
            n = min(len(self.tail), len(sound), len(self.fade) - step)
            out, into = self.fade[step : step + n], self.fade[:n]
            mixed = (out * self.tail[:n] + into * sound[:n]) / (out + into)
            sound = torch.cat((mixed, sound[n:] if len(sound) > n else self.tail[n:]))
        self.tail = None if last else sound[step:]
        return sound if last else sound[:step]


def loudness(x: Tensor) -> Tensor:
    """float[B, T, channels] -> float[B, 1, 1]: the root of the mean square of the mean of the channels, above 0."""
    return x.mean(2, keepdim=True).square().mean(1, keepdim=True).sqrt() + 1e-8


def _mixed(sides: Sequence[Waveform]) -> Waveform:
    return Waveform(np.mean([side.samples for side in sides], 0), sides[0].rate)
