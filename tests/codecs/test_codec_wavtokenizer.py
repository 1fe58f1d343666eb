"""WavTokenizer keeps its promises: rates, any cutting, long recordings by stretches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from oration.codecs.wavtokenizer import WAVTOKENIZER_40, WAVTOKENIZER_75
from oration.core import Spec, Stream, Waveform


@pytest.mark.parametrize(("codec", "rate"), [(WAVTOKENIZER_40, 40), (WAVTOKENIZER_75, 75)])
def test_one_level_of_4096(codec, rate):
    assert codec.specs() == {"codec.0": Spec(4096, rate)}
    assert codec.tiny().specs()["codec.0"].rate == rate


@pytest.mark.parametrize("stretch", [1000, 15])
def test_any_cutting_gives_the_same_codes_and_sound(stretch):
    torch.manual_seed(0)
    codec = WAVTOKENIZER_75.tiny()
    model = replace(codec, decoder=(replace(codec.decoder[0], stretch=stretch),)).build().eval()
    wave = np.random.default_rng(0).standard_normal(17_111).astype(np.float32) * 0.1
    example = model.encode([Waveform(wave, 24_000)])[0]
    assert len(example["codec.0"]) == -(-17_111 // 320)
    live, ids = model.live(), []
    for part in np.array_split(wave, 7):
        ids += [e["codec.0"].ids for e in live.push(Waveform(part, 24_000))]
    ids += [e["codec.0"].ids for e in live.flush()]
    assert np.concatenate(ids).tolist() == example["codec.0"].ids.tolist()
    whole = model.decode([example])[0].samples
    assert len(whole) == 320 * len(example["codec.0"])
    speaker, parts = model.speaker(), []
    for at in range(0, len(example["codec.0"]), 9):
        parts += speaker.push({"codec.0": Stream(example["codec.0"].ids[at : at + 9])})
    parts += speaker.flush()
    np.testing.assert_allclose(np.concatenate([p.samples for p in parts]), whole, atol=1e-5)


def test_it_trains():
    model = WAVTOKENIZER_40.tiny().build().train()
    made = model({"wave": torch.randn(2, 24_000) * 0.1})
    assert made.wave.shape == (2, 24_000)
    (made.wave.square().mean() + sum(made.losses.values())).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert not missing
