"""Decoding in pieces: any length in bounded memory, and live, with the very samples that one long call would give.

A generator is a stack of convolutions, so a frame of sound depends on finitely many frames of input. Each piece is
computed with that much context on both sides, and only its own samples are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from oration.core import BadInput, Example, Spec, Stream, Waveform


class Generator(Protocol):
    """What decoding in pieces asks of a model."""

    needs: tuple[str, ...]
    specs: dict[str, Spec]
    repeats: dict[str, int]
    """Stream -> frames per item (0: one item for the whole recording), for `needs` and what `extend` adds."""
    reach: tuple[int, int]
    """How many frames before and after a frame its samples depend on."""
    hop: int
    rate: int

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def extend(self, part: Example, memory: Any) -> tuple[Example, Any]:
        """Add streams that depend on all that went before; `memory` is None at first, then what was returned last."""
        ...

    def sound(self, streams: Mapping[str, Tensor]) -> Tensor:
        """Streams of one recording, [1, items, ...] -> float[1, frames * hop]"""
        ...


def decode(model: Generator, examples: Sequence[Example], *, chunk: float = 4.0) -> list[Waveform]:
    """Each example on its own, so that a batch equals its members; memory holds the sound and `chunk` seconds of work.

    Raises:
        BadInput: a stream is missing, holds symbols it cannot hold, or is shorter than its companions.
    """
    waves = []
    for example in examples:
        _same_length(model, example)
        live = LiveDecoder(model, chunk=chunk)
        parts = [wave.samples for wave in (*live.push(example), *live.flush())]
        waves.append(Waveform(np.concatenate([np.zeros(0, np.float32), *parts]), model.rate))
    return waves


class LiveDecoder:
    """`push` parts of an example as they become known, in any cutting; sound comes once its look-ahead is complete."""

    def __init__(self, model: Generator, *, chunk: float = 4.0) -> None:
        """`chunk`: the most seconds computed at once, which bounds the memory."""
        self._model = model
        self._step = math.lcm(*(n for n in model.repeats.values() if n))
        self._chunk = max(1, round(chunk * model.rate / model.hop))
        self._held: dict[str, Stream] = {}
        self._base = 0  # the frame at which the held items begin
        self._done = 0  # frames already turned into sound
        self._memory: Any = None

    def push(self, x: Example) -> list[Waveform]:
        """More items of some or all streams -> the sound that they complete.

        Raises:
            BadInput: an item outside its stream's alphabet.
        """
        for name in self._model.needs:
            if name in x:
                x[name].verify(name, self._model.specs[name])
        x, self._memory = self._model.extend(x, self._memory)
        for name, n in self._model.repeats.items():
            if name in x and (n or name not in self._held):
                self._held[name] = _join(self._held.get(name), x[name])
        return self._run(last=False)

    def flush(self) -> list[Waveform]:
        """The sound of the last frames, as if nothing followed."""
        missing = [name for name in self._model.needs if name not in self._held]
        if missing:
            raise BadInput(f"the vocoder needs {missing[0]!r}, which never came; it got {sorted(self._held)}")
        return self._run(last=True)

    def _run(self, last: bool) -> list[Waveform]:
        if any(name not in self._held or not len(self._held[name]) for name in self._model.repeats):
            return []
        left, right = self._model.reach
        waves = []
        known = self._base + min(len(self._held[name]) * n for name, n in self._model.repeats.items() if n)
        while self._done < (ready := known if last else known - right):
            stop = min(ready, self._done + self._chunk)
            samples = self._compute(min(known, stop + right))
            at = slice((self._done - self._base) * self._model.hop, (stop - self._base) * self._model.hop)
            waves.append(Waveform(samples[at], self._model.rate))
            self._done = stop
            self._forget(max(0, stop - left) // self._step * self._step)
        return waves

    def _compute(self, stop: int) -> np.ndarray:
        """float32[samples] of the held frames up to frame `stop`."""
        streams, device = {}, next(self._model.parameters()).device
        for name, n in self._model.repeats.items():
            held = self._held[name]
            items = held.cut(0, -(-(stop - self._base) // n) if n else 1)
            value = items.ids if items.values is None else items.values
            tensor = torch.from_numpy(value).to(device)
            streams[name] = tensor[None] if n else tensor
        with torch.inference_mode():
            return self._model.sound(streams)[0].float().cpu().numpy()

    def _forget(self, base: int) -> None:
        for name, n in self._model.repeats.items():
            if n:
                self._held[name] = self._held[name].cut((base - self._base) // n)
        self._base = max(base, self._base)


def _join(old: Stream | None, new: Stream) -> Stream:
    if old is None:
        return Stream(new.ids, None, new.values)
    values = None if old.values is None or new.values is None else np.concatenate((old.values, new.values))
    return Stream(np.concatenate((old.ids, new.ids)), None, values)


def _same_length(model: Generator, example: Example) -> None:
    frames = {}
    for name in model.needs:
        if name not in example:
            raise BadInput(f"the vocoder needs the stream {name!r}, but the example has only {sorted(example)}")
        if model.repeats[name]:
            frames[name] = len(example[name]) * model.repeats[name]
    shortest, longest = min(frames, key=frames.__getitem__), max(frames, key=frames.__getitem__)
    if frames[longest] - frames[shortest] > max(model.repeats.values()):
        seconds = {name: f"{frames[name] * model.hop / model.rate:.2f} s" for name in (shortest, longest)}
        raise BadInput(
            f"streams {longest!r} ({seconds[longest]}) and {shortest!r} ({seconds[shortest]}) of one example differ in "
            "length, expected the same; were they made from the same recording?"
        )
