"""Training material: clips, their recordings and their streams, which are tokenized once and cached as shards."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from oration.audio.io import read
from oration.core import Example, Spec, Stream, Waveform, ticks
from oration.core.files import replace_file
from oration.data.manifest import Clip
from oration.text.phones import PHONES, SILENCE

SHARD = 128
"""Clips a cache file: what a killed run can lose."""


class Encoder(Protocol):
    """The tokenizer promise, as far as the cache needs it."""

    def specs(self) -> dict[str, Spec]: ...

    def encode(self, waves: Sequence[Waveform]) -> list[Example]: ...


class Material:
    """Clips of one split, their waves at `rate` Hz and their streams.

    Streams come from the manifest's labels (`phones`), from `label` functions (`speaker`) and from tokenizers.
    """

    def __init__(self, clips: Sequence[Clip], *, rate: int = 16_000, memory: int = 3 << 30) -> None:
        self.clips, self.rate = list(clips), rate
        self.specs: dict[str, Spec] = {"phones": Spec(len(PHONES))}
        self._waves: OrderedDict[int, Waveform] = OrderedDict()
        self._room = memory
        self._lock = threading.Lock()  # threads that make batches share the recordings in memory
        self._streams: list[Example] = [{} for _ in self.clips]
        self._labels: list[Callable[[Clip], Example]] = [_phones]
        self.side: Callable[[Waveform], Waveform] | None = None
        """What of a recording its streams without a prefix are of: the agent's side of a dialogue. None: all of it."""

    def wave(self, index: int) -> Waveform:
        """The recording of clip `index`, or its `side`."""
        if self.side is None:
            return self._recording(index)
        if self.clips[index].agent is not None:
            return self.clips[index].call(rate=self.rate)[0]
        return self.side(self._recording(index))

    def _recording(self, index: int) -> Waveform:
        """All of the recording of clip `index`; the most recently used ones stay in memory."""
        with self._lock:
            if index in self._waves:
                self._waves.move_to_end(index)
                return self._waves[index]
        clip = self.clips[index]
        wave = read(clip.path, rate=self.rate, start=clip.start, stop=clip.stop)
        with self._lock:
            if index not in self._waves:
                self._waves[index] = wave
                self._room -= wave.samples.nbytes
            while self._room < 0 and len(self._waves) > 1:
                self._room += self._waves.popitem(last=False)[1].samples.nbytes
        return wave

    def example(self, index: int) -> Example:
        """The streams of clip `index`."""
        example: Example = {}
        for label in self._labels:
            example |= label(self.clips[index])
        return example | self._streams[index]

    def add_labels(self, specs: dict[str, Spec], label: Callable[[Clip], Example]) -> None:
        """Streams that follow from the manifest alone."""
        self.specs |= specs
        self._labels.append(label)

    def add_derived(
        self,
        specs: dict[str, Spec],
        derive: Callable[[Sequence[Example]], Sequence[Example]],
        track: Callable[[Iterable[int], str], Iterable[int]] = lambda items, title: items,
    ) -> None:
        """Streams that are made of others, such as pieces of units, or what an earlier model makes of a clip."""
        names = sorted(set(specs) - set(self.specs))
        self.specs |= specs
        for start in track(range(0, len(self.clips), SHARD), f"derive {', '.join(names)}"):
            indices = range(start, min(start + SHARD, len(self.clips)))
            for index, found in zip(indices, derive([self.example(i) for i in indices]), strict=True):
                self._streams[index] |= found

    def add_streams(
        self,
        tokenizer: Encoder,
        cache: Path,
        version: str,
        track: Callable[[Iterable[int], str], Iterable[int]] = lambda items, title: items,
    ) -> None:
        """Encode every clip with `tokenizer`, or take its streams from the cache.

        Args:
            cache: folder of cached shards, made if missing.
            version: identifies tokenizer and weights; another version is another cache.
            track: wraps the loop over shards, for a progress bar.
        """
        names = tuple(tokenizer.specs())
        self.specs |= tokenizer.specs()
        key = hashlib.sha256(version.encode()).hexdigest()[:12]
        title = "+".join(names)  # a name of a folder has 255 letters at most
        folder = cache / f"{title if len(title) <= 120 else f'{names[0]}+{len(names) - 1}'}-{key}"
        for start in track(range(0, len(self.clips), SHARD), f"encode {', '.join(names)}"):
            clips = self.clips[start : start + SHARD]
            digest = hashlib.sha256(
                json.dumps([[c.id, c.start, c.stop, c.seconds, *_side(c)] for c in clips]).encode()
            ).hexdigest()
            path = folder / f"{digest[:16]}.npz"
            if path.is_file():
                examples = _load(path, names, len(clips))
            else:
                examples = []
                for index in range(start, start + len(clips)):
                    examples += self._encoded(tokenizer, index)
                _save(path, names, examples)
            for index, example in enumerate(examples, start):
                self._streams[index] |= example

    def _encoded(self, tokenizer: Encoder, index: int) -> list[Example]:
        """The streams of a clip; of a dialogue's two sides where it has them and the tokenizer hears both."""
        if self.clips[index].agent is None or not hasattr(tokenizer, "join"):
            return tokenizer.encode([self._recording(index)])
        found: list[Example] = tokenizer.join([self.clips[index].call(rate=self.rate)])
        return found


def _side(clip: Clip) -> tuple[int, ...]:
    return () if clip.agent is None else (clip.agent,)


def _phones(clip: Clip) -> Example:
    index = {name: number for number, name in enumerate(PHONES)}
    # The last phone ends where the silence behind it begins; a stream of onsets has no other way to say so.
    spans = [*clip.phones, (clip.phones[-1][1], clip.phones[-1][1], SILENCE)] if clip.phones else []
    onsets = np.array([ticks(start) for start, _, _ in spans], np.int64)
    return {"phones": Stream(np.array([index[label] for _, _, label in spans], np.int64), onsets)}


def _save(path: Path, names: tuple[str, ...], examples: list[Example]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        streams = [example[name] for example in examples]
        arrays[f"{name}/lengths"] = np.array([len(s) for s in streams])
        arrays[f"{name}/ids"] = np.concatenate([s.ids for s in streams]).astype(np.int32)
        for field in ("onsets", "values"):
            parts = [getattr(s, field) for s in streams]
            if all(part is not None for part in parts):
                arrays[f"{name}/{field}"] = np.concatenate(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    replace_file(path, content.getvalue())


def _load(path: Path, names: tuple[str, ...], count: int) -> list[Example]:
    examples: list[Example] = [{} for _ in range(count)]
    with np.load(path, allow_pickle=False) as arrays:
        for name in names:
            ends = np.cumsum(arrays[f"{name}/lengths"])
            fields = {
                field: arrays[f"{name}/{field}"] for field in ("ids", "onsets", "values") if f"{name}/{field}" in arrays
            }
            for example, start, stop in zip(examples, [0, *ends[:-1]], ends, strict=True):
                example[name] = Stream(**{field: array[start:stop] for field, array in fields.items()})
    return examples


def version_of(config: Any, weights: bytes = b"") -> str:
    """A string that changes whenever a tokenizer's settings or weights do."""
    return f"{config!r}#{hashlib.sha256(weights).hexdigest()}"


def weights_of(part: Any) -> bytes:
    """The bytes of a part's weights; none if it has none."""
    import torch

    if not isinstance(part, torch.nn.Module):
        return b""
    tensors = (value.detach().cpu().contiguous() for value in part.state_dict().values())
    return b"".join(tensor.numpy().tobytes() for tensor in tensors)
