"""Segments that overlap: any cutting gives the same bits, two channels stay two, loudness travels beside the codes."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.codecs.encodec import ENCODEC_48K
from oration.core import BadInput, Stream, Waveform
from oration.core.container import Reader, Writer, read
from oration.core.spec import TICKS

SHORT = replace(ENCODEC_48K.tiny(), segment=0.02, overlap=0.1)
RATE, LENGTH, STEP = SHORT.rate, SHORT.length, SHORT.step


@cache
def model():
    torch.manual_seed(0)
    built = SHORT.build().eval()
    with torch.no_grad():
        for level in built.quantizer.levels:
            level.codebook.normal_()
    return built


def noise(length, seed=0, loud=0.1):
    return Waveform(loud * np.random.default_rng(seed).standard_normal(length).astype(np.float32), RATE)


def stereo(length, seed=0):
    return noise(length, seed, 0.2), noise(length, seed + 1, 0.05)


def cut(wave, at):
    return [Waveform(part, RATE) for part in np.split(wave.samples, at)]


def same(left, right):
    assert list(left) == list(right)
    for name in left:
        assert np.array_equal(left[name].ids, right[name].ids)
        assert np.array_equal(left[name].values, right[name].values)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3 * STEP + LENGTH), st.data())
def test_any_cutting_of_sound_and_codes_gives_the_same_bits(length, data):
    left, right = stereo(length)
    at = sorted(data.draw(st.lists(st.integers(0, length), max_size=5)))
    (whole,) = model().encode([(left, right)])
    live = model().live()
    parts = [p for pair in zip(cut(left, at), cut(right, at), strict=True) for p in live.push(pair)]
    same(model()._joined([*parts, *live.flush()]), whole)
    segments = -(-length // STEP)
    ends = [min(LENGTH, length - first) for first in range(0, length, STEP)]
    assert len(whole["codec.scale"]) == segments
    assert len(whole["codec.0"]) == sum(-(-end // SHORT.hop) for end in ends)
    (sides,) = model().decode_channels([whole])
    speaker, said = model().speaker(), []
    frames = SHORT.frames
    size = data.draw(st.integers(1, 7))
    for first in range(0, segments * SHORT.whole_segment, size):
        piece = {n: s.cut(first // frames[n], (first + size) // frames[n]) for n, s in whole.items()}
        said += speaker.push_channels(piece)
    said += speaker.push_channels({"codec.scale": whole["codec.scale"].cut((first + size) // SHORT.whole_segment)})
    said += speaker.flush_channels()
    for number, side in enumerate(sides):
        assert len(side) >= length
        assert np.array_equal(np.concatenate([pair[number].samples for pair in said]), side.samples)


def test_one_channel_is_heard_on_both_and_loudness_is_told_beside_the_codes():
    wave = noise(2 * STEP + 100)
    one, two = model().encode([wave, (wave, wave)])
    same(one, two)
    (loud,) = model().encode([Waveform(4 * wave.samples, RATE)])
    assert all(np.array_equal(loud[name].ids, one[name].ids) for name in SHORT.streams)
    np.testing.assert_allclose(loud["codec.scale"].values, 4 * one["codec.scale"].values, rtol=1e-5)
    (quiet,), (sound,) = (model().decode([example])[0].samples for example in (one,)), model().decode([loud])[:1]
    np.testing.assert_allclose(sound.samples, 4 * quiet, rtol=1e-4, atol=1e-5)


def test_without_scales_all_segments_are_spoken_alike():
    (example,) = model().encode([noise(2 * STEP)])
    levels = {name: example[name] for name in SHORT.streams}
    alike = {**levels, "codec.scale": Stream.dense(np.full((len(example["codec.scale"]), 1), 0.1))}
    left, right = model().decode([levels, alike])
    np.testing.assert_allclose(left.samples, right.samples, atol=1e-6)


def test_where_two_segments_overlap_one_fades_into_the_other():
    (example,) = model().encode([noise(2 * STEP)])
    at = SHORT.whole_segment // np.array(list(SHORT.frames.values()))
    halves = [
        {
            name: stream.cut(n * items, (n + 1) * items)
            for (name, stream), items in zip(example.items(), at, strict=True)
        }
        for n in range(2)
    ]
    (sound,), (first,), (second,) = (model().decode([part]) for part in ({**example}, *halves))
    np.testing.assert_allclose(sound.samples[:STEP], first.samples[:STEP], atol=1e-5)
    np.testing.assert_allclose(sound.samples[LENGTH:], second.samples[LENGTH - STEP :], atol=1e-5)
    shared = LENGTH - STEP
    rise = np.arange(1, shared + 1) / (shared + 1)  # one triangle falls as the other rises
    faded = (1 - rise) * first.samples[STEP:] + rise * second.samples[:shared]
    np.testing.assert_allclose(sound.samples[STEP:LENGTH], faded, atol=1e-4)


def test_a_file_holds_codes_and_scales(tmp_path):
    (example,) = model().encode([noise(4 * STEP)])
    specs = SHORT.specs()
    with Writer(tmp_path / "a.orat", specs, recipe="x", rate=RATE) as out:
        out.push(example, samples=4 * STEP)
    same(read(tmp_path / "a.orat").example, example)
    with Reader(tmp_path / "a.orat") as file:
        assert file.about.specs == specs
    pace = ENCODEC_48K.specs()
    assert pace["codec.0"].onsets(151)[150] == pace["codec.scale"].onsets(2)[1] == TICKS * 99 // 100


def test_what_cannot_be_is_refused():
    (example,) = model().encode([noise(2 * STEP)])
    with pytest.raises(BadInput, match=r"'codec.scale' tells the loudness of 9 segments, but 6 items"):
        model().decode([{**example, "codec.scale": Stream.dense(np.ones((9, 1)))}])
    with pytest.raises(BadInput, match="3 channels, expected 1 or 2"):
        model().encode([(noise(5), noise(5), noise(5))])
    with pytest.raises(BadInput, match="channels of a piece are equally long"):
        model().live().push((noise(5), noise(6)))
    live = model().live()
    live.push(noise(5))
    with pytest.raises(BadInput, match="2 channels, expected 1 or 2 and in all pieces the same"):
        live.push(stereo(5))


def test_it_is_trained_as_any_codec_with_gradients_to_both_sides():
    built = SHORT.build().train()
    for level in built.quantizer.levels:
        level.start(torch.randn(64, SHORT.dim))
    made = built({"wave": torch.randn(2, LENGTH) * 0.1})
    assert made.wave.shape == (2, LENGTH)
    (made.wave.square().mean() + made.losses["commitment"]).backward()
    assert all(weight.grad is not None for weight in built.parameters() if weight.requires_grad)
    assert (built.delay, built.late, built.aligned) == (0.02, 0.02, False)
