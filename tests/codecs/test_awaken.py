"""A start from which sound reaches the codes, and is as loud as it came."""

import pytest
import torch

from oration.codecs.awaken import awaken
from oration.codecs.dac import DAC_16K
from oration.codecs.encodec import ENCODEC_24K_3KBPS
from oration.codecs.mimi import MIMI
from oration.codecs.wavtokenizer import WAVTOKENIZER_40


def speech(rate, rows=6):
    """Quiet noise whose loudness and brightness change."""
    chance = torch.Generator().manual_seed(3)
    time = torch.arange(rate) / rate
    loud = torch.sin(2 * torch.pi * (2 + torch.arange(rows))[:, None] * time).clamp_min(0.05)
    return 0.05 * loud * torch.randn(rows, rate, generator=chance)


@pytest.mark.parametrize("codec", [DAC_16K, ENCODEC_24K_3KBPS, MIMI, WAVTOKENIZER_40], ids=lambda c: str(c.hop))
def test_vectors_differ_codes_say_something_and_nothing_is_loud(codec):
    torch.manual_seed(1)
    model = codec.tiny().build()
    wave = speech(model.rate)
    before = model.encoder(wave[..., None]).std(1).mean()
    awaken(model, wave)
    assert not model.training
    with torch.no_grad():
        vectors = model.encoder(torch.nn.functional.pad(wave, (0, -wave.shape[1] % model.hop))[..., None])
        codes = model.quantizer.encode(vectors)
        sound = model.decoder(model.quantizer.decode(codes))
    assert vectors.std(1).mean() > 10 * before
    assert 0.2 < vectors.std(1).mean() < 5
    assert all(len(row.unique()) > 4 for row in codes), "hardly any codeword is used"
    assert sound.std() < 3 * wave.std()
