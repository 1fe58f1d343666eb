"""Whether somebody speaks: a probability per frame of 32 ms, live, for many recordings at once.

The model is Silero's (github.com/snakers4/silero-vad, MIT), read from its package as an ONNX file: nothing of the
package is imported. Where it or onnxruntime is missing, loudness above the background stands in and says so by its
name; it takes any sound for speech.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from oration.audio.resample import Resampler
from oration.core import BadInput, OrationError, Waveform, optional

RATE, HOP = 16_000, 512
"""What the detectors take: Hz, and samples per frame."""

CONTEXT = 64
"""Samples of the frame before that Silero reads with each frame."""


class Vad(Protocol):
    """A detector. What it remembers of a recording is kept by whoever calls, so it serves any number of them."""

    name: str

    def fresh(self) -> np.ndarray:
        """The memory of a recording that has not begun, float32[m]."""
        ...

    def step(self, frames: np.ndarray, memories: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A frame of each recording, float32[n, HOP] at 16 kHz, and their memories, float32[n, m] -> the probability of
        speech in each, float32[n], and the memories afterwards."""
        ...


class SileroVad:
    """Silero's network, on one thread."""

    name = "silero"

    def __init__(self) -> None:
        """
        Raises:
            OrationError: silero-vad or onnxruntime is not installed.
        """
        found = importlib.util.find_spec("silero_vad")
        path = None if found is None or found.origin is None else Path(found.origin).parent / "data" / "silero_vad.onnx"
        if path is None or not path.is_file():
            raise OrationError(
                "telling speech from noise needs the package 'silero_vad', which is not installed; "
                "install it with: pip install 'oration[serve]'"
            )
        runtime = optional("onnxruntime", "serve", "telling speech from noise")
        options = runtime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._network: Any = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._rate = np.array(RATE, np.int64)

    def fresh(self) -> np.ndarray:
        return np.zeros(2 * 128 + CONTEXT, np.float32)

    def step(self, frames: np.ndarray, memories: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = len(frames)
        state = np.ascontiguousarray(memories[:, CONTEXT:].reshape(n, 2, 128).transpose(1, 0, 2))
        whole = np.concatenate([memories[:, :CONTEXT], frames], axis=1)
        chances, state = self._network.run(None, {"input": whole, "state": state, "sr": self._rate})
        after = np.concatenate([whole[:, -CONTEXT:], state.transpose(1, 0, 2).reshape(n, -1)], axis=1)
        return chances[:, 0], after


class EnergyVad:
    """How far a frame's level is above the background's, which follows quiet at once and noise slowly."""

    name = "energy"

    def fresh(self) -> np.ndarray:
        return np.full(1, -50.0, np.float32)

    def step(self, frames: np.ndarray, memories: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        levels = 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-10)
        floor = memories[:, 0]
        floor = np.where(levels < floor, 0.7 * floor + 0.3 * levels, np.minimum(levels, floor + 0.03))
        above = levels - np.maximum(floor, -65.0) - 12.0
        return (1 / (1 + np.exp(-above / 2))).astype(np.float32), floor[:, None].astype(np.float32)


@functools.cache
def best_vad() -> Vad:
    """Silero's where it is installed, else the one by loudness."""
    try:
        return SileroVad()
    except OrationError:
        return EnergyVad()


class Ear:
    """One recording on its way through a detector: sound of any rate in, a probability for each 32 ms out."""

    def __init__(self, vad: Vad, rate: int) -> None:
        """`rate`: Hz of the sound."""
        self.rate, self.memory = rate, vad.fresh()
        self._resampler = None if rate == RATE else Resampler(rate, RATE)
        self._held = np.zeros(0, np.float32)

    def push(self, samples: np.ndarray) -> None:
        """float32[T] at `rate`; `listen` does the work."""
        if self._resampler is not None:
            samples = self._resampler.push(samples)
        self._held = np.concatenate([self._held, samples]) if len(self._held) else samples

    @property
    def ready(self) -> int:
        """Whole frames that wait."""
        return len(self._held) // HOP

    def frame(self) -> np.ndarray:
        """float32[HOP]: the next frame."""
        frame, self._held = self._held[:HOP], self._held[HOP:]
        return frame


def listen(vad: Vad, ears: Sequence[Ear]) -> list[np.ndarray]:
    """Probabilities of speech of all frames that wait, float32[k] for each recording; one run serves all of them."""
    found: list[list[np.ndarray]] = [[] for _ in ears]
    while ready := [i for i, ear in enumerate(ears) if ear.ready]:
        frames = np.stack([ears[i].frame() for i in ready])
        chances, memories = vad.step(frames, np.stack([ears[i].memory for i in ready]))
        for chance, memory, i in zip(chances, memories, ready, strict=True):
            ears[i].memory = memory
            found[i].append(chance)
    return [np.array(chances, np.float32) for chances in found]


def speech(wave: Waveform, vad: Vad | None = None) -> np.ndarray:
    """A whole recording -> the probability of speech in each of its whole frames of 32 ms, float32[k].

    Raises:
        BadInput: it is shorter than a frame.
    """
    vad = vad or best_vad()
    ear = Ear(vad, wave.rate)
    ear.push(wave.samples)
    if not ear.ready:
        raise BadInput(f"a recording of {wave.seconds:.3f} s is too short to tell speech in; give at least 0.04 s")
    return listen(vad, [ear])[0]
