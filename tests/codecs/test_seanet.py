"""SEANet codecs in any pieces give what they give at once; the named ones have the published sizes and rates."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.codecs import audiodec, encodec, hificodec, soundstream, speechtokenizer
from oration.codecs.seanet import SeaNetDecoder, SeaNetEncoder
from oration.core import BadInput, Waveform
from oration.nn.pieces import Chain, join, whole
from oration.nn.recurrent import Lstm

SMALL = {"dim": 6, "filters": 2, "ratios": (3, 2)}
KINDS = {
    "soundstream": {"units": 2, "dilation": 3, "compress": 1, "shortcut": "identity", "lstm": 0, "padding": "zeros"},
    "encodec": {},
    "encodec 48 kHz": {"causal": False, "norm": "time", "channels": 2},
    "speechtokenizer": {"causal": False, "both_ways": True},
    "both ways both": {"both_ways": True, "padding": "zeros", "norm": "none", "activation": "snake"},
}
CODECS = {
    "SOUNDSTREAM": soundstream.SOUNDSTREAM,
    "ENCODEC_24K": encodec.ENCODEC_24K,
    "AUDIODEC_24K": audiodec.AUDIODEC_24K,
    "AUDIODEC_48K_HOP320": audiodec.AUDIODEC_48K_HOP320,
    "AUDIODEC_24K_HIFIGAN": audiodec.AUDIODEC_24K_HIFIGAN,
    "HIFICODEC_24K": hificodec.HIFICODEC_24K,
    "HIFICODEC_16K_320D": hificodec.HIFICODEC_16K_320D,
    "SPEECHTOKENIZER": speechtokenizer.SPEECHTOKENIZER,
}


def in_pieces(layer, x, cuts):
    state, parts, at = layer.start(len(x), x), [], 0
    for cut in [*sorted(cuts), x.shape[1]]:
        y, state = layer.push(x[:, at:cut], state)
        parts.append(y)
        at = cut
    return join([*parts, layer.flush(state)])


@torch.no_grad()
@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    length=st.integers(1, 140),
    cuts=st.lists(st.integers(0, 140), max_size=6),
    seed=st.integers(0, 99),
)
def test_any_cutting_gives_what_one_piece_gives(kind, length, cuts, seed):
    torch.manual_seed(seed)
    encoder = SeaNetEncoder(**SMALL, **KINDS[kind]).build().double()
    decoder = SeaNetDecoder(**SMALL, **KINDS[kind]).build().double()
    x = torch.randn(2, length, KINDS[kind].get("channels", 1), dtype=torch.float64)
    vectors = encoder(x)
    assert vectors.shape == (2, -(-length // 6), 6)
    torch.testing.assert_close(in_pieces(encoder, x, [min(c, length) for c in cuts]), vectors, rtol=0, atol=1e-10)
    y = decoder(vectors)
    assert y.shape == (2, vectors.shape[1] * 6, x.shape[2])
    cuts = [min(c, vectors.shape[1]) for c in cuts]
    torch.testing.assert_close(in_pieces(decoder, vectors, cuts), y, rtol=0, atol=1e-10)
    net = Chain(encoder, decoder)
    torch.testing.assert_close(whole(net, x, 11), net(x), rtol=0, atol=1e-10)


@torch.no_grad()
def test_what_looks_ahead_is_not_called_aligned():
    aligned = {k: SeaNetEncoder(**SMALL, **more).build().aligned for k, more in KINDS.items()}
    assert [kind for kind, is_so in aligned.items() if is_so] == ["soundstream"]
    # Only the mirror image before the first sample keeps EnCodec's encoder from being so.
    assert SeaNetEncoder(**SMALL, padding="zeros").build().aligned
    x, other = torch.randn(1, 120, 1), torch.randn(1, 60, 1)
    net = SeaNetEncoder(**SMALL, padding="zeros").build()
    torch.testing.assert_close(net(torch.cat((x[:, :60], other), 1))[:, :10], net(x)[:, :10])


@torch.no_grad()
@pytest.mark.parametrize("both_ways", [False, True])
def test_the_lstm_is_torchs_and_its_streams_are_reset_one_by_one(both_ways):
    torch.manual_seed(0)
    layer = Lstm(4, 2, both_ways=both_ways)
    x = torch.randn(3, 12, 4)
    wanted = layer.lstm(x)[0] + (torch.cat((x, x), 2) if both_ways else x)
    torch.testing.assert_close(in_pieces(layer, x, [0, 1, 5, 5]), wanted)
    assert layer.aligned != both_ways
    if not both_ways:
        _, state = layer.push(x, layer.start(3, x))
        y, _ = layer.push(x, layer.reset(state, torch.tensor([False, True, False]), x))
        torch.testing.assert_close(y[1], wanted[1])
        assert not torch.allclose(y[0], wanted[0])


@pytest.mark.parametrize("name", sorted(set(CODECS) - {"HIFICODEC_24K", "AUDIODEC_48K_HOP320"}))
def test_a_recording_in_pieces_is_coded_and_said_as_in_one(name):
    torch.manual_seed(0)
    numbers = CODECS[name].tiny()
    model = numbers.build().eval()
    assert {s.rate for s in numbers.specs().values()} == {s.rate for s in CODECS[name].specs().values()}
    rate = numbers.rate
    x = np.random.default_rng(0).normal(size=2000).astype(np.float32) * 0.1
    (example,) = model.encode([Waveform(x, rate)])
    live, said = model.live(), model.speaker()
    parts = [p for a, b in ((0, 7), (7, 900), (900, 2000)) for p in live.push(Waveform(x[a:b], rate))]
    parts += live.flush()
    for level, stream in example.items():
        assert np.array_equal(np.concatenate([part[level].ids for part in parts]), stream.ids)
    waves = [wave for part in parts for wave in said.push(part)] + said.flush()
    (wave,) = model.decode([example])
    assert len(wave) == len(next(iter(example.values()))) * numbers.hop
    np.testing.assert_allclose(np.concatenate([w.samples for w in waves]), wave.samples, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "levels", "hertz", "bits", "millions"),
    [
        ("SOUNDSTREAM", 8, 75, 6000, None),
        ("ENCODEC_24K", 32, 75, 24000, 14.9),
        ("AUDIODEC_24K", 8, 80, 6400, None),
        ("AUDIODEC_48K_HOP320", 16, 150, 24000, None),
        ("HIFICODEC_24K", 4, 100, 4000, None),
        ("HIFICODEC_16K_320D", 4, 50, 2000, None),
        ("SPEECHTOKENIZER", 8, 50, 4000, 103.7 - 0.79),  # less the projection to its teacher
    ],
)
def test_named_codecs_have_the_published_rates(name, levels, hertz, bits, millions):
    codec = CODECS[name]
    specs = list(codec.specs().values())
    assert len(specs) == levels
    assert {spec.rate for spec in specs} == {Fraction(hertz)}
    assert levels * hertz * np.log2(specs[0].size) == bits
    if millions is not None:
        with torch.device("meta"):
            count = sum(p.numel() for p in codec.build().parameters())
        assert count == pytest.approx(millions * 1e6, rel=0.03)


def test_a_width_that_cannot_be_compressed_is_refused():
    with pytest.raises(BadInput, match="compress divides"):
        SeaNetEncoder(filters=3)
