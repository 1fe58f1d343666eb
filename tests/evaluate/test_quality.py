"""The bundled models really run, and rank sounds as they should."""

import numpy as np
import pytest

from oration.core import BadInput, Waveform
from oration.evaluate.quality import dnsmos, speaker_similarity, voices
from oration.evaluate.resynthesis import resynthesis
from oration.evaluate.tables import resynthesis_table

RATE = 16_000


def voice(hertz, seed=0, seconds=1.6):
    """A buzz through three resonances that move, a little like a voice."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros_like(t)
    for k in range(1, int(4000 / hertz)):
        level = sum(np.exp(-(((k * hertz - f * (1 + 0.2 * np.sin(6 * t + f))) / 150) ** 2)) for f in (600, 1500, 2600))
        sound += level * np.sin(2 * np.pi * k * hertz * t)
    return Waveform(0.1 * sound * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)) + 1e-4 * rng.normal(size=len(t)), RATE)


def noisy(wave, level):
    return Waveform(wave.samples + level * np.random.default_rng(1).normal(size=len(wave)).astype(np.float32), RATE)


def test_dnsmos_hears_noise():
    wave = voice(120)
    clean, dirty = dnsmos([wave]), dnsmos([noisy(wave, 0.1), Waveform(20 * wave.samples, RATE)])
    assert clean.background.value > dirty.scores[0, 2] + 0.5
    assert dirty.scores.shape == (2, 4)
    assert dirty.overall.n == 2
    assert "speechmos" in clean.model
    assert ((dirty.scores > 0.9) & (dirty.scores < 5)).all()
    with pytest.raises(BadInput, match="not empty"):
        dnsmos([Waveform(np.zeros(0), RATE)])


def test_voices_are_nearest_to_themselves():
    low, high = voice(110), voice(230)
    both = voices([low, high, noisy(low, 0.003)])
    assert np.linalg.norm(both, axis=1) == pytest.approx(1, abs=1e-4)
    assert both[0] @ both[2] > both[0] @ both[1]
    assert speaker_similarity([low], [low]).value == pytest.approx(1, abs=1e-5)
    assert 0 <= speaker_similarity([low], [Waveform(np.zeros(RATE), RATE)]).value < 1
    with pytest.raises(BadInput, match="recording 0 is empty"):
        voices([Waveform(np.zeros(0), RATE)])


class Parrot:
    """Recognises clean sound as its text and noise as nothing: the recogniser's place is open to any other."""

    name = "parrot 1"

    def transcribe(self, waves):
        return ["good morning" if np.abs(np.diff(wave.samples)).mean() < 0.05 else "" for wave in waves]


def test_the_table_of_resynthesis():
    originals = [voice(120), voice(200)]
    systems = {"copy": originals, "noise": [noisy(wave, 0.1) for wave in originals]}
    got = resynthesis(originals, ["Good morning!"] * 2, systems, recogniser=Parrot(), quality=False)
    assert [row.system for row in got.rows] == ["original", "copy", "noise"]
    original, copy, noise = got.rows
    assert original.recognition.wer.value == copy.recognition.wer.value == 0
    assert original.mel is original.f0 is original.wer_above_original is original.quality is None
    assert copy.mel.value == copy.f0.cents.value == copy.wer_above_original.value == 0
    assert noise.recognition.wer.value == noise.wer_above_original.value == 1
    assert noise.mel.value > 1
    assert got.row("noise") is noise
    table = resynthesis_table(got)
    assert [column.label for column in table.columns][:3] == ["system", "WER", "WER above original"]
    assert table.rows[0][2] == "–"
    assert "DNSMOS overall" not in [column.label for column in table.columns]
    assert "parrot 1" in table.note


def test_the_table_refuses_what_does_not_fit():
    wave = voice(120, seconds=0.3)
    with pytest.raises(BadInput, match="own row"):
        resynthesis([wave], ["a"], {"original": [wave]}, recogniser=Parrot())
    with pytest.raises(BadInput, match="2 copies of 1"):
        resynthesis([wave], ["a"], {"x": [wave, wave]}, recogniser=Parrot())
