"""SpeechLM: blocks equal the whole, two hours take bounded memory, and odd recordings get an answer."""

import subprocess
import sys

import numpy as np
import pytest

from oration.audio.io import read
from oration.core import BadInput, Stream, Waveform
from oration.demo import SAMPLES
from oration.generate import Sampler
from oration.model import DEFAULT, SpeechLM
from oration.recipe import find


@pytest.fixture(scope="module")
def model(tiny_model):
    return SpeechLM.load(tiny_model)


def test_a_recording_in_blocks_gives_the_streams_of_the_whole(model, hum):
    long = Waveform(np.tile(hum.samples, 40), hum.rate)
    whole = model.encode([long])[0]
    pieces = model.encode_blocks(long.cut(i * 7.31, (i + 1) * 7.31) for i in range(11))
    assert set(pieces) == set(whole)
    for name in whole:
        assert np.array_equal(pieces[name].ids, whole[name].ids), name


@pytest.mark.parametrize("weights", ["fp32", "bf16", "int8"])
def test_a_language_model_laid_out_for_speed_is_for_use_alone(tiny_model, model, hum, tmp_path, weights):
    fast = SpeechLM.load(tiny_model, weights=weights)
    (want,), (got,) = model.score([hum]), fast.score([hum])
    assert got.total.count == want.total.count
    assert abs(got.total.mean - want.total.mean) < {"fp32": 1e-5, "bf16": 1e-2, "int8": 3e-2}[weights]
    assert fast.reply(hum, seconds=0.5, sampler=Sampler(temperature=0.8)).continuation.seconds > 0
    with pytest.raises(BadInput, match=f"has weights='{weights}' for use alone"):
        fast.save(tmp_path)
    with pytest.raises(BadInput, match="weights='int4' is no precision"):
        SpeechLM.load(tiny_model, weights="int4")


@pytest.mark.slow
def test_two_hours_are_encoded_in_bounded_memory(tiny_model, tmp_path):
    """Twelve times as long must not need more memory than the blocks and the tokens do."""
    code = """
import resource, sys
import numpy as np
from oration.core import Waveform
from oration.audio.io import read
from oration.demo import SAMPLES
from oration.model import DEFAULT, SpeechLM
from oration.recipe import find
model = SpeechLM.load(sys.argv[1])
minute = Waveform((0.1 * np.sin(np.arange(60 * 16000) / 20)).astype(np.float32), 16000)
peaks = []
for minutes in (10, 120):
    example = model.encode_blocks(minute for _ in range(minutes))
    assert len(example["units"]) == minutes * 3000, len(example["units"])
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(*peaks)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tiny_model)], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    short, long = map(float, done.stdout.split())
    assert long - short < 40, f"peak memory grew from {short:.0f} to {long:.0f} MiB"


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_any_rate_is_resampled(model, hum, rate):
    wave = Waveform(np.interp(np.arange(2 * rate) / rate, np.arange(len(hum)) / hum.rate, hum.samples), rate)
    example = model.encode([wave])[0]
    assert len(example["units"]) == 100
    assert len(example["f0"]) == 200
    assert model.resynthesize(wave).seconds == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("samples", [np.zeros(16_000), np.zeros(1), np.sign(np.sin(np.arange(16_000) / 9))])
def test_silence_one_sample_and_clipping_come_back_as_long_as_they_were(model, samples):
    wave = Waveform(samples, 16_000)
    again = model.resynthesize(wave)
    assert abs(len(again) - len(wave)) <= 320
    assert np.isfinite(again.samples).all()


def test_an_empty_prompt_is_refused_in_one_sentence(model):
    with pytest.raises(BadInput, match=r"a prompt of 0.000 s holds no unit; give at least"):
        model.reply(Waveform(np.zeros(0), 16_000), seconds=1.0)


def test_a_prompt_beyond_the_context_is_refused_before_any_work(model, hum):
    with pytest.raises(BadInput, match="shorten the prompt"):
        model.reply(hum, seconds=100_000.0)


def test_a_reply_that_no_symbol_ends_is_as_long_as_asked(hum):
    model = SpeechLM(find("csm").tiny())  # its frames end with one of zeros, which an untrained model never draws
    new = model.reply(hum.cut(0.0, 1.0), text="ah see", seconds=0.5).new
    assert {len(stream) for stream in new.values()} == {7}  # at 12.5 Hz


def test_another_voice_is_a_name_the_model_knows(model, hum):
    assert not np.array_equal(
        model.resynthesize(hum, voice="rms").samples, model.resynthesize(hum, voice="kathleen").samples
    )
    with pytest.raises(BadInput, match="speaker 'nobody' is not in the table; it has kathleen"):
        model.resynthesize(hum, voice="nobody")


def test_a_missing_stream_is_named(model):
    with pytest.raises(BadInput, match=r"nothing gives 'units.runs', needed by"):
        model.decode([{"f0": Stream(np.zeros(10, int))}])


def test_an_unknown_part_is_named(model):
    with pytest.raises(BadInput, match="has no part 'tokenizer'; it has units, f0, speaker"):
        model.part("tokenizer")


def test_the_shipped_model_is_the_recipe_pocket_and_small():
    shipped = SpeechLM.load()
    assert shipped.recipe == find("pocket")
    assert sum(path.stat().st_size for path in DEFAULT.iterdir()) < 30e6
    speech = read(SAMPLES / "kathleen-arctic_a0479.flac", rate=shipped.rate)
    backwards = Waveform(speech.samples[::-1].copy(), speech.rate)
    forth, back = (score.total.mean for score in shipped.score([speech, backwards]))
    assert forth > back + 0.3, "speech should be likelier than the same speech backwards"
