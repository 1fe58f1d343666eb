"""How near a codec's copies come to the speech, beside what could be said without listening to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oration.audio.mel import LogMel
from oration.codecs import CodecModel
from oration.core import Example, Waveform

BANDS = 40
ODD = 200
"""One code in so many may differ when sound comes in pieces: two codewords that are equally near."""


@dataclass(frozen=True)
class Copied:
    """What one codec made of held-out speech."""

    part: str
    nats: float
    """L1 distance of log-mel spectra of 25 ms, a mean over bands and frames."""
    flat: float
    """The same for one spectrum in every frame, the median of the speech trained on: the best that knows no more."""
    kbps: float
    """Of its streams, if all symbols were equally likely."""
    whole: bool
    """Whether copies are as long as what they are copies of, but for less than a block of frames."""
    live: str
    """`frame by frame` or `late`, where any cutting gives the codes and the sound of the whole; else nothing."""

    @property
    def holds(self) -> bool:
        return self.nats < self.flat and self.whole and bool(self.live)


def copied(part: str, model: CodecModel, known: Sequence[Waveform], held_out: Sequence[Waveform]) -> Copied:
    """Copies of `held_out` through `model`, which was trained on `known`; all of them at its rate."""
    log_mel = _log_mel(model.rate)
    usual = torch.cat([_frames(log_mel, wave) for wave in known]).median(0).values
    examples = model.encode(held_out)
    copies = model.decode(examples)
    away, flat, whole = list[Tensor](), list[Tensor](), True
    reach = model.hop * (model.numbers.block + 1)
    for wave, copy in zip(held_out, copies, strict=True):
        whole &= abs(len(wave) - len(copy)) <= reach
        length = min(len(wave), len(copy))
        real, fake = (_frames(log_mel, Waveform(w.samples[:length], w.rate)) for w in (wave, copy))
        away.append((real - fake).abs())
        flat.append((real - usual).abs())
    kbps = sum(spec.bits_per_second or 0.0 for spec in model.specs().values()) / 1000
    return Copied(
        part, float(torch.cat(away).mean()), float(torch.cat(flat).mean()), kbps, whole, live(model, held_out[-1])
    )


def live(model: CodecModel, wave: Waveform, seed: int = 0) -> str:
    """How it codes while the sound comes in: `frame by frame`, `late`, or nothing if it is not the same in pieces."""
    rng = np.random.default_rng(seed)
    (example,) = model.encode([wave])
    (sound,) = model.decode([example])
    hears, says = model.live(), model.speaker()
    found = [part for piece in _cut(len(wave), rng) for part in hears.push(Waveform(wave.samples[piece], wave.rate))]
    found += hears.flush()
    codes = {name: np.concatenate([part[name].ids for part in found]) for name in example}
    if any(len(codes[name]) != len(stream) for name, stream in example.items()):
        return ""
    differ = sum(int((codes[name] != stream.ids).sum()) for name, stream in example.items())
    if differ * ODD > sum(len(stream) for stream in example.values()):
        return ""
    waves = [wave for part in _blocks(model, example) for wave in says.push(part)]
    pieces = np.concatenate([part.samples for part in (*waves, *says.flush())])
    if pieces.shape != sound.samples.shape or not np.allclose(pieces, sound.samples, atol=1e-4):
        return ""
    return "frame by frame" if model.aligned else "late"


def _cut(length: int, rng: np.random.Generator) -> list[slice]:
    """Pieces of any length, also of none."""
    at = [0, *np.sort(rng.integers(0, length + 1, 9)).tolist(), length]
    return [slice(a, b) for a, b in itertools.pairwise(at)]


def _blocks(model: CodecModel, example: Example) -> list[Example]:
    """The streams of an example, so many frames after another as all levels have whole items for."""
    block, strides = max(model.numbers.strides), model.numbers.frames
    frames = max(len(stream) * strides[name] for name, stream in example.items())
    return [
        {name: stream.cut(at // strides[name], (at + block) // strides[name]) for name, stream in example.items()}
        for at in range(0, frames, block)
    ]


def _log_mel(rate: int) -> LogMel:
    window = rate // 40
    return LogMel(rate, BANDS, window, rate // 80, 1 << (window - 1).bit_length())


def _frames(log_mel: LogMel, wave: Waveform) -> Tensor:
    """float[F, bands]"""
    return log_mel(torch.from_numpy(wave.samples)[None])[0]
