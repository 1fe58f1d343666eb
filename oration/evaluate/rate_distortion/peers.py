"""Codecs of others, each one clip in and out with the bits that its stream took: Opus, codec2, Griffin-Lim.

What is not installed is not computed, and `trouble` says what to install.
"""

from __future__ import annotations

import io
import math
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

import numpy as np
import soundfile
import torch

from oration.audio.griffin_lim import griffin_lim
from oration.audio.mel import LogMel
from oration.audio.resample import resample
from oration.core import BadInput, Waveform
from oration.tokenizers.mel_rvq import RATES

RATE = 16_000


@dataclass(frozen=True)
class Coded:
    """A clip that went through a codec."""

    wave: Waveform
    bits: float | None
    """Of its stream; None where there is no stream, because nothing was rounded to bits."""


class System(Protocol):
    """One codec at one rate."""

    @property
    def name(self) -> str:
        """The codec; its settings are points of one line."""
        ...

    @property
    def setting(self) -> str:
        """Which rate."""
        ...

    @property
    def how(self) -> str:
        """How its bits were counted, and what a reader must know."""
        ...

    def trouble(self) -> str | None:
        """Why it cannot run here, and what to do; None if it can."""
        ...

    def code(self, number: int, wave: Waveform) -> Coded:
        """Clip `number` there and back."""
        ...


@dataclass(frozen=True)
class Opus:
    """Opus (RFC 6716) by the libopus inside libsndfile: variable rate, 20 ms packets, as that has them."""

    kbps: float
    """Asked for; what it takes is measured."""

    name = "Opus"

    @property
    def setting(self) -> str:
        return f"{self.kbps:g} kbit/s"

    @property
    def how(self) -> str:
        return f"Opus by {_libopus()}: bits of the packets, without the Ogg container and its two headers"

    def trouble(self) -> str | None:
        return None if _libopus() else f"{soundfile.__libsndfile_version__} of libsndfile cannot set the rate of Opus"

    def code(self, number: int, wave: Waveform) -> Coded:
        file = _opus(wave, self.kbps)
        samples, rate = soundfile.read(io.BytesIO(file), dtype="float32")
        return Coded(Waveform(samples, rate), 8.0 * sum(map(len, packets(file)[2:])))


_OPUS = (6, 256)
"""kbit/s that libsndfile spreads its compression level 1 .. 0 over."""


def _opus(wave: Waveform, kbps: float) -> bytes:
    """An Ogg Opus file."""
    wave = resample(wave, RATE)
    file, level = io.BytesIO(), 1 - (kbps - _OPUS[0]) / (_OPUS[1] - _OPUS[0])
    with soundfile.SoundFile(file, "w", RATE, 1, "OPUS", format="OGG", compression_level=level) as sound:
        for at in range(0, len(wave), RATE):
            sound.write(np.clip(wave.samples[at : at + RATE], -1, 1))
    return file.getvalue()


@lru_cache(maxsize=1)
def _libopus() -> str:
    """Name and version as the encoder signs its files; empty if it cannot be had."""
    try:
        tags = packets(_opus(Waveform(np.zeros(RATE), RATE), 16))[1]
    except (soundfile.LibsndfileError, TypeError, IndexError):
        return ""
    size = int.from_bytes(tags[8:12], "little")
    return tags[12 : 12 + size].decode("utf-8", "replace")


def packets(file: bytes) -> list[bytes]:
    """The packets of an Ogg file of one stream (RFC 3533, section 6): for Opus two headers, then sound.

    Raises:
        BadInput: it is not an Ogg file.
    """
    found, part, at = [], b"", 0
    while at < len(file):
        if file[at : at + 4] != b"OggS":
            raise BadInput(f"an Ogg page begins with OggS, but byte {at} of {len(file)} does not; is this an Ogg file?")
        segments = file[at + 27 : at + 27 + file[at + 26]]
        at += 27 + len(segments)
        for size in segments:
            part += file[at : at + size]
            at += size
            if size < 255:
                found.append(part)
                part = b""
    return found


FRAMES = {"3200": 20, "2400": 20, "1600": 40, "1400": 40, "1300": 40, "1200": 40, "700C": 40, "450": 40}
"""codec2's modes, named after their bit/s -> milliseconds of a frame."""


