"""Audio files in and out: what libsndfile reads (WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF, ...), as one channel."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from oration.audio.resample import Resampler
from oration.core import BadInput, Waveform
from oration.core.files import aside, reason, replace_file

FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"), ".opus": ("OGG", "OPUS")}
"""Suffix -> format and encoding that `write` chooses."""

_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says."""

    seconds: float
    rate: int
    """Hz."""
    channels: int
    subtype: str
    """libsndfile's name of the encoding, such as PCM_16, OPUS or FLOAT."""


@contextmanager
def _opened(path: Path | str) -> Iterator[soundfile.SoundFile]:
    """An audio file, or one sentence why it cannot be one."""
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{str(path)!r} is a folder, expected an audio file; name a file inside it")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise BadInput(f"{str(path)!r} is empty (0 bytes), expected an audio file; record or copy it again")
    except OSError as failure:
        raise reason(failure, path) from failure
    try:
        opened = soundfile.SoundFile(str(path))
    except (soundfile.LibsndfileError, TypeError) as failure:
        raise BadInput(
            f"{str(path)!r} is not audio that can be read ({_said(failure)}), expected WAV, FLAC, Ogg, Opus, "
            "MP3 or AIFF; convert it first, e.g. with ffmpeg"
        ) from failure
    with opened:
        if opened.frames == 0:
            raise BadInput(f"{str(path)!r} holds no samples, expected at least one; record or copy it again")
        try:
            yield opened
        except soundfile.LibsndfileError as failure:
            raise BadInput(
                f"{str(path)!r} breaks off or is damaged ({_said(failure)}), expected {opened.frames} samples; "
                "copy or convert it again"
            ) from failure


def _said(failure: Exception) -> str:
    return str(getattr(failure, "error_string", failure)).rstrip(".").lower()


def _mono(frames: np.ndarray, path: Path | str, offset: int, rate: int, channel: int | None) -> np.ndarray:
    """float32[T, C] -> float32[T], one of the channels or their mean."""
    if channel is not None:
        samples = frames[:, channel]
    else:
        samples = frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1, dtype=np.float32)
    finite = np.isfinite(samples)
    if not finite.all():
        bad = int(np.argmin(finite))
        raise BadInput(
            f"{str(path)!r} holds {samples[bad]} at {(offset + bad) / rate:.3f} s, expected finite samples; "
            "repair the recording or cut that part out"
        )
    return samples


def info(path: Path | str) -> AudioInfo:
    """Length, rate, channels and encoding, from the header.

    Raises:
        BadInput: the file is missing, closed to us, empty, a folder or no audio.
    """
    with _opened(path) as file:
        return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels, file.subtype)


def read(
    path: Path | str,
    *,
    rate: int | None = None,
    start: float = 0.0,
    stop: float | None = None,
    channel: int | None = None,
) -> Waveform:
    """A recording, from `start` to `stop` seconds, resampled to `rate` Hz if given.

    Args:
        stop: a stop behind the end means the end.
        channel: which of its channels, counted from 0; None: their mean.

    Raises:
        BadInput: as for `info`; or the part lies outside the file, there is no such channel, or a sample is not finite.
    """
    pieces = list(_pieces(path, rate, start, stop, None, channel))
    return Waveform(np.concatenate([piece.samples for piece in pieces]), pieces[0].rate)


def blocks(
    path: Path | str, *, rate: int | None = None, seconds: float = 30.0, start: float = 0.0, stop: float | None = None
) -> Iterator[Waveform]:
    """The same recording as `read` gives, in pieces of about `seconds`, in memory that does not grow with the file.

    Raises:
        BadInput: as for `read`, when the damaged place is reached.
    """
    if seconds <= 0:
        raise BadInput(f"a block lasts more than 0 seconds, but got {seconds}; give e.g. 30")
    yield from _pieces(path, rate, start, stop, seconds)


def _pieces(
    path: Path | str,
    rate: int | None,
    start: float,
    stop: float | None,
    seconds: float | None,
    channel: int | None = None,
) -> Iterator[Waveform]:
    with _opened(path) as file:
        if channel is not None and not 0 <= channel < file.channels:
            raise BadInput(
                f"{str(path)!r} has {file.channels} channel{'s' * (file.channels > 1)}, so there is no channel "
                f"{channel}; they are counted from 0"
            )
        first = round(start * file.samplerate)
        last = file.frames if stop is None else min(file.frames, round(stop * file.samplerate))
        if not 0 <= first < last:
            raise BadInput(
                f"{str(path)!r} lasts {file.frames / file.samplerate:.3f} s, so it has no part from {start} to "
                f"{stop} s; give a start before its end and a stop after the start"
            )
        size = last - first if seconds is None else max(1, round(seconds * file.samplerate))
        resampler = Resampler(file.samplerate, rate or file.samplerate)
        file.seek(first)
        at = first
        while at < last:
            frames = file.read(min(size, last - at), dtype="float32", always_2d=True)
            if not len(frames):
                raise BadInput(
                    f"{str(path)!r} breaks off at {at / file.samplerate:.3f} s, expected "
                    f"{last / file.samplerate:.3f} s; copy it again"
                )
            samples = resampler.push(_mono(frames, path, at, file.samplerate, channel))
            at += len(frames)
            if at >= last:
                samples = np.concatenate([samples, resampler.flush()])
            yield Waveform(samples, resampler.to_rate)


