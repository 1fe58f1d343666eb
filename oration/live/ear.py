"""What the other party says, frame by frame, as the items of streams: many sessions in one call where the net can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oration.audio.resample import Resampler
from oration.codecs import CodecModel
from oration.codecs.sessions import Sessions
from oration.core import BadInput, Spec, Waveform
from oration.nn.causal import shallow
from oration.nn.kmeans import squared_distances
from oration.tokenizers.encoder import CausalEncoderModel
from oration.tokenizers.grouped import GroupedModel
from oration.tokenizers.speech import SpeechModel
from oration.tokenizers.units import UnitsModel

Items = Mapping[str, np.ndarray]
"""Stream -> int64[m] or float32[m, D]: an item for each of m sessions."""


class Ear(Protocol):
    """`slots` streams of sound, heard by whole items."""

    rate: int
    """Hz of the sound it takes."""
    hop: int
    """Samples of an item."""
    late: int
    """Items by which the sound is ahead of what it gives: so many first frames give nothing."""
    specs: Mapping[str, Spec]

    def hear(self, at: Sequence[int], wave: np.ndarray) -> Items:
        """A frame float32[m, hop] of each of the slots `at` -> their items; those of a slot's first `late` frames mean
        nothing."""
        ...

    def reset(self, slot: int) -> None:
        """Let a slot begin anew."""
        ...


def ear(part: Any, slots: int) -> Ear:
    """The best way to listen with a built tokenizer, perhaps from `codecs.sessions.fast`."""
    if isinstance(part, CodecModel) and part.encoder.aligned and part.numbers.block == 1:
        try:
            return CodecEar(part, slots)
        except BadInput:  # its decoder looks ahead, which is not the ear's to judge
            return LoneEar(part, slots)
    if type(part) in (UnitsModel, SpeechModel) and not getattr(part.numbers, "stickiness", 0):
        groups = part.groups if isinstance(part, SpeechModel) else part.encoder
        frames = groups.frames if isinstance(groups, GroupedModel) else 1
        inner = groups.encoder if isinstance(groups, GroupedModel) else groups
        if isinstance(inner, CausalEncoderModel) and inner.numbers.lookahead % frames == 0:
            return EncoderEar(part, groups, inner, slots)
    return LoneEar(part, slots)


class CodecEar:
    """A causal codec."""

    late = 0

    def __init__(self, part: CodecModel, slots: int) -> None:
        self.sessions = Sessions(part, slots)
        self.rate, self.hop = part.rate, part.hop
        self.specs: Mapping[str, Spec] = part.specs()
        self.names, self.slots = tuple(part.numbers.streams), slots

    def hear(self, at: Sequence[int], wave: np.ndarray) -> Items:
        if len(at) == self.slots and [*at] == [*range(self.slots)]:
            codes = self.sessions.encode(torch.from_numpy(wave))
        else:
            active = torch.zeros(self.slots, dtype=torch.bool)
            active[list(at)] = True
            whole = torch.zeros(self.slots, self.hop)
            whole[list(at)] = torch.from_numpy(wave)
            codes = self.sessions.encode(whole, active)[list(at)]
        return dict(zip(self.names, codes.T.cpu().numpy(), strict=False))

    def reset(self, slot: int) -> None:
        self.sessions.reset(torch.arange(self.slots) == slot)


@dataclass(eq=False)
class _Heard:
    """What an encoder remembers of one stream."""

    kept: Tensor
    first: Tensor
    second: Tensor


class EncoderEar:
    """A causal encoder's features, as units or as vectors."""

    def __init__(self, part: Any, groups: Any, encoder: CausalEncoderModel, slots: int) -> None:
        self.part, self.encoder, self.slots = part, encoder, slots
        self.frames = groups.frames if isinstance(groups, GroupedModel) else 1
        self.groups = groups if isinstance(groups, GroupedModel) else None
        self.rate, self.hop, self.specs = encoder.rate, encoder.hop * self.frames, part.specs()
        self.late = encoder.numbers.lookahead // self.frames
        self.stack = shallow(encoder.stack, encoder.depth)
        self.cache = self.stack.cache(slots, encoder.numbers.window + self.frames + 1)
        self.heard = [self._fresh() for _ in range(slots)]

    def _fresh(self) -> _Heard:
        mel = self.encoder.mel
        return _Heard(
            torch.zeros(mel.window - mel.hop), self.encoder.first.start(1)[0], self.encoder.second.start(1)[0]
        )

    @torch.no_grad()
    def hear(self, at: Sequence[int], wave: np.ndarray) -> Items:
        encoder, heard = self.encoder, [self.heard[slot] for slot in at]
        known = torch.cat((torch.stack([h.kept for h in heard]), torch.from_numpy(wave)), 1)
        mels = encoder.mel._frames(known)
        x, first = encoder.first.push(encoder.normal(mels), torch.stack([h.first for h in heard]))
        x, second = encoder.second.push(F.gelu(x), torch.stack([h.second for h in heard]))
        keep = known.shape[1] - (encoder.mel.window - encoder.mel.hop)
        for row, h in enumerate(heard):
            h.kept, h.first, h.second = known[row, keep:], first[row], second[row]
        y = self._context(at, F.gelu(x).float())
        vectors = y[:, 0] if self.groups is None else self.groups.group(y)[:, 0]
        name = next(iter(self.specs))
        if isinstance(self.part, UnitsModel):
            part = self.part
            return {name: squared_distances(part.normal(vectors), part.centroids).argmin(1).cpu().numpy()}
        return {name: self.part.normal(vectors).cpu().numpy()}

    def _context(self, at: Sequence[int], x: Tensor) -> Tensor:
        index, cache = torch.tensor(at), self.cache
        whole = x.new_zeros(self.slots, *x.shape[1:])
        whole[index] = x
        y = self.stack(whole, cache=cache)
        rest = torch.full((self.slots,), x.shape[1])
        rest[index] = 0
        cache.length = cache.length - rest
        cache.held[(cache.held >= cache.length[:, None]) & (rest > 0)[:, None]] = -1
        return y[index]

    def reset(self, slot: int) -> None:
        self.heard[slot] = self._fresh()
        self.cache.length[slot] = 0
        self.cache.held[slot] = -1