@dataclass(frozen=True)
class Codec2:
    """codec2 (Rowe) by its programs c2enc and c2dec: speech at 8 kHz, brought up to 16 again."""

    mode: str

    name = "codec2"

    @property
    def setting(self) -> str:
        return f"{self.mode} bit/s"

    how = "codec2: bits of the frames, without what fills their last byte; it hears 8 kHz and is brought up to 16"

    @property
    def frame_bits(self) -> int:
        return round(int(self.mode.rstrip("C")) * FRAMES[self.mode] / 1000)

    def trouble(self) -> str | None:
        absent = [name for name in ("c2enc", "c2dec") if shutil.which(name) is None]
        return f"{' and '.join(absent)} not found; install Debian's package codec2" if absent else None

    def code(self, number: int, wave: Waveform) -> Coded:
        narrow = resample(wave, 8000)
        frame = 8 * FRAMES[self.mode]
        # One frame more, because the decoder is late by less than that.
        count = -(-len(narrow) // frame) + 1
        samples = np.pad(narrow.samples, (0, count * frame - len(narrow)))
        pcm = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        stream = self._run("c2enc", pcm)
        sound = np.frombuffer(self._run("c2dec", stream), "<i2").astype(np.float32) / 32768
        frames = len(stream) // -(-self.frame_bits // 8)
        return Coded(resample(Waveform(sound, 8000), RATE), float(frames * self.frame_bits))

    def _run(self, program: str, given: bytes) -> bytes:
        try:
            done = subprocess.run([program, self.mode, "-", "-"], input=given, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as failure:
            raise BadInput(
                f"{program} {self.mode} failed ({failure}); install Debian's package codec2, or leave out the "
                f"reference codec2:{self.mode}"
            ) from failure
        return done.stdout


@dataclass(frozen=True)
class GriffinLim:
    """Log-mels of 80 bands, not rounded at all, and phases by Griffin & Lim: what so few frames could hold."""

    frames: Fraction
    """A second."""

    name = "Griffin-Lim"

    @property
    def setting(self) -> str:
        return f"{float(self.frames):g} frames/s"

    how = "Griffin-Lim has no bit rate: 80 mel bands a frame, not quantised, Hann windows of 2.5 frames"

    @property
    def mel(self) -> LogMel:
        """A frame has a whole number of samples at one of the rates that codecs use."""
        rate = next((rate for rate in RATES if (rate / self.frames).denominator == 1), RATE)
        hop = round(rate / self.frames)
        window = max(400 * rate // RATE, 5 * hop // 2)
        return LogMel(rate=rate, window=window, hop=hop, fft=2 ** (window - 1).bit_length())

    def trouble(self) -> str | None:
        return None

    def code(self, number: int, wave: Waveform) -> Coded:
        mel = self.mel
        whole = resample(wave, mel.rate)
        return Coded(griffin_lim(mel(torch.from_numpy(whole.samples)[None])[0], mel).cut(0.0, wave.seconds), None)


def peers(references: Sequence[str], frames: Sequence[Fraction] = ()) -> list[System]:
    """What `opus:6`, `codec2:3200`, `griffin-lim` or `griffin-lim:50` stand for.

    Args:
        frames: frames a second of the codecs that are compared, for a Griffin-Lim without a rate of its own.

    Raises:
        BadInput: another name, or a rate that the codec does not have.
    """
    found: list[System] = []
    for reference in references:
        found += [one for one in _peer(reference, frames) if one not in found]
    return found


def _peer(reference: str, frames: Sequence[Fraction]) -> list[System]:
    kind, _, value = reference.partition(":")
    if kind == "codec2":
        if value not in FRAMES:
            raise BadInput(f"--reference {reference}: codec2 has the modes {', '.join(FRAMES)}; write e.g. codec2:3200")
        return [Codec2(value)]
    if kind == "griffin-lim" and not value:
        if not frames:
            raise BadInput(
                "--reference griffin-lim takes the frame rate of a codec, but no --model is given; write e.g. "
                "griffin-lim:50"
            )
        return [GriffinLim(rate) for rate in dict.fromkeys(frames)]
    low, high = {"opus": _OPUS, "griffin-lim": (5, 200)}.get(kind, (0, 0))
    if not high:
        raise BadInput(f"--reference {reference}: expected opus:KBITS, codec2:MODE or griffin-lim, such as opus:12")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        what = "kbit/s" if kind == "opus" else "frames a second"
        raise BadInput(f"--reference {reference}: expected {low} to {high} {what}; write e.g. {kind}:24")
    return [Opus(number) if kind == "opus" else GriffinLim(Fraction(number))]
