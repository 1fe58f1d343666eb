import pytest
import torch

from oration.core import BadInput
from oration.tokenizers.cpc import CpcEncoder
from oration.tokenizers.encoder import CausalEncoder
from oration.tokenizers.phonetic import PhoneticEncoder


def model(**numbers):
    torch.manual_seed(0)
    return PhoneticEncoder(
        **{"dim": 16, "layers": 2, "heads": 2, "ffn": 24, "window": 8, "bands": 20} | numbers
    ).build()


def test_the_default_has_the_size_it_says():
    parameters = sum(p.numel() for p in PhoneticEncoder().build().parameters())
    assert round(parameters / 1e6, 1) == 3.6
    assert sum(p.numel() for p in CpcEncoder().build().parameters()) == parameters


@pytest.mark.parametrize("lookahead", [0, 3])
def test_a_frame_sees_its_look_ahead_and_no_further(lookahead):
    encoder = model(lookahead=lookahead).eval()
    wave = torch.randn(1, 320 * 20)
    changed = wave.clone()
    changed[0, 320 * 12 :] += 1.0
    with torch.no_grad():
        differs = (encoder.features(wave) - encoder.features(changed)).abs().sum(-1)[0] > 1e-6
    assert int(differs.nonzero()[0]) == 12 - lookahead


def test_live_gives_each_frame_as_soon_as_its_look_ahead_is_in():
    live = model().live()
    given = [len(live.push(torch.randn(320))) for _ in range(6)]
    assert given == [0, 0, 0, 1, 1, 1]
    assert len(live.flush()) == 3
    assert len(live.push(torch.randn(320 * 5))) == 2  # flush made it ready for another recording


def test_memory_of_a_live_stream_does_not_grow():
    live = model().live()
    sizes = set()
    for _ in range(30):
        live.push(torch.randn(4000))
        sizes.add((live.cache.capacity, live.first.shape[1], live.second.shape[1], live.mel.kept.numel() < 400))
    assert {size[0] for size in sizes} == {24}
    assert max(size[1] for size in sizes) <= 5
    assert all(size[3] for size in sizes)


def test_live_works_while_training_goes_on():
    encoder = model(dropout=0.5).train()
    wave = torch.randn(320 * 9)
    first, second = ([encoder.live().push(wave)] for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert encoder.training


def test_an_earlier_layer_can_give_the_features():
    last, first = model(), model(layer=1)
    first.load_state_dict(last.state_dict())
    wave = torch.randn(1, 3200)
    with torch.no_grad():
        assert not torch.allclose(last.eval().features(wave), first.eval().features(wave))
    with pytest.raises(BadInput, match="layer is 3, expected 1 to 2"):
        CausalEncoder(layers=2, layer=3)


def test_calibration_is_the_mean_and_variance_of_all_frames_seen_and_then_stops():
    encoder = model(calibration=250)
    waves = torch.randn(3, 2, 16000) * torch.linspace(0.1, 1, 80).repeat_interleave(200)
    seconds = torch.tensor([1.0, 0.5])
    for batch in waves[:2]:
        encoder.calibrate(batch, seconds)
    mels = torch.cat([torch.cat([encoder.mel(b)[0], encoder.mel(b)[1, :50]]) for b in waves[:2]])
    assert int(encoder.seen) == len(mels) == 300
    torch.testing.assert_close(encoder.mean, mels.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encoder.variance, mels.var(0, unbiased=False), rtol=1e-3, atol=1e-4)
    before = encoder.mean.clone()
    encoder.calibrate(waves[2], seconds)
    assert torch.equal(encoder.mean, before)


def test_normal_is_float32_under_autocast():
    encoder = model()
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder.normal(encoder.mels(torch.randn(1, 3200))).dtype == torch.float32
        assert encoder.features(torch.randn(1, 3200)).dtype == torch.float32
