"""FunCodec's codecs by name: rates, what they hold until the end, and that they train."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from oration.codecs.funcodec import (
    FREQCODEC,
    FREQCODEC_GR1,
    FREQCODEC_GR8,
    FUNCODEC_DS320,
    FUNCODEC_DS640,
    FreqDecoder,
    FreqEncoder,
)
from oration.core import Waveform


@pytest.mark.parametrize(
    ("codec", "rate"), [(FUNCODEC_DS320, 50), (FUNCODEC_DS640, 25), (FREQCODEC, 50), (FREQCODEC_GR1, 50)]
)
def test_the_published_rates_and_levels(codec, rate):
    specs = codec.specs()
    assert len(specs) == 32
    assert {(spec.size, spec.rate) for spec in specs.values()} == {(1024, rate)}


@pytest.mark.parametrize(
    ("codec", "encoder", "decoder"),
    [(FREQCODEC, 8_111_504, 8_111_129), (FREQCODEC_GR1, 515_792, 3_396_953), (FREQCODEC_GR8, 833_424, 3_470_873)],
)
def test_as_many_parameters_as_the_authors_code_has(codec, encoder, decoder):
    with torch.device("meta"):
        model = codec.build()
    assert sum(p.numel() for p in model.encoder.parameters()) == encoder
    assert sum(p.numel() for p in model.decoder.parameters()) == decoder


@pytest.mark.parametrize("seconds", [0.005, 0.5, 0.77])
def test_any_cutting_gives_the_same(seconds):
    torch.manual_seed(0)
    model = FREQCODEC_GR1.tiny().build().eval()
    wave = np.random.default_rng(0).standard_normal(round(16_000 * seconds)).astype(np.float32) * 0.1
    example = model.encode([Waveform(wave, 16_000)])[0]
    frames = -(-len(wave) // 320) + 1
    assert {len(stream) for stream in example.values()} == {frames}
    live, parts = model.live(), []
    for part in np.array_split(wave, 5):
        parts += live.push(Waveform(part, 16_000))
    assert not parts  # norms see the whole recording
    parts = live.flush()
    assert {name: len(stream) for name, stream in parts[0].items()} == dict.fromkeys(example, frames)
    assert parts[0]["codec.0"].ids.tolist() == example["codec.0"].ids.tolist()
    sound = model.decode([example], levels=2)[0].samples
    assert len(wave) <= len(sound) == (2 * frames - 1) * 160


@torch.no_grad()
def test_levelled_codes_do_not_tell_how_loud_it_was():
    torch.manual_seed(0)
    net = FreqEncoder(level=True).tiny().build().eval()
    x = torch.randn(1, 3200, 1) * 0.1
    torch.testing.assert_close(net(x), net(x * 0.2), rtol=0, atol=1e-3)
    plain = FreqEncoder().tiny().build().eval()
    assert not torch.allclose(plain(x), plain(x * 0.2), atol=1e-3)


@pytest.mark.parametrize("phase", ["cosine and sine", "angle"])
def test_it_trains(phase):
    encoder, decoder = FreqEncoder(phase=phase).tiny(), FreqDecoder(phase=phase).tiny()
    model = replace(FREQCODEC.tiny(), encoder=(encoder,), decoder=(decoder,)).build().train()
    made = model({"wave": torch.randn(2, 4800) * 0.1})
    assert made.wave.shape == (2, 4800)
    (made.wave.square().mean() + sum(made.losses.values())).backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is not None and g.isfinite().all() for g in grads.values())
