"""What every codec promises. Any `Codec` that a file in oration/codecs/ names is found and checked at its smallest."""

import importlib
import pkgutil
from functools import cache

import numpy as np
import pytest
import torch

import oration.codecs
from oration.codecs import Codec
from oration.core import BadInput, Stream, Tokenizer, Waveform

CLOSE = 2e-4
"""float32 through nets whose weights are random: their sound may be of any size, so it is measured in its own."""


def named() -> dict[str, Codec]:
    modules = (
        importlib.import_module(f"oration.codecs.{m.name}") for m in pkgutil.iter_modules(oration.codecs.__path__)
    )
    return {name: value for module in modules for name, value in vars(module).items() if isinstance(value, Codec)}


CODECS = named()


@cache
def built(name):
    torch.manual_seed(5)
    model = CODECS[name].tiny().build().eval()
    with torch.no_grad():  # codebooks that were never fitted give one code for everything
        vectors = model.encoder(model.heard(torch.from_numpy(noise(4.0, model.rate, 9).samples)[None]))
        model.quantizer.train()
        for _ in range(12):
            found = model.quantizer(vectors[:, : vectors.shape[1] // model.numbers.block * model.numbers.block])
            if not any((codes < 0).all() for codes in found.codes):
                break
    return model.eval()


def noise(seconds, rate, seed=0):
    rng = np.random.default_rng(seed)
    envelope = np.clip(np.sin(np.arange(round(seconds * rate)) / rate * 9), 0.05, 1)
    return Waveform((0.2 * envelope * rng.standard_normal(len(envelope))).astype(np.float32), rate)


def same_sound(left, right):
    assert len(left) == len(right)
    size = max(1e-3, float(np.abs(right.samples).max(initial=0)))
    assert np.abs(left.samples - right.samples).max(initial=0) <= CLOSE * size


def joined(parts):
    return {name: np.concatenate([part[name].ids for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("name", CODECS)
def test_it_gives_the_streams_it_promises_and_a_batch_gives_what_single_calls_give(name):
    model, numbers = built(name), built(name).numbers
    assert isinstance(model, Tokenizer)
    waves = [noise(seconds, numbers.rate, i) for i, seconds in enumerate((0.25, 0.05))]
    examples = model.encode(waves)
    for wave, example in zip(waves, examples, strict=True):
        assert list(example) == list(numbers.specs())
        (alone,) = model.encode([wave])
        assert list(numbers.frames) == list(numbers.specs())
        for (stream, spec), stride in zip(numbers.specs().items(), numbers.frames.values(), strict=True):
            example[stream].verify(stream, spec)
            assert np.array_equal(example[stream].ids, alone[stream].ids)
            assert np.array_equal(example[stream].values, alone[stream].values)
            assert len(example[stream]) * stride * numbers.hop >= len(wave) - numbers.hop
    sounds = model.decode(examples)
    for sound, example in zip(sounds, examples, strict=True):
        assert sound.rate == numbers.rate == numbers.vocoder().rate
        assert np.isfinite(sound.samples).all()
        same_sound(sound, model.decode([example])[0])


@pytest.mark.parametrize("name", CODECS)
def test_any_cutting_gives_what_one_piece_gives(name):
    model, numbers = built(name), built(name).numbers
    wave = noise(0.3, numbers.rate, 3)
    (example,) = model.encode([wave])
    rng = np.random.default_rng(len(name))
    cuts = np.sort(rng.integers(0, len(wave), 5))
    live, parts = model.live(), []
    for start, stop in zip([0, *cuts], [*cuts, len(wave)], strict=True):
        parts += live.push(Waveform(wave.samples[start:stop], wave.rate))
    parts += live.flush()
    for stream, ids in joined(parts).items():
        agree = (ids == example[stream].ids).mean() if len(ids) else 1.0
        assert len(ids) == len(example[stream])
        assert agree >= 0.97, (
            f"{stream}: {agree:.0%} of the codes"
        )  # a tie may fall otherwise where sums are ordered so
    speaker, sound = model.speaker(), []
    for first in range(0, max(len(example[s]) * frames for s, frames in numbers.frames.items()), numbers.block):
        last = first + numbers.block
        sound += speaker.push(
            {s: example[s].cut(first // frames, last // frames) for s, frames in numbers.frames.items()}
        )
    sound += speaker.flush()
    (whole,) = model.decode([example])
    same_sound(Waveform(np.concatenate([w.samples for w in sound]), numbers.rate), whole)


@pytest.mark.parametrize("name", CODECS)
def test_fewer_levels_say_less_and_what_cannot_be_decoded_is_refused(name):
    model, numbers = built(name), built(name).numbers
    (example,) = model.encode([noise(0.2, numbers.rate)])
    first = numbers.streams[0]
    (least,) = model.decode([example], levels=1)
    (alone,) = model.decode([{name: s for name, s in example.items() if name not in numbers.streams[1:]}])
    same_sound(least, alone)
    with pytest.raises(BadInput, match=rf"decodes '{first}' at least, but the example has"):
        model.decode([{}])
    size = numbers.specs()[first].size
    wrong = {**example, first: Stream(np.full_like(example[first].ids, size))}
    with pytest.raises(BadInput, match=rf"'{first}'.*{size}"):
        model.decode([wrong])
    if len(numbers.streams) > 1:
        last = numbers.streams[-1]
        short = {**example, last: Stream(np.tile(example[last].ids, 9))}
        with pytest.raises(BadInput, match="differ in length, expected the same"):
            model.decode([short])


@pytest.mark.parametrize("name", CODECS)
def test_any_rate_of_sound_and_hardly_any_sound(name):
    model, numbers = built(name), built(name).numbers
    for wave in (noise(0.1, 8_000), noise(0.1, 48_000), Waveform(np.full(3, 0.1, np.float32), numbers.rate)):
        (example,) = model.encode([wave])
        assert all(len(stream) >= 1 for stream in example.values())
        assert len(model.decode([example])[0])
    (nothing,) = model.encode([Waveform(np.zeros(0, np.float32), numbers.rate)])
    assert not any(map(len, nothing.values()))
    assert not len(model.decode([nothing])[0])


def test_a_codec_of_more_levels_than_its_quantizer_is_refused():
    codec = next(iter(CODECS.values()))
    with pytest.raises(BadInput, match=r"levels=99 streams, expected 1 to its quantizer's"):
        type(codec)(encoder=codec.encoder, quantizer=codec.quantizer, decoder=codec.decoder, dim=codec.dim, levels=99)
