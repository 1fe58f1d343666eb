"""Copies by a codec are measured beside the best that needs no listening, and in pieces."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from oration.codecs.awaken import awaken
from oration.codecs.dac import DAC_16K
from oration.codecs.encodec import ENCODEC_24K_3KBPS
from oration.codecs.snac import SNAC_24K
from oration.codecs.ts3 import TS3
from oration.core import Waveform
from oration.evaluate.copies import Copied, copied, live


def voices(rate, count=4):
    time = np.arange(rate) / rate
    loud = [np.maximum(0.05, np.sin(2 * np.pi * (2 + n) * time)) for n in range(count)]
    chance = np.random.default_rng(0)
    return [Waveform((0.05 * gain * chance.standard_normal(rate)).astype(np.float32), rate) for gain in loud]


def model_of(codec):
    torch.manual_seed(0)
    model = codec.tiny().build()
    awaken(model, torch.from_numpy(np.stack([wave.samples for wave in voices(model.rate)])))
    return model


@pytest.mark.parametrize(
    ("codec", "way"), [(TS3, "frame by frame"), (DAC_16K, "late"), (SNAC_24K, "late"), (ENCODEC_24K_3KBPS, "late")]
)
def test_what_comes_in_pieces_is_the_same_or_it_is_not_live(codec, way, monkeypatch):
    model = model_of(codec)
    wave = voices(model.rate)[1]
    assert live(model, wave) == way
    hears = model.live

    def lossy():
        found = hears()
        push = found.push
        found.push = lambda wave: push(Waveform(wave.samples[: len(wave) // 2], wave.rate))
        return found

    monkeypatch.setattr(model, "live", lossy)
    assert live(model, wave) == ""


class Perfect:
    """Gives back what it was given."""

    def __init__(self, model, change=lambda samples: samples):
        self.model, self.change, self.waves = model, change, []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def encode(self, waves):
        self.waves = list(waves)
        return self.model.encode(waves)

    def decode(self, examples):
        return [Waveform(self.change(wave.samples), wave.rate) for wave in self.waves]


def test_the_speech_itself_is_nearest_and_what_is_as_usual_is_in_between():
    model = model_of(TS3)
    known = voices(model.rate)
    perfect = copied("codec", Perfect(model), known, known)
    assert perfect.nats == 0 < perfect.flat
    assert perfect.whole
    assert perfect.kbps == pytest.approx(4 * 50 / 1000)
    louder = copied("codec", Perfect(model, lambda samples: 2 * samples), known, known)
    assert louder.nats == pytest.approx(np.log(2), abs=0.02)
    assert louder.flat == perfect.flat
    short = copied("codec", Perfect(model, lambda samples: samples[: len(samples) // 2]), known, known)
    assert not short.whole


def test_it_holds_if_it_is_nearer_whole_and_live():
    good = Copied("codec", 0.9, 1.0, 1.5, True, "late")
    assert good.holds
    assert not any(replace(good, **bad).holds for bad in ({"nats": 1.1}, {"whole": False}, {"live": ""}))
