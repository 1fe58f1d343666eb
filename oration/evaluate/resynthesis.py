"""The resynthesis table: how much of a recording survives encoding and decoding, beside the recording's own figures."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oration.core import BadInput, Waveform
from oration.evaluate.asr import PocketSphinx, Recogniser, RecognitionResult, compare, recognise
from oration.evaluate.interval import Bootstrap, Estimate
from oration.evaluate.quality import Quality, dnsmos, speaker_similarity
from oration.evaluate.signal import F0Error, f0_error, mel_distance

ORIGINAL = "original"


@dataclass(frozen=True)
class ResynthesisRow:
    """One system, or the original recordings. None: not computed, because it makes no sense or was not asked for."""

    system: str
    recognition: RecognitionResult
    wer_above_original: Estimate | None
    """WER minus the original's, paired by clip; 0.1 is ten points. None in the original's own row."""
    quality: Quality | None
    mel: Estimate | None
    """Mean absolute difference of log mels, natural logarithm."""
    f0: F0Error | None
    speaker: Estimate | None
    """Mean cosine of voices with the original."""
    seconds: float
    """Wall time of measuring this row."""


@dataclass(frozen=True)
class Resynthesis:
    """A table whose first row is the original recordings."""

    clips: int
    audio_seconds: float
    rows: tuple[ResynthesisRow, ...]

    def row(self, system: str) -> ResynthesisRow:
        """The row of one system."""
        for row in self.rows:
            if row.system == system:
                return row
        raise BadInput(f"no system {system!r} in this table; it has {[row.system for row in self.rows]}")


def resynthesis(
    originals: Sequence[Waveform],
    texts: Sequence[str],
    systems: Mapping[str, Sequence[Waveform]],
    *,
    recogniser: Recogniser | None = None,
    quality: bool = True,
    speaker: bool = False,
    clusters: Sequence[Any] | None = None,
    bootstrap: Bootstrap | None = None,
) -> Resynthesis:
    """Measure copies against their originals.

    Args:
        originals, texts: N recordings and what is said in them.
        systems: name -> N copies that run in step with the originals.
        recogniser: `PocketSphinx(workers=2)` hears two clips at a time.
        quality: predict quality by DNSMOS too.
        speaker: compare voices by resemblyzer too.
        clusters: a label a clip (speaker, or the sentence of repeated takes), resampled whole.

    Raises:
        BadInput: a system without a copy for every original, or one named `original`.
    """
    if ORIGINAL in systems:
        raise BadInput(f"a system is named {ORIGINAL!r}, the name of the recordings' own row; give it another name")
    for name, copies in systems.items():
        if len(copies) != len(originals):
            raise BadInput(
                f"{name!r} has {len(copies)} copies of {len(originals)} recordings; expected one a recording"
            )
    recogniser = recogniser or PocketSphinx()
    shared: dict[str, Any] = {"clusters": clusters, "bootstrap": bootstrap or Bootstrap()}
    rows: list[ResynthesisRow] = []
    for name, waves in {ORIGINAL: originals, **systems}.items():
        started = time.perf_counter()
        recognition = recognise(waves, texts, recogniser=recogniser, **shared)
        copy = name != ORIGINAL
        rows.append(
            ResynthesisRow(
                system=name,
                recognition=recognition,
                wer_above_original=compare(recognition, rows[0].recognition, **shared) if copy else None,
                quality=dnsmos(waves, **shared) if quality else None,
                mel=mel_distance(originals, waves, **shared) if copy else None,
                f0=f0_error(originals, waves, **shared) if copy else None,
                speaker=speaker_similarity(originals, waves, **shared) if copy and speaker else None,
                seconds=time.perf_counter() - started,
            )
        )
    return Resynthesis(len(originals), sum(wave.seconds for wave in originals), tuple(rows))
