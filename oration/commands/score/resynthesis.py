"""`oration score resynthesis`: what is lost from a recording to units and back, beside Griffin-Lim from its mel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from oration.audio.griffin_lim import griffin_lim
from oration.audio.mel import LogMel
from oration.commands.results import finish
from oration.commands.score.clips import choose, recordings, spread, tracked
from oration.core import BadInput, Waveform
from oration.evaluate.report import Player, Players, Section
from oration.evaluate.resynthesis import ORIGINAL, resynthesis
from oration.evaluate.tables import resynthesis_table
from oration.model import SpeechLM

LOSSLESS = (".flac", ".wav", ".aiff", ".aif")


def run(data: Path, models: Sequence[Path], split: str, count: int, out: Path) -> None:
    """One row a model, after the originals' and before Griffin-Lim's.

    Raises:
        BadInput: no clip with a transcript, or a model without a vocoder.
    """
    lms = [SpeechLM.load(folder) for folder in models or (None,)]
    said = [clip for clip in choose(data, split) if clip.text]
    clean = [clip for clip in said if clip.path.suffix.lower() in LOSSLESS]
    if not said:
        raise BadInput(f"no clip of {str(data)!r}, split {split!r}, has a transcript to count wrong words against")
    clips = spread(clean or said, count)
    originals = recordings(clips, lms[0].rate)
    texts = [clip.text or "" for clip in clips]
    copies = {
        f"{lm.recipe.name}, from units": [
            lm.resynthesize(w) for w in tracked(originals, f"resynthesise ({lm.recipe.name})")
        ]
        for lm in lms
    }
    copies["Griffin-Lim, from mel"] = [from_mel(wave) for wave in tracked(originals, "Griffin-Lim")]
    found = resynthesis(originals, texts, copies, clusters=texts)
    systems = {ORIGINAL: originals, **copies}
    spoken_clips = tuple(
        Players(tuple(Player(system, waves[at]) for system, waves in systems.items()), texts[at])
        for at in range(min(4, len(clips)))
    )
    sections = [Section("Figures", (resynthesis_table(found),)), Section("Some of the clips", spoken_clips)]
    names = ", ".join(lm.recipe.name for lm in lms)
    facts = {"model": names, "data": f"{data.name}, {split}, {'lossless' if clean else 'lossy'} clips"}
    finish(out, f"Resynthesis by {names}", sections, facts, found)


def from_mel(wave: Waveform) -> Waveform:
    """The recording from its own 80-band log-mel: no units, no weights."""
    mel = LogMel(rate=wave.rate)
    return griffin_lim(mel(torch.from_numpy(wave.samples)[None])[0], mel).cut(0.0, wave.seconds)
