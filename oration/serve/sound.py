"""Sound between the wire and the engines: formats both ways, and output at another rate with exact positions."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np

from oration.audio.resample import Resampler
from oration.core import BadInput, optional

Format = Literal["pcm16", "opus", "pcmu", "pcma"]
RATES = (8_000, 48_000)
"""Hz: least and most that a client may ask for."""
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)


class Format16(Protocol):
    """Samples to bytes and back; what it holds between calls belongs to one direction of one connection."""

    def encode(self, samples: np.ndarray) -> bytes:
        """float32[T] -> bytes."""
        ...

    def decode(self, data: bytes | memoryview) -> np.ndarray:
        """Bytes -> float32[T]."""
        ...


def format_of(name: str, rate: int) -> Format16:
    """The format of this name at `rate` Hz.

    Raises:
        BadInput: no such format, or not at this rate.
    """
    if name == "pcm16":
        return Pcm16()
    if name in ("pcmu", "pcma"):
        return Companded(name == "pcma")
    if name == "opus":
        return Opus(rate)
    raise BadInput(f"format {name!r} is unknown; give pcm16 or opus")


class Pcm16:
    """16 bits a sample, little-endian, mono."""

    def encode(self, samples: np.ndarray) -> bytes:
        scaled = samples * 32768.0
        np.rint(scaled, out=scaled)
        np.clip(scaled, -32768, 32767, out=scaled)
        return scaled.astype("<i2").tobytes()

    def decode(self, data: bytes | memoryview) -> np.ndarray:
        if len(data) % 2:
            raise BadInput(f"PCM16 sound of {len(data)} bytes ends inside a sample; send 2 bytes for each")
        return np.frombuffer(data, "<i2").astype(np.float32) * np.float32(1 / 32768)


def _mu_law() -> np.ndarray:
    """float32[256]: what each code of G.711 mu-law stands for."""
    codes = ~np.arange(256, dtype=np.int64) & 0xFF
    size = ((((codes & 15) << 3) + 132) << ((codes >> 4) & 7)) - 132
    return np.where(codes & 128, -size, size).astype(np.float32) / 32768


def _a_law() -> np.ndarray:
    """float32[256]: what each code of G.711 A-law stands for."""
    codes = np.arange(256, dtype=np.int64) ^ 0x55
    exponent, mantissa = (codes >> 4) & 7, codes & 15
    size = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 264) << np.maximum(exponent - 1, 0))
    return np.where(codes & 128, size, -size).astype(np.float32) / 32768


class Companded:
    """G.711, mu-law or A-law: 8 bits a sample. The nearest code is found among the 256."""

    def __init__(self, a_law: bool) -> None:
        values = _a_law() if a_law else _mu_law()
        self.values = values
        self._order = np.argsort(values, kind="stable")
        self._edges = (values[self._order][1:] + values[self._order][:-1]) / 2

    def encode(self, samples: np.ndarray) -> bytes:
        return self._order[np.searchsorted(self._edges, samples)].astype(np.uint8).tobytes()

    def decode(self, data: bytes | memoryview) -> np.ndarray:
        return self.values[np.frombuffer(data, np.uint8)]


class Opus:
    """Ogg pages with Opus packets, one stream in each direction."""

    def __init__(self, rate: int) -> None:
        if rate not in OPUS_RATES:
            raise BadInput(f"Opus at {rate} Hz does not exist; ask for one of {', '.join(map(str, OPUS_RATES))} Hz")
        sphn = optional("sphn", "serve", "Opus over the network")
        self._writer: Any = sphn.OpusStreamWriter(rate)
        self._reader: Any = sphn.OpusStreamReader(rate)

    def encode(self, samples: np.ndarray) -> bytes:
        return bytes(self._writer.append_pcm(np.ascontiguousarray(samples, np.float32)))

    def decode(self, data: bytes | memoryview) -> np.ndarray:
        try:
            return np.asarray(self._reader.append_bytes(bytes(data)), np.float32)
        except ValueError as broken:
            raise BadInput(f"{len(data)} bytes of sound are not Ogg pages with Opus packets ({broken})") from broken


class Track:
    """Output at the client's rate. Positions on the wire are those of the ledger times the ratio, rounded up."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self.from_rate, self.to_rate = from_rate, to_rate
        self._resampler = None if from_rate == to_rate else Resampler(from_rate, to_rate)
        self._next = -1
        self._given = 0

    def wire(self, position: int) -> int:
        """Output position of the ledger -> on the wire."""
        return -(-position * self.to_rate // self.from_rate)

    def engine(self, position: int) -> int:
        """Output position on the wire -> of the ledger."""
        return position * self.from_rate // self.to_rate

    def push(self, start: int, samples: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Sound at ledger position `start` -> (position on the wire, float32[t]) pieces that are ready."""
        if self._resampler is None:
            return [(start, samples)]
        pieces = [] if start == self._next else self.flush()
        if start != self._next:
            self._given = self.wire(start)
        self._next = start + len(samples)
        return pieces + self._piece(self._resampler.push(samples))

    def flush(self) -> list[tuple[int, np.ndarray]]:
        """What the filter still holds: the sound before ends here."""
        if self._resampler is None or self._next < 0:
            return []
        self._next = -1
        return self._piece(self._resampler.flush())

    def drop(self) -> None:
        """What the filter still holds is not wanted."""
        self.flush()

    def _piece(self, samples: np.ndarray) -> list[tuple[int, np.ndarray]]:
        if not len(samples):
            return []
        start, self._given = self._given, self._given + len(samples)
        return [(start, samples)]