def _stored(samples: np.ndarray, subtype: str) -> np.ndarray:
    """Samples as the encoder takes them. libsndfile would round 16 bits down; rounded here, a second copy is exact."""
    if subtype != "PCM_16":
        return np.clip(samples, -1, 1)
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def write(wave: Waveform, path: Path | str, *, overwrite: bool = False) -> Path:
    """Store a recording as 16-bit WAV or FLAC, Ogg Vorbis or Opus, chosen by the suffix; louder than 1 is clipped.

    The file appears complete or not at all.

    Raises:
        BadInput: an unknown suffix, an existing file (unless `overwrite`), a rate the format cannot hold, nothing to
            write, or a place that is missing, closed to us or full.
    """
    path = Path(path)
    container, subtype = _format(path, wave.rate)
    if not len(wave):
        raise _empty(path)
    content = io.BytesIO()
    try:
        # Opus and Vorbis through libsndfile need the whole of a long recording in small writes.
        with soundfile.SoundFile(content, "w", wave.rate, 1, subtype, format=container) as file:
            for at in range(0, len(wave), 1 << 16):
                file.write(_stored(wave.samples[at : at + (1 << 16)], subtype))
    except soundfile.LibsndfileError as failure:
        raise _unfit(container, wave.rate, failure) from failure
    return replace_file(path, content.getvalue(), overwrite=overwrite)


def write_channels(waves: Sequence[Waveform], path: Path | str, *, overwrite: bool = False) -> Path:
    """Store recordings of one length and rate side by side, as the channels of one WAV or FLAC file.

    Raises:
        BadInput: as for `write`; or they differ in length or rate.
    """
    path = Path(path)
    if len({(len(wave), wave.rate) for wave in waves}) != 1:
        raise BadInput(
            f"the channels of a file have one length and rate, but got {', '.join(map(repr, waves)) or 'none'}; "
            "fill the shorter ones up with silence"
        )
    container, subtype = _format(path, waves[0].rate)
    if subtype != "PCM_16":
        raise BadInput(f"{str(path)!r} would mix its channels, expected .wav or .flac; rename it")
    if not len(waves[0]):
        raise _empty(path)
    content, samples = io.BytesIO(), np.stack([wave.samples for wave in waves], 1)
    soundfile.write(content, _stored(samples, subtype), waves[0].rate, subtype, format=container)
    return replace_file(path, content.getvalue(), overwrite=overwrite)


def write_blocks(waves: Iterable[Waveform], path: Path | str, rate: int, *, overwrite: bool = False) -> int:
    """Store pieces of one recording at `rate` Hz, end to end, as `write` does, in memory that does not grow.

    Returns:
        How many samples there were.

    Raises:
        BadInput: as for `write`.
    """
    path, total = Path(path), 0
    container, subtype = _format(path, rate)
    with aside(path, overwrite=overwrite) as temporary:
        try:
            with soundfile.SoundFile(str(temporary), "w", rate, 1, subtype, format=container) as file:
                for wave in waves:
                    for at in range(0, len(wave), 1 << 16):
                        file.write(_stored(wave.samples[at : at + (1 << 16)], subtype))
                    total += len(wave)
        except soundfile.LibsndfileError as failure:
            raise _unfit(container, rate, failure) from failure
        if not total:
            raise _empty(path)
    return total


def _format(path: Path, rate: int) -> tuple[str, str]:
    """Format and encoding of a file to be written."""
    if path.suffix.lower() not in FORMATS:
        raise BadInput(f"{str(path)!r} ends in {path.suffix!r}, expected one of {', '.join(FORMATS)}; rename it")
    container, subtype = FORMATS[path.suffix.lower()]
    if subtype == "OPUS" and rate not in _OPUS_RATES:
        raise BadInput(f"Opus holds {_OPUS_RATES} Hz, but the recording has {rate}; resample it or write .flac")
    return container, subtype


def _empty(path: Path) -> BadInput:
    return BadInput(f"there are no samples to write to {str(path)!r}, expected at least one; check what made them")


def _unfit(container: str, rate: int, failure: Exception) -> BadInput:
    return BadInput(
        f"a {container} file cannot hold this recording at {rate} Hz ({_said(failure)}); "
        "resample it or choose another suffix"
    )
