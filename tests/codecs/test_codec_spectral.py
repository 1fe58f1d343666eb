"""Codec nets over spectra keep their rates and stream exactly."""

import pytest
import torch

from oration.codecs.spectral import SpectralDecoder, SpectralEncoder
from oration.core import BadInput
from oration.nn.pieces import Chain, join

SMALL = {"width": 6, "inner": 8, "dim": 4, "layers": (1, 1, 1), "kernel": 3, "fft": 40, "hop": 10}


@torch.no_grad()
@pytest.mark.parametrize("strides", [(2, 2), (2, 1), (1, 1)])
@pytest.mark.parametrize("late", [{}, {"back": 15, "ahead": 1}])
def test_pieces_equal_the_whole_and_do_not_see_the_future(strides, late):
    torch.manual_seed(0)
    encoder = SpectralEncoder(**SMALL, strides=strides)
    decoder = SpectralDecoder(**SMALL, strides=strides[::-1], **late)
    assert encoder.stride == decoder.stride == 10 * strides[0] * strides[1]
    net = Chain(encoder.build(), decoder.build()).double()
    assert net.aligned == (not late)
    assert net.layers[0].aligned
    x = torch.randn(2, 405, 1, dtype=torch.float64)
    frames = net.layers[0](x)
    assert frames.shape == (2, -(-405 // encoder.stride), 4)
    whole = net(x)
    assert whole.shape == (2, frames.shape[1] * encoder.stride, 1)
    state, parts, at = net.start(2, x), [], 0
    for cut in (1, 1, 33, 80, 240, 405):
        y, state = net.push(x[:, at:cut], state)
        parts.append(y)
        at = cut
    torch.testing.assert_close(join([*parts, net.flush(state)]), whole, rtol=0, atol=1e-10)
    if not late:
        other = torch.cat((x[:, :200], torch.randn(2, 205, 1, dtype=torch.float64)), 1)
        torch.testing.assert_close(net(other)[:, :200], whole[:, :200])


def test_a_tiny_one_has_the_same_rates():
    encoder, decoder = SpectralEncoder(), SpectralDecoder(strides=(2, 1), back=240)
    assert encoder.tiny().stride == encoder.stride == 640
    assert decoder.tiny().stride == decoder.stride == 320
    assert sum(p.numel() for p in encoder.tiny().build().parameters()) < 30_000


def test_every_rate_needs_its_blocks():
    with pytest.raises(BadInput, match="3 rates"):
        SpectralEncoder(layers=(4, 4))
