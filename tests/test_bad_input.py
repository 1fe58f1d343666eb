"""What cannot work is said in one sentence, before any training starts."""

from dataclasses import replace

import numpy as np
import pytest

from oration.audio.io import write
from oration.core import BadInput, Stream, Waveform
from oration.data.manifest import Clip, write_manifest
from oration.fit import fit
from oration.layouts import Layout, Line, Stack, Time, Weave
from oration.model import SpeechLM
from oration.recipe import find
from oration.streams import Dedup
from oration.tasks import Task
from oration.tokenizers import TextPieces


@pytest.fixture
def data(tmp_path):
    """Two clips at different sample rates, one of them with word times."""
    rng, clips = np.random.default_rng(0), []
    for number, rate in enumerate((16_000, 22_050)):
        wave = Waveform((0.1 * rng.standard_normal(rate)).astype(np.float32), rate)
        path = write(wave, tmp_path / f"{number}.wav")
        words = ((0.1, 0.4, "ah"), (0.5, 0.8, "see")) if number else ()
        clips.append(Clip(str(number), path, 1.0, "train", "ann", "ah see", words=words))
    write_manifest(clips, tmp_path / "manifest.jsonl")
    return tmp_path


def with_task(layout, predict, tokenizers=(), operations=()):
    """A tiny GSLM whose language model has another task."""
    recipe = find("gslm").tiny()
    task = Task(name="odd", layout=layout, predict=predict, operations=operations)
    lm = replace(recipe.lms[0], tasks=(task,))
    return replace(recipe, tokenizers=(*recipe.tokenizers, *tokenizers), lms=(lm,))


def refused(recipe, data):
    """The sentence, after which nothing was written."""
    with pytest.raises(BadInput) as caught:
        fit(recipe, data, data / "out")
    assert not (data / "out").exists(), "something was done before the mistake was found"
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_a_stream_that_nobody_gives(data):
    said = refused(with_task(Layout((Line("codec.0"),)), ("codec.0",)), data)
    assert "'codec.0'" in said
    assert "nothing gives it" in said
    operation = with_task(Layout((Line("codec.0.runs"),)), ("codec.0.runs",), operations=(Dedup(stream="codec.0"),))
    assert "needs the stream 'codec.0'" in refused(operation, data)


def test_a_delay_longer_than_the_clip(data):
    said = refused(with_task(Layout((Stack(("units", "f0"), (0, 500)),)), ("units", "f0")), data)
    assert "delay" in said


def test_text_without_times_where_times_are_needed(data):
    woven = Layout((Weave(("text", "units"), by=Time()),))
    said = refused(with_task(woven, ("text", "units"), (TextPieces(),)), data)
    assert "clip '0'" in said
    assert "'text'" in said
    assert "onsets" in said


def test_lines_longer_than_the_context(data):
    recipe = find("gslm").tiny()
    stage = replace(recipe.training[-1], feed=replace(recipe.training[-1].feed, length=512))
    lm = replace(recipe.lms[0], context=100)
    said = refused(replace(recipe, lms=(lm,), training=(*recipe.training[:-1], stage)), data)
    assert "lines of 512 steps do not fit 'ulm', whose context is 100" in said


def test_mixed_sample_rates_are_brought_to_one(data):
    """The second clip has 22.05 kHz: its streams are as long as those of the first."""
    recipe = replace(find("units_mfcc").tiny(), name="mixed")
    fit(recipe, data, data / "out")
    model = SpeechLM(recipe, data / "out")
    first, second = model.encode([Waveform(np.zeros(rate, np.float32), rate) for rate in (16_000, 22_050)])
    assert len(first["units"]) == len(second["units"]) == 50


def test_a_prompt_longer_than_the_context(tiny_model, hum):
    model = SpeechLM.load(tiny_model)
    long = Waveform(np.tile(hum.samples, 200), hum.rate)
    with pytest.raises(BadInput, match=r"do not fit 'ulm', whose context is \d+; shorten the prompt"):
        model.reply(long, seconds=1000.0)


def test_ids_outside_a_vocabulary(tiny_model):
    model = SpeechLM.load(tiny_model)
    with pytest.raises(BadInput, match=r"holds the id 9999, expected 0 to \d+"):
        model.score_examples([{"units": Stream(np.array([1, 9999, 9999]))}])


def test_a_checkpoint_with_other_vocabularies(tiny_model, tmp_path):
    recipe = SpeechLM.recipe_of(tiny_model).with_set(["tokenizers.0.clusters=33"])
    with pytest.raises(BadInput, match="row 'main' of 'ulm' was saved with"):
        SpeechLM(recipe, tiny_model).part("ulm")


def test_a_reply_without_what_it_reads(tmp_path, hum):
    model = SpeechLM(find("vall_e").tiny())
    with pytest.raises(BadInput, match="needs the stream 'phonemes'.*give it with --text"):
        model.reply(hum, seconds=0.2)
    with pytest.raises(BadInput, match="a recording, a text, or both"):
        model.reply()
    with pytest.raises(BadInput, match="there is no task 'sing'; this model has tts, fill"):
        model.reply(hum, text="ah", task="sing")
