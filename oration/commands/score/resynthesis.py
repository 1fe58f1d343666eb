"""`oration score resynthesis`: what is lost from a recording to units and back, beside Griffin-Lim from its mel."""

from __future__ import annotations

from pathlib import Path

import torch

from oration.audio.griffin_lim import griffin_lim
from oration.audio.mel import LogMel
from oration.commands.results import Table, finish, spell
from oration.commands.score.clips import choose, recordings, spread, tracked
from oration.core import BadInput, Waveform
from oration.evaluate.resynthesis import ORIGINAL, ResynthesisRow, resynthesis
from oration.model import SpeechLM

LOSSLESS = (".flac", ".wav", ".aiff", ".aif")


def run(data: Path, model: Path | None, split: str, count: int, out: Path) -> None:
    """One column a system.

    Raises:
        BadInput: no clip with a transcript, or a model without a vocoder.
    """
    lm = SpeechLM.load(model)
    said = [clip for clip in choose(data, split) if clip.text]
    clean = [clip for clip in said if clip.path.suffix.lower() in LOSSLESS]
    if not said:
        raise BadInput(f"no clip of {str(data)!r}, split {split!r}, has a transcript to count wrong words against")
    clips = spread(clean or said, count)
    originals = recordings(clips, lm.rate)
    name = f"{lm.recipe.name}, from units"
    spoken = [lm.resynthesize(wave) for wave in tracked(originals, f"resynthesise ({lm.recipe.name})")]
    copies = {name: spoken, "Griffin-Lim, from mel": [from_mel(w) for w in tracked(originals, "Griffin-Lim")]}
    texts = [clip.text or "" for clip in clips]
    found = resynthesis(originals, texts, copies, clusters=texts)
    columns = [_column(row) for row in found.rows]
    kind = "lossless" if clean else "lossy"
    table = Table(
        f"{found.clips} {kind} clips, {found.audio_seconds:.0f} s, {found.rows[0].recognition.words} words ({split})",
        ("", *(f">{row.system}" for row in found.rows)),
        [[label, *(column[label] for column in columns)] for label in columns[0]],
        f"Words by {found.rows[0].recognition.recogniser}: a figure means something only beside the original's. "
        "Differences are paired by clip; intervals resample sentences. DNSMOS: 1 (bad) to 5.",
    )
    players = [
        {ORIGINAL: original} | {system: waves[at] for system, waves in copies.items()}
        for at, original in enumerate(originals[:4])
    ]
    finish(out, f"Resynthesis by {lm.recipe.name}", [table], found, list(zip(texts[:4], players, strict=True)))


def from_mel(wave: Waveform) -> Waveform:
    """The recording from its own 80-band log-mel: no units, no weights."""
    mel = LogMel(rate=wave.rate)
    return griffin_lim(mel(torch.from_numpy(wave.samples)[None])[0], mel).cut(0.0, wave.seconds)


def _column(row: ResynthesisRow) -> dict[str, str]:
    """Label -> cell."""
    quality, f0 = row.quality, row.f0
    return {
        "words wrong, %": spell(row.recognition.wer.times(100), 1),
        "  above the original, points": spell(row.wer_above_original.times(100) if row.wer_above_original else None, 1),
        "characters wrong, %": spell(row.recognition.cer.times(100), 1),
        "DNSMOS, overall": spell(quality.overall if quality else None, 2),
        "DNSMOS, P.808": spell(quality.p808 if quality else None, 2),
        "log-mel distance, nats": spell(row.mel, 2),
        "pitch error, cents": spell(f0.cents if f0 else None, 0),
        "pitch off by over 20 %, % of voiced": spell(f0.gross.times(100) if f0 else None, 1),
        "voicing wrong, % of frames": spell(f0.voicing.times(100) if f0 else None, 1),
    }