class LoneEar:
    """Any tokenizer that streams, a stream after another."""

    def __init__(self, part: Any, slots: int) -> None:
        self.part, self.specs = part, part.specs()
        self.rate = int(part.rate)
        rate = next(spec.rate for spec in self.specs.values() if spec.rate)
        hop = Fraction(self.rate) / Fraction(rate)
        if hop.denominator != 1:
            raise BadInput(f"an item of {next(iter(self.specs))!r} has {float(hop):g} samples, expected a whole number")
        self.hop = int(hop)
        self.live = [part.live() for _ in range(slots)]
        self.waiting: list[dict[str, list[Any]]] = [{} for _ in range(slots)]
        self.age = [0] * slots
        self.late = self._lateness()

    def _lateness(self) -> int:
        """By trying."""
        live, silence = self.part.live(), Waveform(np.zeros(self.hop, np.float32), self.rate)
        for late in range(64):
            if any(len(stream) for example in live.push(silence) for stream in example.values()):
                return late
        raise BadInput(
            f"{type(self.part).__name__} gives nothing within {64 * self.hop / self.rate:.1f} s of sound, so it cannot "
            "listen live; take a tokenizer that streams"
        )

    def hear(self, at: Sequence[int], wave: np.ndarray) -> Items:
        found: dict[str, list[Any]] = {name: [] for name in self.specs}
        for row, slot in enumerate(at):
            waiting = self.waiting[slot]
            for example in self.live[slot].push(Waveform(wave[row], self.rate)):
                for name, stream in example.items():
                    waiting.setdefault(name, []).extend(stream.ids if stream.values is None else stream.values)
            self.age[slot] += 1
            for name, spec in self.specs.items():
                early = self.age[slot] <= self.late
                nothing = np.zeros(spec.dim, np.float32) if spec.dim else 0
                found[name].append(nothing if early else waiting[name].pop(0))
        return {name: np.array(items) for name, items in found.items()}

    def reset(self, slot: int) -> None:
        self.live[slot], self.waiting[slot], self.age[slot] = self.part.live(), {}, 0


@dataclass(eq=False)
class AtEar:
    """One session's sound at an ear's rate: what a resampler holds back is made up for once, by silence in front."""

    rate: int
    to: int
    lag: int
    held: list[np.ndarray] = field(default_factory=list)
    resampler: Resampler | None = None

    def __post_init__(self) -> None:
        if self.rate != self.to:
            self.resampler = Resampler(self.rate, self.to)
            self.held = [np.zeros(self.lag, np.float32)]

    def push(self, samples: np.ndarray, hop: int) -> np.ndarray:
        """A frame at the session's rate -> float32[hop]"""
        if self.resampler is None:
            return samples
        whole = np.concatenate([*self.held, self.resampler.push(samples)])
        self.held = [whole[hop:]]
        return whole[:hop]


def lag(rate: int, to: int, frame: int, hop: int) -> int:
    """Samples at `to` Hz that a resampler lacks at worst after any number of frames."""
    if rate == to:
        return 0
    resampler, given, worst = Resampler(rate, to), 0, 0
    for count in range(1, 65):
        given += len(resampler.push(np.zeros(frame, np.float32)))
        worst = max(worst, count * hop - given)
    return worst
